//! The rows. What takes a clock is in `deadlines`; what takes several requests or a setting of the
//! engine is in `hostile`, `signed`, `auth`, `compressed` and `refusals`.

use crate::support::Stack;
use crate::support::client::{post, sample};
use fiber_contract::UnixMicros;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;

pub(super) struct Row {
    pub(super) number: u8,
    pub(super) request: Vec<u8>,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) closes: bool,
    /// The field at fault, of the first sample.
    pub(super) field: Option<&'static str>,
    pub(super) allow: Option<&'static str>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.request[..self.request.len().min(400)];
        write!(f, "row {}: {}", self.number, shown.escape_ascii())
    }
}

/// A table in the making.
struct Rows<'s> {
    stack: &'s Stack,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn add(&mut self, status: u16, code: &'static str, closes: bool, request: Vec<u8>) -> &mut Row {
        self.rows.push(Row {
            number: u8::try_from(self.rows.len() + 1).expect("a table is short"),
            request,
            status,
            code,
            closes,
            field: None,
            allow: None,
        });
        self.rows.last_mut().expect("one was added")
    }

    /// A push with these fields besides the usual ones but for its length, and the body of a good one.
    fn head(&mut self, status: u16, code: &'static str, fields: &str) {
        self.line(status, code, "POST /api/push HTTP/1.1\r\nHost: e", fields);
    }

    fn line(&mut self, status: u16, code: &'static str, line: &str, fields: &str) {
        let body = sample("bad", 0).to_string();
        let fields = fields.replace("{len}", &format!("Content-Length: {}", body.len()));
        let request = format!("{line}\r\n{}{fields}\r\n\r\n{body}", usual(self.stack));
        self.add(status, code, true, request.into_bytes());
    }

    fn body(&mut self, status: u16, code: &'static str, body: &[u8]) -> &mut Row {
        let request = post(&self.stack.engine, "/api/push", &[], body);
        self.add(status, code, false, request)
    }

    fn sample(&mut self, field: &'static str, value: Value) {
        let mut body = sample("bad", 0);
        body[field] = value;
        if body[field] == json!("(missing)") {
            body.as_object_mut().expect("an object").remove(field);
        }
        self.body(422, "INVALID_METRIC", body.to_string().as_bytes())
            .field = Some(field);
    }
}

fn usual(stack: &Stack) -> String {
    format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
        stack.engine.federation_secret()
    )
}

pub(super) fn chunked(stack: &Stack, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let (first, second) = body.split_at(body.len() / 2);
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let mut request = format!(
        "POST /api/push HTTP/1.1\r\nHost: e\r\n{}{fields}Transfer-Encoding: chunked\r\n\r\n{:x};name=value\r\n",
        usual(stack),
        first.len()
    )
    .into_bytes();
    request.extend_from_slice(first);
    request.extend(format!("\r\n{:X}\r\n", second.len()).bytes());
    request.extend_from_slice(second);
    request.extend_from_slice(b"\r\n0\r\nX-Trailer: yes\r\n\r\n");
    request
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .expect("a buffer takes all")
}

pub(super) fn taken(stack: &Stack) -> Vec<Row> {
    let mut rows = Rows {
        stack,
        rows: Vec::new(),
    };
    for at in 0..6_i64 {
        let mut body = sample("taken", at);
        body["target_host"] = format!("row-{at}").into();
        let body = body.to_string();
        let body = body.as_bytes();
        let request = match at {
            0 => chunked(stack, &[], body),
            1 => post(&stack.engine, "/api/push", &["Expect: 100-continue"], body),
            2 => post(
                &stack.engine,
                "/api/push",
                &["Content-Encoding: gzip"],
                &gzip(body),
            ),
            3 => [
                b"\r\n\r\n",
                &post(&stack.engine, "/api/push", &[], body)[..],
            ]
            .concat(),
            4 => post(
                &stack.engine,
                "/api/push?ack=durable",
                &["Connection: keep-alive"],
                body,
            ),
            _ => post(
                &stack.engine,
                "/api/push",
                &["X-A:", "x-b:\t\u{e9} ", "Upgrade: h2c"],
                body,
            ),
        };
        rows.add(202, "", false, request);
    }
    rows.rows
}

