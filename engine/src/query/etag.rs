//! Answers that did not change need not travel again.
//!
//! The tag is a hash of the body, so it names exactly these bytes, whichever engine made them. The
//! answer is still computed for it; what is saved is the transfer, which is the larger part for a
//! phone that polls a table of a thousand nodes.

use super::respond::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};

/// Kept by the browser only, and asked about before every use: what it shows may need a token.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// What the client has, taken before its request is consumed.
#[derive(Debug)]
pub(super) struct Has(Vec<String>);

impl Has {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(IF_NONE_MATCH).iter();
        Self(
            lists
                .filter_map(|value| value.to_str().ok())
                .flat_map(|list| list.split(','))
                .map(|tag| tag.trim().trim_start_matches("W/").to_owned())
                .collect(),
        )
    }

    /// Tags a whole answer of data, and leaves out a body that the client has.
    pub(super) fn revalidate(&self, response: &mut Response<Body>) {
        let Body::Whole(bytes) = response.body() else {
            return;
        };
        if response.status() != StatusCode::OK {
            return;
        }
        let tag = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(bytes));
        let known = self.0.iter().any(|has| *has == tag || has == "*");
        // Weak: on its way the body may be compressed.
        let Ok(value) = HeaderValue::from_str(&format!("W/{tag}")) else {
            return;
        };
        response.headers_mut().insert(ETAG, value);
        response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::EMPTY;
            response.headers_mut().remove(CONTENT_TYPE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::respond::{JSON, whole};

    fn answer(has: &str, body: &'static [u8]) -> Response<Body> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(has).unwrap());
        let mut response = whole(StatusCode::OK, JSON, body.into());
        Has::of(&headers).revalidate(&mut response);
        response
    }

    #[test]
    fn the_same_bytes_are_not_sent_again_and_other_bytes_are() {
        let first = answer("", b"{\"a\":1}");
        assert_eq!(first.status(), 200);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for has in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = answer(&has, b"{\"a\":1}");
            assert_eq!(again.status(), 304, "{has}");
            assert_eq!(again.headers()[ETAG].to_str().unwrap(), tag);
            assert!(matches!(again.body(), Body::Whole(bytes) if bytes.is_empty()));
        }
        assert_eq!(answer(&tag, b"{\"a\":2}").status(), 200);
    }

    #[test]
    fn refusals_have_no_tag() {
        let mut response = whole(StatusCode::NOT_FOUND, JSON, (&b"{}"[..]).into());
        Has::of(&HeaderMap::new()).revalidate(&mut response);
        assert!(!response.headers().contains_key(ETAG));
    }
}
