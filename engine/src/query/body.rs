//! Small JSON bodies of requests that change something.

use super::error::Error;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use std::time::Duration;

const BYTES_MAX: usize = 8 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// Only what says that it is JSON: a form of another site cannot say that without asking first.
pub(super) async fn json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Error> {
    if !is_json(request.headers()) {
        return Err(Error::NotJson);
    }
    let body = Limited::new(request.into_body(), BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(DEADLINE, body).await {
        Err(_) => return Err(Error::BodyTooSlow),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Error::BodyTooLarge {
                limit_bytes: BYTES_MAX,
            });
        }
        Ok(Err(_)) => return Err(Error::BodyBroken),
    };
    serde_json::from_slice(&bytes).map_err(|error| refusal(&error))
}

/// The parser quotes what it did not expect, which may be a password: only the place is told.
fn refusal(error: &serde_json::Error) -> Error {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_data() {
        Error::parameter(
            "body",
            format!("a field is missing or has a wrong form, at {place}"),
        )
    } else {
        Error::BadJson(place)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return false;
    };
    let kind = field.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fiber_contract::access::{Login, NewUser};
    use hyper::header::HeaderValue;

    #[test]
    fn what_is_quoted_by_the_parser_is_not_told() {
        let secret = "hunter2hunter2";
        for body in [
            format!("{{\"name\":\"a\",\"password\":\"{secret}\",\"role\":\"{secret}\"}}"),
            format!("\"{secret}\""),
            format!("{{\"name\":\"a\",\"password\":\"{secret}\""),
            format!("{{{secret}}}"),
        ] {
            let errors = [
                serde_json::from_str::<NewUser>(&body).unwrap_err(),
                serde_json::from_str::<Login>(&format!("[{body}]")).unwrap_err(),
            ];
            for error in errors {
                let told = refusal(&error).to_string();
                assert!(!told.contains(secret) && told.contains("line 1"), "{told}");
            }
        }
    }

    #[test]
    fn only_json_is_json() {
        for (kind, expect) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("text/plain; application/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_json(&headers), expect, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
