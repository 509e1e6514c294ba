//! One request: find the handler, frame what comes back. Its head was judged by `framing`.

use super::context::Context;
use super::cors;
use super::error::Error;
use super::etag::Has;
use super::export;
use super::ingest;
use super::live;
use super::openapi;
use super::packed;
use super::params::Params;
use super::respond::{self, Body};
use super::router::{Route, resolve};
use super::{
    assets, audit, auth, federation, ledger, nodes, raw, receipt, same_site, series, summary, users,
};
use crate::admin::{health, scrape};
use crate::audit::Actor;
use crate::model::TraceId;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// Never fails: what goes wrong becomes an answer.
pub(super) async fn handle(
    request: Request<Incoming>,
    peer: SocketAddr,
    context: Arc<Context>,
) -> Result<Response<Body>, Infallible> {
    let trace_id = respond::trace_id(request.headers());
    let origin = context.cors.origin(request.headers());
    if origin.is_some() && cors::is_preflight(&request) {
        let mut response = cors::preflight();
        cors::mark(&context.cors, origin, &mut response);
        respond::mark(&trace_id, &mut response);
        return Ok(response);
    }
    let has_token = request.headers().contains_key(AUTHORIZATION);
    let (method, packs) = (
        request.method().clone(),
        packed::is_taken(request.headers()),
    );
    let mut response = match dispatch(request, peer, &context, &trace_id).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = respond::error(&error, &trace_id);
            if !has_token && auth::ends_session(&error) {
                auth::forget(&context, &mut response);
            }
            response
        }
    };
    packed::pack(&method, packs, &mut response);
    cors::mark(&context.cors, origin, &mut response);
    respond::mark(&trace_id, &mut response);
    Ok(response)
}

async fn dispatch(
    request: Request<Incoming>,
    peer: SocketAddr,
    context: &Arc<Context>,
    trace_id: &TraceId,
) -> Result<Response<Body>, Error> {
    let uri = request.uri().clone();
    let route = resolve(request.method(), uri.path())?;
    let gives_cookies = matches!(route, Route::Login | Route::Refresh | Route::Logout);
    same_site::judge(request.method(), request.headers(), gives_cookies)?;
    let mut actor = Actor::Nobody;
    if let Some(least) = route.least_role(request.method()) {
        let principal = context.asker(request.headers(), peer)?;
        principal.require(least)?;
        actor = principal.actor();
    }
    let has = route.is_revalidated().then(|| Has::of(request.headers()));
    let mut response = match route {
        Route::Ingest(route) => ingest::handle(route, request, peer, context, trace_id).await,
        Route::Asset { path } => assets::serve(&context.assets, path, request.headers()),
        Route::Status => respond::json(hyper::StatusCode::OK, &health::status(context)),
        Route::OpenApi => Ok(openapi::json(context)),
        Route::Docs => Ok(openapi::docs(context)),
        Route::Scrape => Ok(scrape::answer(context)),
        Route::Live if request.method() == Method::HEAD => Ok(live::head()),
        Route::Live => live::stream(context, request.headers(), &Params::parse(uri.query())?),
        Route::Nodes if request.method() == Method::POST => {
            nodes::add(context, request, &actor).await
        }
        Route::Nodes => nodes::list(context),
        Route::Node { encoded_id } => nodes::node(context, encoded_id, request, &actor).await,
        Route::Series => series::answer(context, &Params::parse(uri.query())?).await,
        Route::Export => {
            export::answer(context, request.method(), &Params::parse(uri.query())?).await
        }
        Route::Ledger => ledger::page(context, &Params::parse(uri.query())?).await,
        Route::Batch { id } => receipt::one(context, id).await,
        Route::Aggregated => summary::aggregated(context, &Params::parse(uri.query())?).await,
        Route::Cluster => summary::cluster(context, &Params::parse(uri.query())?).await,
        Route::Federation => federation::status(context),
        Route::Heartbeat => federation::heartbeat(context, request).await,
        Route::Audit => audit::page(context, &Params::parse(uri.query())?).await,
        Route::Login => auth::login(context, request, peer).await,
        Route::Refresh => auth::refresh(context, request.headers()).await,
        Route::Logout => auth::logout(context, request.headers()).await,
        Route::Me => auth::me(context, request.headers(), peer),
        Route::Users => users::users(context, request, &actor).await,
        Route::User { encoded_name } => users::user(context, encoded_name, request, &actor).await,
        Route::Keys => users::keys(context, request, &actor).await,
        Route::Key { id } => users::key(context, id, &actor).await,
        Route::Raw => raw::answer_page(context, &Params::parse(uri.query())?).await,
    }?;
    if let Some(has) = has {
        has.revalidate(&mut response);
    }
    Ok(response)
}
