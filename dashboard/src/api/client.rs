//! One way to ask: same origin, JSON.
//!
//! The page's own script (`boot.js`) sends, because it outlives a crash of ours and keeps one
//! promise for all tabs: on 401 the session is refreshed once, by one tab, and the question asked
//! again. What is refused after that is refused for good, and the page asks to sign in.

use std::cell::RefCell;

use fiber_contract::query::Answer;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::error::Error;
use super::json::{self, Json, Read};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = fiberAsk)]
    fn ask(method: &str, url: &str, body: Option<&str>) -> Result<js_sys::Promise, JsValue>;
}

thread_local! {
    static SIGNED_OUT: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// What to do when the engine no longer knows who asks.
pub(crate) fn on_signed_out(act: impl Fn() + 'static) {
    SIGNED_OUT.with(|hook| *hook.borrow_mut() = Some(Box::new(act)));
}

/// The data inside the frame of a query answer.
pub(crate) async fn query<T: Read>(path: &str) -> Result<T, Error> {
    json::<Answer<T>>(path).await.map(|answer| answer.data)
}

pub(crate) async fn json<T: Read>(path: &str) -> Result<T, Error> {
    let text = exchange("GET", path, None).await?;
    json::from_text(&text).map_err(Error::Unreadable)
}

/// Who hears what came of a question, as text.
type Heard = Box<dyn FnOnce(Result<String, Error>)>;

/// Asks in the background. One future serves everybody: one of its own for each question weighs more
/// than the page that asks.
fn later(method: &'static str, path: String, body: Option<String>, heard: Heard) {
    spawn_local(async move { heard(exchange(method, &path, body.as_deref()).await) });
}

/// Asks in the background for the data inside the frame of the answer.
pub(crate) fn ask_then<T: Read>(
    method: &'static str,
    path: String,
    body: Option<String>,
    heard: impl FnOnce(Result<T, Error>) + 'static,
) {
    let data = |text: &str| json::from_text::<Answer<T>>(text).map(|answer| answer.data);
    later(
        method,
        path,
        body,
        Box::new(move |text| {
            heard(text.and_then(|text| data(&text).map_err(Error::Unreadable)));
        }),
    );
}

/// Has something done in the background; what the answer says beyond that does not matter.
pub(crate) fn tell_then(
    method: &'static str,
    path: String,
    body: Option<String>,
    heard: impl FnOnce(Result<(), Error>) + 'static,
) {
    let heard = Box::new(move |text: Result<String, Error>| heard(text.map(drop)));
    later(method, path, body, heard);
}

/// Asks and answers the text, which is empty for 204.
async fn exchange(method: &str, path: &str, sent: Option<&str>) -> Result<String, Error> {
    let response = send(method, path, sent).await?;
    let text = body(&response).await?;
    if response.ok() {
        return Ok(text);
    }
    // Who is being signed in or out knows about it.
    if response.status() == 401 && !path.starts_with("/api/auth/") {
        SIGNED_OUT.with(|hook| {
            if let Some(act) = hook.borrow().as_ref() {
                act();
            }
        });
    }
    Err(refusal(response.status(), &text))
}

/// A text as JSON writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => {
                out.push('\\');
                out.push(sign);
            }
            '\0'..='\x1f' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let code = sign as usize;
                out.push_str("\\u00");
                out.push(char::from(HEX[code >> 4]));
                out.push(char::from(HEX[code & 15]));
            }
            _ => out.push(sign),
        }
    }
    out.push('"');
    out
}

/// A file of the dashboard itself.
pub(crate) async fn file(url: &str) -> Result<Vec<u8>, Error> {
    let response = send("GET", url, None).await?;
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

async fn send(method: &str, url: &str, body: Option<&str>) -> Result<Response, Error> {
    let asked = ask(method, url, body).map_err(|_| Error::Unreachable)?;
    let answer: Result<JsValue, JsValue> = JsFuture::from(asked).await;
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
    fn whatever_is_typed_is_sent_as_it_was_typed() {
        for text in ["", "a b", "\"\\/", "line\nfeed\t\0\x1f", "ö \u{1f600}"] {
            let read: String = json::from_text(&quoted(text)).unwrap();
            assert_eq!(read, text);
        }
    }

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
