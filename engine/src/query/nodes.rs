//! `/api/nodes` and `/api/nodes/{id}`: the fleet as the live state knows it.

use super::context::Context;
use super::error::Error;
use super::params::{decode, is_node_id};
use super::respond::{Body, answer};
use fiber_contract::query::Meta;
use hyper::Response;

fn meta() -> Meta {
    Meta {
        source: "live".to_owned(),
        next_cursor: None,
    }
}

pub(super) fn list(context: &Context) -> Result<Response<Body>, Error> {
    answer(context.live.nodes(), meta())
}

pub(super) fn one(context: &Context, encoded_id: &str) -> Result<Response<Body>, Error> {
    let id = decode(encoded_id, false).filter(|id| is_node_id(id));
    let id = id.ok_or_else(|| Error::parameter("id", "1–64 of A–Z a–z 0–9 . _ : -"))?;
    match context.live.node(&id) {
        Some(node) => answer(node, meta()),
        None => Err(Error::NoNode(id)),
    }
}
