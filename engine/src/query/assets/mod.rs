//! The dashboard's files. Read once at start and served from memory, so a request never touches the
//! file system and a path can only name what was found then.
//!
//! `x.br` and `x.gz` beside `x` are its compressed forms. Unknown paths without an extension are
//! the dashboard's own routes and get `index.html`; with one they are missing
//! files: 404, unless a browser opens them as a page.

mod encoding;
mod load;
mod path;

pub(super) use encoding::Encoding;
pub use load::LoadError;
pub(crate) use load::base64;

use super::error::Error;
use super::respond::{Body, whole};
use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use std::collections::HashMap;
use std::path::Path;

/// All files by their path from the root, without a leading slash.
#[derive(Debug)]
pub struct Assets {
    files: HashMap<String, Asset>,
    policy: HeaderValue,
}

#[derive(Debug)]
struct Asset {
    content_type: HeaderValue,
    /// Its name holds a hash of its content, so it never changes.
    immutable: bool,
    plain: Variant,
    br: Option<Variant>,
    gzip: Option<Variant>,
}

/// One encoding of a file, with the tag that names exactly these bytes.
#[derive(Clone, Debug)]
struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

const INDEX: &str = "index.html";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, but asked about before every use.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const MISSING_PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>FiberStack</title>\
<style>body{font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem}</style>\
<h1>The engine runs; the dashboard is not built</h1>\
<p>Build it with <code>make build</code> and start the engine with \
<code>FIBER_DASHBOARD_DIR</code> set to the directory that was printed. \
<code>make up</code> does both.</p><p>Meanwhile: <a href=/api/status>/api/status</a>.</p></html>";

impl Assets {
    /// Reads a built dashboard.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        load::load(dir)
    }

    /// No dashboard: `/` says how to get one.
    pub fn missing() -> Self {
        let index = Asset {
            content_type: HTML,
            immutable: false,
            plain: Variant::of(Bytes::from_static(MISSING_PAGE.as_bytes()), Encoding::Plain),
            br: None,
            gzip: None,
        };
        Self {
            files: HashMap::from([(INDEX.to_owned(), index)]),
            policy: load::policy(MISSING_PAGE),
        }
    }

    /// A browser that opens a page says `text/html`: then even a path with a dot may be a route,
    /// because ids of nodes have dots.
    fn find(&self, path: &str, headers: &HeaderMap) -> Option<&Asset> {
        let opens_page = || {
            headers
                .get(ACCEPT)
                .is_some_and(|types| types.to_str().unwrap_or("").contains("text/html"))
        };
        let (name, is_route) = match path::judge(path)? {
            path::Wanted::File(name) => (name, opens_page()),
            path::Wanted::FileOrIndex(name) => (name, true),
        };
        self.files
            .get(name)
            .or_else(|| self.files.get(INDEX).filter(|_| is_route))
    }
}

impl Asset {
    /// The smallest form that the client takes.
    fn variant(&self, accept: Option<&HeaderValue>) -> (&Variant, Encoding) {
        let accept = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let br = self.br.as_ref().map(|variant| (variant, Encoding::Br));
        let gzip = self.gzip.as_ref().map(|variant| (variant, Encoding::Gzip));
        let fits = |(_, encoding): &(&Variant, Encoding)| encoding.is_accepted(accept);
        br.filter(fits)
            .or(gzip.filter(fits))
            .unwrap_or((&self.plain, Encoding::Plain))
    }
}

pub(super) fn serve(
    assets: &Assets,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, Error> {
    let asset = assets.find(path, headers).ok_or(Error::NotFound)?;
    let (variant, encoding) = asset.variant(headers.get(ACCEPT_ENCODING));
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|tags| names(tags, &variant.etag));
    let mut response = if known {
        let mut response = Response::new(Body::EMPTY);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        whole(
            StatusCode::OK,
            asset.content_type.clone(),
            variant.bytes.clone(),
        )
    };
    let out = response.headers_mut();
    out.insert(ETAG, variant.etag.clone());
    out.insert(
        CACHE_CONTROL,
        if asset.immutable {
            IMMUTABLE
        } else {
            REVALIDATE
        },
    );
    if asset.br.is_some() || asset.gzip.is_some() {
        out.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let (Some(name), false) = (encoding.name(), known) {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    if asset.content_type == HTML {
        out.insert(CONTENT_SECURITY_POLICY, assets.policy.clone());
        out.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        out.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        out.insert(
            PERMISSIONS_POLICY,
            HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
        );
    }
    Ok(response)
}

/// Whether a list of tags from If-None-Match holds this one. Weak comparison, as the RFC wants it.
fn names(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else {
        return false;
    };
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests;
