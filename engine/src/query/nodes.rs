//! `/api/nodes` and `/api/nodes/{id}`: the fleet as the live state knows it, and what operators say
//! of it (`registry`).

use super::body;
use super::context::Context;
use super::error::Error;
use super::params::{decode, is_node_id};
use super::respond::{Body, answer, no_content};
use super::sql::refuse_if_down;
use crate::audit::Actor;
use fiber_contract::node::{ChangeNode, NewNode};
use fiber_contract::query::Meta;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

fn meta() -> Meta {
    Meta {
        source: "live".to_owned(),
        next_cursor: None,
    }
}

pub(super) fn list(context: &Context) -> Result<Response<Body>, Error> {
    answer(context.live.nodes(), meta())
}

fn node_id(encoded_id: &str) -> Result<String, Error> {
    let id = decode(encoded_id, false).filter(|id| is_node_id(id));
    id.ok_or_else(|| Error::parameter("id", "1–64 of A–Z a–z 0–9 . _ : -"))
}

fn one(context: &Context, id: String) -> Result<Response<Body>, Error> {
    match context.live.node(&id) {
        Some(node) => answer(node, meta()),
        None => Err(Error::NoNode(id)),
    }
}

pub(super) async fn add(
    context: &Context,
    request: Request<Incoming>,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    refuse_if_down(context)?;
    let new: NewNode = body::json(request).await?;
    context.live.edit(&context.registry.add(actor, &new).await?);
    let mut response = one(context, new.node_id)?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

pub(super) async fn node(
    context: &Context,
    encoded_id: &str,
    request: Request<Incoming>,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    let id = node_id(encoded_id)?;
    match *request.method() {
        Method::PATCH => {
            refuse_if_down(context)?;
            let change: ChangeNode = body::json(request).await?;
            let edit = context.registry.change(actor, &id, &change).await?;
            context.live.edit(&edit);
            one(context, id)
        }
        Method::DELETE => {
            refuse_if_down(context)?;
            context
                .live
                .edit(&context.registry.retire(actor, &id).await?);
            Ok(no_content())
        }
        _ => one(context, id),
    }
}
