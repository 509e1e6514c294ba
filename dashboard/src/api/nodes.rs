use fiber_contract::NodeView;

use super::client::{encode, query, quoted, tell_then};
use super::error::Error;

pub(crate) async fn list() -> Result<Vec<NodeView>, Error> {
    query("/api/nodes").await
}

pub(crate) async fn one(node_id: &str) -> Result<NodeView, Error> {
    query(&format!("/api/nodes/{}", encode(node_id))).await
}

/// Sets what the node is tagged with and how often it is expected; without an interval the node's
/// own word counts again.
pub(crate) fn change(
    node_id: &str,
    tags: &[String],
    interval_s: &str,
    heard: impl FnOnce(Result<(), Error>) + 'static,
) {
    let tags: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
    let interval_s = match interval_s.trim() {
        "" => "null",
        number => number,
    };
    let tags = tags.join(",");
    let body = format!("{{\"tags\":[{tags}],\"interval_s\":{interval_s}}}");
    let path = format!("/api/nodes/{}", encode(node_id));
    tell_then("PATCH", path, Some(body), heard);
}
