//! `/api/users` and `/api/keys`, for administrators.

use super::auth::meta;
use super::body;
use super::context::Context;
use super::error::Error;
use super::params::{Params, decode};
use super::respond::{Body, answer, no_content};
use crate::audit::Actor;
use crate::auth::people::Change;
use fiber_contract::access::{ChangeUser, NewKey, NewUser};
use fiber_contract::query::Meta;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use uuid::Uuid;

/// GET and POST `/api/users`.
pub(super) async fn users(
    context: &Context,
    request: Request<Incoming>,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    super::sql::refuse_if_down(context)?;
    if request.method() != Method::POST {
        return answer(context.people.users().await?, meta());
    }
    let new: NewUser = body::json(request).await?;
    created(answer(context.people.add(actor, &new).await?, meta())?)
}

/// PATCH and DELETE `/api/users/{name}`.
pub(super) async fn user(
    context: &Context,
    encoded_name: &str,
    request: Request<Incoming>,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    let name = decode(encoded_name, false);
    let name = name.ok_or_else(|| Error::parameter("name", "cannot be decoded"))?;
    super::sql::refuse_if_down(context)?;
    if request.method() == Method::DELETE {
        context.people.remove(actor, &name).await?;
        return Ok(no_content());
    }
    let ChangeUser {
        role,
        password,
        disabled,
    } = body::json(request).await?;
    let change = Change {
        role,
        password,
        disabled,
    };
    answer(context.people.change(actor, &name, &change).await?, meta())
}

fn of_keys() -> Meta {
    Meta {
        source: "probe_keys".to_owned(),
        next_cursor: None,
    }
}

/// GET and POST `/api/keys`.
pub(super) async fn keys(
    context: &Context,
    request: Request<Incoming>,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    super::sql::refuse_if_down(context)?;
    if request.method() != Method::POST {
        let params = Params::parse(request.uri().query())?;
        return answer(context.keys.list(params.node_id()?).await?, of_keys());
    }
    let new: NewKey = body::json(request).await?;
    created(answer(context.keys.issue(actor, &new).await?, of_keys())?)
}

/// DELETE `/api/keys/{key_id}`: the row stays, it is what revokes the key.
pub(super) async fn key(
    context: &Context,
    id: &str,
    actor: &Actor,
) -> Result<Response<Body>, Error> {
    let id = Uuid::try_parse(id).map_err(|_| Error::parameter("id", "is not a UUID"))?;
    super::sql::refuse_if_down(context)?;
    let view = context.keys.revoke(actor, id).await?;
    context.authorizer.note_revoked(id);
    answer(view, of_keys())
}

fn created(mut response: Response<Body>) -> Result<Response<Body>, Error> {
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
