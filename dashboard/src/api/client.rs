//! One way to ask: GET, same origin, JSON.

use fiber_contract::query::Answer;
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::error::Error;
use super::json::{self, Json, Read};

/// The data inside the frame of a query answer.
pub(crate) async fn query<T: Read>(path: &str) -> Result<T, Error> {
    json::<Answer<T>>(path).await.map(|answer| answer.data)
}

pub(crate) async fn json<T: Read>(path: &str) -> Result<T, Error> {
    let response = send(path).await?;
    let text = body(&response).await?;
    if !response.ok() {
        return Err(refusal(response.status(), &text));
    }
    json::from_text(&text).map_err(Error::Unreadable)
}

/// A file of the dashboard itself.
pub(crate) async fn file(url: &str) -> Result<Vec<u8>, Error> {
    let response = send(url).await?;
    if !response.ok() {
        return Err(refusal(response.status(), ""));
    }
    let buffer = response.array_buffer().map_err(|_| Error::Unreachable)?;
    let buffer = JsFuture::from(buffer)
        .await
        .map_err(|_| Error::Unreachable)?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// A value as one segment of a path or query.
pub(crate) fn encode(value: &str) -> String {
    js_sys::encode_uri_component(value).into()
}

async fn send(url: &str) -> Result<Response, Error> {
    let answer: Result<JsValue, JsValue> = JsFuture::from(window().fetch_with_str(url)).await;
    answer
        .ok()
        .and_then(|value| value.dyn_into::<Response>().ok())
        .ok_or(Error::Unreachable)
}

async fn body(response: &Response) -> Result<String, Error> {
    let text = response.text().map_err(|_| Error::Unreachable)?;
    let text = JsFuture::from(text).await.map_err(|_| Error::Unreachable)?;
    text.as_string()
        .ok_or(Error::Unreadable(json::Bad("a text")))
}

/// What the engine says about a refusal, or what little is known when something before it answered.
fn refusal(status: u16, text: &str) -> Error {
    let body = Json::parse(text).unwrap_or(Json::Null);
    let said = |name: &'static str| {
        body.field::<String>(name)
            .ok()
            .filter(|text| !text.is_empty())
    };
    Error::Refused {
        status,
        code: said("code"),
        message: said("message").unwrap_or_else(|| format!("The answer was HTTP status {status}")),
        trace_id: said("trace_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_trace_id() {
        let body =
            r#"{"status":"error","code":"NOT_FOUND","message":"no such node","trace_id":"t1"}"#;
        let error = refusal(404, body);
        assert!(error.is_not_found());
        assert_eq!(error.trace_id(), Some("t1"));
        assert_eq!(error.to_string(), "no such node");
    }

    #[test]
    fn a_proxy_without_our_body_still_gives_a_reason() {
        let error = refusal(502, "<html>");
        assert!(error.to_string().contains("502"));
        assert!(!error.is_not_found());
    }
}