pub(super) fn all(stack: &Stack) -> Vec<Row> {
    let mut rows = Rows {
        stack,
        rows: Vec::new(),
    };
    framing(&mut rows);
    routes(&mut rows);
    media(&mut rows);
    bodies(&mut rows);
    samples(&mut rows);
    rows.rows
}

const BAD: &str = "MALFORMED_BATCH";

const BAD_FIELDS: [&str; 20] = [
    "{len}\rA: b",
    "{len}\nA: b",
    "{len}\r\nA: b\r\n c",
    "{len}\r\nA: b\r\n\tc",
    "{len}\r\nA : b",
    "{len}\r\n: b",
    "{len}\r\nA: \u{1}",
    "{len}\r\nA: \0",
    "{len}\r\nA: \u{7f}",
    "{len}\r\nTransfer-Encoding: chunked",
    "{len}\r\n{len}",
    "{len}\r\nContent-Length: 5",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5,5",
    "Content-Length: 5 5",
    "Content-Length:",
    "Content-Length: 9223372036854775809",
    "Content-Length: 18446744073709551621",
];

const BAD_CHUNKS: [&str; 10] = [
    "\r\n",
    "+5\r\n",
    "-5\r\n",
    "0x5\r\n",
    "00000000000000005\r\n",
    "5\nhello\n0\n\n",
    "5 \r\n",
    "5\r\nhello!\r\n",
    "0\r\nno trailer\r\n\r\n",
    "g\r\n",
];

fn framing(rows: &mut Rows<'_>) {
    rows.line(400, BAD, "POST /api/push HTTP/1.1", "{len}");
    rows.head(400, BAD, "{len}\r\nHost: f");
    for fields in BAD_FIELDS {
        rows.head(400, BAD, fields);
    }
    for chunks in BAD_CHUNKS {
        let head = format!(
            "POST /api/push HTTP/1.1\r\nHost: e\r\n{}Transfer-Encoding: chunked\r\n\r\n{chunks}",
            usual(rows.stack)
        );
        rows.add(400, BAD, true, head.into_bytes());
    }
    rows.head(501, "NOT_IMPLEMENTED", "Transfer-Encoding: gzip");
    rows.head(501, "NOT_IMPLEMENTED", "Transfer-Encoding: gzip, chunked");
    rows.head(501, "NOT_IMPLEMENTED", "Transfer-Encoding: identity");
    rows.line(
        505,
        "HTTP_VERSION",
        "POST /api/push HTTP/2.0\r\nHost: e",
        "{len}",
    );
    rows.line(
        505,
        "HTTP_VERSION",
        "POST /api/push HTTP/0.9\r\nHost: e",
        "{len}",
    );
    rows.line(400, BAD, "POST api/push HTTP/1.1\r\nHost: e", "{len}");
    let long = format!("POST /{} HTTP/1.1\r\nHost: e", "a".repeat(9_000));
    rows.line(414, "URI_TOO_LONG", &long, "{len}");
    rows.head(
        431,
        "HEAD_TOO_LARGE",
        &format!("{{len}}{}", "\r\nA: b".repeat(70)),
    );
    rows.head(
        431,
        "HEAD_TOO_LARGE",
        &format!("{{len}}\r\nA: {}", "b".repeat(17_000)),
    );
    rows.head(413, "PAYLOAD_TOO_LARGE", "Content-Length: 10485761");
    rows.head(417, "EXPECTATION_FAILED", "{len}\r\nExpect: tea");
    rows.line(
        501,
        "NOT_IMPLEMENTED",
        "BREW /api/push HTTP/1.1\r\nHost: e",
        "{len}",
    );
}

