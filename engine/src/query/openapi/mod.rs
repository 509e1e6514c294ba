//! `/api/openapi.json`, the API's description, and `/api/docs`, the same as a page.
//!
//! Made from the code: the paths and methods are the router's, the shapes of bodies are those of the
//! contract's structs, the roles are those that requests are judged by, and the metrics are those of
//! a scrape. A route without a description does not compile (`operations::of`), and a test holds
//! the methods of both against each other. What people need to read beside that is in `operations`.
//!
//! It deliberately does not describe the dashboard's files.

mod document;
mod operations;
mod page;

use super::context::Context;
use super::respond::{Body, JSON, whole};
use crate::admin::scrape;
use bytes::Bytes;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Response, StatusCode};
use std::sync::OnceLock;

/// Made when somebody asks first.
#[derive(Debug, Default)]
pub(crate) struct Description(OnceLock<(Bytes, Bytes)>);

impl Description {
    fn of<'a>(&'a self, context: &Context) -> &'a (Bytes, Bytes) {
        self.0.get_or_init(|| {
            let document = document::make(&scrape::families(context));
            let page = page::make(&document);
            (document.to_string().into(), page.into())
        })
    }
}

pub(super) fn json(context: &Context) -> Response<Body> {
    let (document, _) = context.description.of(context);
    whole(StatusCode::OK, JSON, document.clone())
}

pub(super) fn docs(context: &Context) -> Response<Body> {
    let (_, page) = context.description.of(context);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = whole(StatusCode::OK, html, page.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page::policy());
    response
}
