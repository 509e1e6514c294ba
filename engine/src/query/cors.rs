//! Which other sites' pages may read from here (Fetch Standard, "CORS protocol").
//!
//! Only the origins of `CORS_ORIGINS`, compared as a whole; each gets itself back, never `*`, and
//! no credentials. Anybody else gets no CORS header at all, so a browser keeps the answer from the
//! page. Pushes are for probes, and their answers carry none either.

use super::respond::Body;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Of checked origins.
    pub(crate) fn new(origins: &[String]) -> Self {
        Self {
            origins: origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
        }
    }

    /// The origin that asks, if it is one of ours; two of them are nobody's.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut asking = headers.get_all(ORIGIN).iter();
        let origin = asking.next()?;
        let known = asking.next().is_none() && self.origins.contains(origin);
        known.then(|| origin.clone())
    }

    pub(crate) const fn is_off(&self) -> bool {
        self.origins.is_empty()
    }
}

/// The browser asks whether it may ask.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

pub(crate) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::EMPTY);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, last-event-id, x-request-id, x-trace-id",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets the origin read the answer. `Vary` also where it may not: a cache must not mix the two.
pub(crate) fn mark(cors: &Cors, origin: Option<HeaderValue>, response: &mut Response<Body>) {
    if cors.is_off() {
        return;
    }
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-trace-id, retry-after"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origins: &[&'static str], allowed: bool) {
        let cors = Cors::new(&["https://ops.example".to_owned()]);
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        assert_eq!(cors.origin(&headers).is_some(), allowed, "{origins:?}");
    }

    #[test]
    fn only_the_whole_origin_counts() {
        check(&["https://ops.example"], true);
        for foreign in [
            "https://ops.example.evil.test",
            "http://ops.example",
            "https://ops.example:8443",
            "https://OPS.example",
            "null",
            "*",
            "",
        ] {
            check(&[foreign], false);
        }
        check(&["https://ops.example", "https://ops.example"], false);
        check(&[], false);
    }
}