fn routes(rows: &mut Rows<'_>) {
    let body = sample("bad", 0).to_string();
    let engine = &rows.stack.engine;
    let push = post(engine, "/api/push", &[], body.as_bytes());
    let delete = [b"DELETE", &push[4..]].concat();
    let unknown = post(engine, "/api/nothing", &[], body.as_bytes());
    let no_id = post(engine, "/api/ingest", &[], body.as_bytes());
    let bad_id = post(engine, "/api/push", &["X-Batch-ID: 7"], body.as_bytes());
    rows.add(405, "METHOD_NOT_ALLOWED", false, delete).allow = Some("POST");
    rows.add(404, "NOT_FOUND", false, unknown);
    rows.add(400, "MISSING_BATCH_ID", false, no_id);
    rows.add(400, BAD, false, bad_id);
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/a%00b",
        "/a\\b",
        "/%5c..%5csecret",
    ] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
        rows.add(404, "NOT_FOUND", false, get.into_bytes());
    }
    for token in [
        "X: y",
        "Authorization: Bearer wrong",
        "Authorization: Basic Zm9vOmJhcg==",
    ] {
        let request = format!(
            "POST /api/push HTTP/1.1\r\nHost: e\r\n{token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        rows.add(401, "INVALID_TOKEN", false, request.into_bytes());
    }
}

fn media(rows: &mut Rows<'_>) {
    const UNSUPPORTED: &str = "UNSUPPORTED_MEDIA";
    let body = sample("bad", 0).to_string();
    let request =
        |fields: &[&str], body: &[u8]| post(&rows.stack.engine, "/api/push", fields, body);
    let text = String::from_utf8(request(&[], body.as_bytes())).expect("it is text");
    let text = text.replace("application/json", "text/plain");
    let gzip_field = "Content-Encoding: gzip";
    let whole = gzip(body.as_bytes());
    let brotli = request(&["Content-Encoding: br"], body.as_bytes());
    let two = request(&[gzip_field, gzip_field], &whole);
    let broken = request(&[gzip_field], &whole[..whole.len() - 3]);
    let plain = request(&[gzip_field], body.as_bytes());
    let bomb = request(&[gzip_field], &gzip(&vec![b' '; 200_000]));
    rows.add(415, UNSUPPORTED, false, text.into_bytes());
    rows.add(415, UNSUPPORTED, false, brotli);
    rows.add(415, UNSUPPORTED, false, two);
    rows.add(400, BAD, false, broken);
    rows.add(400, BAD, false, plain);
    rows.add(413, "PAYLOAD_TOO_LARGE", true, bomb);
}

fn bodies(rows: &mut Rows<'_>) {
    for body in [
        &b""[..],
        b"{",
        b"nope",
        b"{\"a\":NaN}",
        b"{\"a\":1e400}",
        b"{}{}",
        b"{\"a\":\"\xff\"}",
        "[".repeat(50).as_bytes(),
    ] {
        rows.body(400, BAD, body);
    }
    let trailing = format!("{}x", sample("bad", 0));
    rows.body(400, BAD, trailing.as_bytes());
    for body in [
        &b"{}"[..],
        b"[]",
        b"7",
        b"null",
        b"{\"node_id\":\"bad\",\"metrics\":[]}",
    ] {
        rows.body(422, "INVALID_METRIC", body);
    }
}

fn samples(rows: &mut Rows<'_>) {
    let at = |age_s: i64| json!(UnixMicros(UnixMicros::now().0 - age_s * 1_000_000).to_string());
    for field in [
        "node_id",
        "country",
        "region",
        "latency_ms",
        "uptime_pct",
        "packet_loss",
        "timestamp",
    ] {
        rows.sample(field, json!("(missing)"));
    }
    rows.sample("node_id", json!("bad\u{0}"));
    rows.sample("node_id", json!(7));
    rows.sample("region", json!("a\u{0}b"));
    rows.sample("country", json!("gh"));
    rows.sample("latency_ms", json!("12"));
    rows.sample("latency_ms", json!(10_001));
    rows.sample("latency_ms", json!(null));
    rows.sample("packet_loss", json!(-1));
    rows.sample("uptime_pct", json!(101));
    rows.sample("timestamp", json!("yesterday"));
    rows.sample("timestamp", json!(1_700_000_000));
    rows.sample("timestamp", at(-400));
    rows.sample("timestamp", at(8 * 86_400));
}
