//! `/api/auth/*`: signing in, going on, signing out, and who one is.
//!
//! Browsers get both tokens as cookies that no script reads. The access token is in the answer too, for
//! programs; they find the refresh token in `Set-Cookie` and send it back in `Cookie`.

use super::body;
use super::context::Context;
use super::error::Error;
use super::respond::{Body, answer, no_content};
use crate::auth::people::{self, Signed};
use crate::auth::{Denied, Principal, cookie};
use crate::config::Environment;
use fiber_contract::UnixMicros;
use fiber_contract::access::{ACCESS_COOKIE, Login, Me, REFRESH_COOKIE, Role, Session};
use fiber_contract::query::Meta;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use hyper::{Request, Response};
use std::net::SocketAddr;

/// The browser sends the refresh token to these routes only.
const REFRESH_PATH: &str = "/api/auth";

pub(super) fn meta() -> Meta {
    Meta {
        source: "users".to_owned(),
        next_cursor: None,
    }
}

pub(super) async fn login(
    context: &Context,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Error> {
    let from = context.client(request.headers(), peer);
    let login: Login = body::json(request).await?;
    super::sql::refuse_if_down(context)?;
    signed(context, context.people.login(&login, from).await?)
}

/// A session that ended takes its cookies along.
pub(super) async fn refresh(
    context: &Context,
    headers: &HeaderMap,
) -> Result<Response<Body>, Error> {
    let Some(token) = cookie(headers, REFRESH_COOKIE)? else {
        return Err(Denied::Unknown.into());
    };
    super::sql::refuse_if_down(context)?;
    signed(context, context.people.refresh(token).await?)
}

/// Done also for who is not signed in: the cookies go in any case.
pub(super) async fn logout(
    context: &Context,
    headers: &HeaderMap,
) -> Result<Response<Body>, Error> {
    // Two cookies of a name are nobody's session, and both go.
    let refresh = cookie(headers, REFRESH_COOKIE).unwrap_or_default();
    let access = context.authorizer.access(headers);
    if refresh.is_some() || access.is_some() {
        super::sql::refuse_if_down(context)?;
        context.people.logout(refresh, access).await?;
    }
    let mut response = no_content();
    forget(context, &mut response);
    Ok(response)
}

/// An access cookie that is missing beside a refresh cookie ran out: the page asks for a new one, also
/// where anybody may look.
pub(super) fn me(
    context: &Context,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Response<Body>, Error> {
    let principal = context.asker(headers, peer)?;
    principal.require(Role::Viewer)?;
    let anonymous = principal == Principal::Anonymous;
    if anonymous && cookie(headers, REFRESH_COOKIE)?.is_some() {
        return Err(Denied::Unknown.into());
    }
    let role = principal.role().ok_or(Denied::Forbidden)?;
    let me = Me {
        name: principal.name().to_owned(),
        role,
        anonymous,
    };
    answer(me, meta())
}

fn signed(context: &Context, signed: Signed) -> Result<Response<Body>, Error> {
    let now = UnixMicros::now();
    let left_s = |until: UnixMicros| u64::try_from((until.0 - now.0) / 1_000_000).unwrap_or(0);
    let session = Session {
        access_token: signed.access_token.clone(),
        expires_in_s: left_s(signed.access_end),
        me: signed.me,
    };
    let mut response = answer(session, meta())?;
    // The access cookie outlives its token, so that the engine sees one that ran out and says so,
    // instead of taking the browser for nobody.
    let age_s = left_s(signed.session_end);
    give(
        context,
        &mut response,
        ACCESS_COOKIE,
        &signed.access_token,
        age_s,
    );
    give(
        context,
        &mut response,
        REFRESH_COOKIE,
        &signed.refresh_token,
        age_s,
    );
    Ok(response)
}

pub(super) fn forget(context: &Context, response: &mut Response<Body>) {
    give(context, response, ACCESS_COOKIE, "", 0);
    give(context, response, REFRESH_COOKIE, "", 0);
}

fn give(context: &Context, response: &mut Response<Body>, name: &str, token: &str, age_s: u64) {
    let path = if name == REFRESH_COOKIE {
        REFRESH_PATH
    } else {
        "/"
    };
    let secure = match context.config.environment {
        // `make up` is plain HTTP.
        Environment::Dev => "",
        Environment::Staging | Environment::Prod => "; Secure",
    };
    let text =
        format!("{name}={token}; Path={path}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Whether an error of these routes means that the browser's cookies are worth nothing.
pub(super) const fn ends_session(error: &Error) -> bool {
    matches!(error, Error::People(people::Error::Ended))
}
