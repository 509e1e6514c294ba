use fiber_contract::NodeView;

use super::client::{encode, query};
use super::error::Error;

pub(crate) async fn list() -> Result<Vec<NodeView>, Error> {
    query("/api/nodes").await
}

pub(crate) async fn one(node_id: &str) -> Result<NodeView, Error> {
    query(&format!("/api/nodes/{}", encode(node_id))).await
}
