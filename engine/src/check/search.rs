//! Elasticsearch, if the deployment has it.

use super::http::{self, Url};
use super::report::{Report, Trouble};
use super::{DEADLINE, Options};
use serde_json::Value;
use std::time::Instant;

pub(super) async fn check(options: &Options, report: &mut Report) {
    let Some(text) = &options.elastic_url else {
        report.skipped("elasticsearch", "no ELASTIC_URL");
        return;
    };
    let began = Instant::now();
    let found = ask(text, options).await;
    report.found("elasticsearch", began, found);
}

async fn ask(text: &str, options: &Options) -> Result<String, Trouble> {
    let url = Url::parse(text).ok_or_else(|| {
        Trouble::new(
            "ELASTIC_URL is not http:// or https://",
            "set ELASTIC_URL=http://es:9200",
        )
    })?;
    let no_answer = |error: std::io::Error| {
        Trouble::new(
            format!("{url}: {error}"),
            "look at ELASTIC_URL, and whether Elasticsearch runs",
        )
    };
    let connector = http::connector(options.ca_file.as_deref()).map_err(no_answer)?;
    let addresses = http::resolve(&url).await.map_err(no_answer)?;
    let head = match &url.user {
        Some(user) => format!("Authorization: Basic {}\r\n", base64(user.as_bytes())),
        None => String::new(),
    };
    let request = ("GET", "/_cluster/health", head.as_str(), &b""[..]);
    let answer = http::request(&url, addresses[0], &connector, request, DEADLINE)
        .await
        .map_err(no_answer)?;
    if matches!(answer.status, 401 | 403) {
        return Err(Trouble::new(
            format!("{url}: {}", answer.status),
            "put the user into the URL: https://user:password@host:9200",
        ));
    }
    let health: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match health["status"].as_str() {
        Some(status @ ("green" | "yellow")) => Ok(format!("{url} is {status}")),
        Some(status) => Err(Trouble::new(
            format!("{url} is {status}"),
            "some indices are not readable: see GET /_cluster/allocation/explain",
        )),
        None => Err(Trouble::new(
            format!("{url}: {} and no health of a cluster", answer.status),
            "is this Elasticsearch?",
        )),
    }
}

/// With padding, as RFC 7617 asks.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let three = [
            part[0],
            part.get(1).copied().unwrap_or(0),
            part.get(2).copied().unwrap_or(0),
        ];
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for letter in 0..4_usize {
            let at = (bits >> (18 - 6 * letter)) & 63;
            let sent = letter <= part.len();
            text.push(if sent {
                char::from(LETTERS[at as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("elastic:changeme", "ZWxhc3RpYzpjaGFuZ2VtZQ=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
