//! A request head, strictly. Pure functions over bytes.

use crate::admit::{ForwardedFor, SEVERAL_ENCODINGS};
use crate::auth::SignatureFields;
use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, TARGET_BYTES_MAX};
use crate::parse::Reject;
use fiber_contract::ErrorCode;
use fiber_contract::signature::{NONCE_FIELD, SIGNATURE_FIELD, TIMESTAMP_FIELD};

/// A head in the buffer; everything borrows from it.
#[derive(Debug)]
pub(crate) struct Head<'b> {
    pub(crate) method: &'b str,
    pub(crate) path: &'b str,
    pub(crate) query: Option<&'b str>,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) fields: Fields<'b>,
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// The fields that ingest reads; each as it came first, but for Authorization: of two nobody can say
/// which one a proxy in front had judged, so two count as none.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b> {
    pub(crate) authorization: Option<&'b [u8]>,
    pub(crate) content_type: Option<&'b [u8]>,
    pub(crate) content_encoding: Option<&'b [u8]>,
    pub(crate) batch_id: Option<&'b [u8]>,
    pub(crate) region_id: Option<&'b [u8]>,
    pub(crate) signature: SignatureFields<'b>,
    pub(crate) trace_id: Option<&'b [u8]>,
    request_id: Option<&'b [u8]>,
    pub(crate) forwarded_for: ForwardedFor<'b>,
}

/// Known ones get 405 where a route does not take them, others 501 everywhere.
pub(crate) const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY",
];

fn bad(message: &'static str) -> Reject {
    Reject::malformed(message).closing()
}

/// Length of the head with its empty line, once it is all there. `searched` is how many bytes were
/// looked at before, so that a slow sender costs no quadratic search.
pub(crate) fn head_length(bytes: &[u8], searched: usize) -> Result<Option<usize>, Reject> {
    // The last byte of the empty line was not there yet.
    let length = memchr::memchr_iter(b'\n', &bytes[searched..])
        .map(|at| searched + at + 1)
        .find(|end| bytes[..*end].ends_with(b"\r\n\r\n"));
    if length.unwrap_or(bytes.len()) > HEAD_BYTES_MAX {
        let line_end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(bytes.len());
        return Err(if line_end > TARGET_BYTES_MAX {
            uri_too_long()
        } else {
            head_too_large()
        });
    }
    if length.is_none() {
        check_line_ends(bytes)?;
    }
    Ok(length)
}

fn uri_too_long() -> Reject {
    Reject::new(
        ErrorCode::UriTooLong,
        format!("a target may have {TARGET_BYTES_MAX} bytes"),
    )
    .closing()
}

fn head_too_large() -> Reject {
    Reject::new(
        ErrorCode::HeadTooLarge,
        format!("a head may have {HEAD_BYTES_MAX} bytes and {HEAD_FIELDS_MAX} fields"),
    )
    .closing()
}

/// CR and LF only ever together: either alone is read as a line end by some, and not by others.
fn check_line_ends(head: &[u8]) -> Result<(), Reject> {
    let is_bare = |at: usize| match head[at] {
        b'\n' => at == 0 || head[at - 1] != b'\r',
        // What follows the last byte is not known yet.
        _ => head.get(at + 1).is_some_and(|next| *next != b'\n'),
    };
    if memchr::memchr2_iter(b'\r', b'\n', head).any(is_bare) {
        Err(bad("a bare CR or LF stands in the head"))
    } else {
        Ok(())
    }
}

/// The trace id of a head that is refused, as far as its lines tell one.
pub(crate) fn told_trace_id(head: &[u8]) -> Option<&[u8]> {
    let value = |name: &str| {
        head.split(|byte| *byte == b'\n').find_map(|line| {
            let (field, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            field
                .eq_ignore_ascii_case(name.as_bytes())
                .then_some(value.trim_ascii())
        })
    };
    value("x-trace-id").or_else(|| value("x-request-id"))
}

/// Reads a whole head.
pub(crate) fn parse(head: &[u8]) -> Result<Head<'_>, Reject> {
    check_line_ends(head)?;
    let mut storage = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
    let mut request = httparse::Request::new(&mut storage);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(head_too_large()),
        Err(httparse::Error::Version) => {
            return Err(Reject::new(ErrorCode::HttpVersion, "send HTTP/1.1").closing());
        }
        Ok(_) | Err(_) => return Err(bad("the head is not valid HTTP/1.1")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(bad("the head is not valid HTTP/1.1"));
    };
    if target.len() > TARGET_BYTES_MAX {
        return Err(uri_too_long());
    }
    if !METHODS.contains(&method) {
        return Err(Reject::new(ErrorCode::NotImplemented, "the method is not known").closing());
    }
    if !is_target(method, target) {
        return Err(bad("the request target is no path"));
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let http_1_0 = minor == 0;
    let mut seen = Seen {
        keep_alive: !http_1_0,
        ..Seen::default()
    };
    for header in request.headers.iter() {
        seen.take(header.name, header.value)?;
    }
    if seen.hosts > 1 || (seen.hosts == 0 && !http_1_0) {
        return Err(bad("send exactly one Host"));
    }
    let framing = match (seen.chunked, seen.length) {
        (true, Some(_)) => {
            return Err(bad(
                "Content-Length and Transfer-Encoding exclude each other",
            ));
        }
        (true, None) if http_1_0 => return Err(bad("HTTP/1.0 has no Transfer-Encoding")),
        (true, None) => Framing::Chunked,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    if seen.authorizations > 1 {
        seen.fields.authorization = None;
    }
    seen.fields.trace_id = seen.fields.trace_id.or(seen.fields.request_id);
    Ok(Head {
        method,
        path,
        query,
        framing,
        keep_alive: seen.keep_alive && !seen.close,
        expects_continue: seen.expects_continue && !http_1_0,
        fields: seen.fields,
    })
}

/// A path, a whole address, or `OPTIONS *`; and nothing that the query side would read otherwise.
fn is_target(method: &str, target: &str) -> bool {
    match target {
        "/api/push" | "/api/ingest" => true,
        "*" => method == "OPTIONS",
        _ => {
            let is_form = target.starts_with('/')
                || target.starts_with("http://")
                || target.starts_with("https://");
            is_form && !target.contains('#') && target.parse::<hyper::Uri>().is_ok()
        }
    }
}

#[derive(Default)]
struct Seen<'b> {
    hosts: u32,
    authorizations: u32,
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
    /// Whoever said so once means it, whatever else stands there.
    close: bool,
    expects_continue: bool,
    fields: Fields<'b>,
}

impl<'b> Seen<'b> {
    fn take(&mut self, name: &str, value: &'b [u8]) -> Result<(), Reject> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let fields = &mut self.fields;
        let keep = if is("authorization") {
            self.authorizations += 1;
            &mut fields.authorization
        } else if is("content-type") {
            &mut fields.content_type
        } else if is("content-encoding") {
            if fields.content_encoding.is_some() {
                fields.content_encoding = Some(SEVERAL_ENCODINGS);
            }
            &mut fields.content_encoding
        } else if is("x-batch-id") {
            &mut fields.batch_id
        } else if is("x-region-id") {
            &mut fields.region_id
        } else if is(TIMESTAMP_FIELD) {
            &mut fields.signature.timestamp
        } else if is(NONCE_FIELD) {
            &mut fields.signature.nonce
        } else if is(SIGNATURE_FIELD) {
            &mut fields.signature.signature
        } else if is("x-trace-id") {
            &mut fields.trace_id
        } else if is("x-request-id") {
            &mut fields.request_id
        } else if is("x-forwarded-for") {
            fields.forwarded_for.push(value);
            return Ok(());
        } else {
            return self.take_framing(name, value);
        };
        keep.get_or_insert(value);
        Ok(())
    }

    fn take_framing(&mut self, name: &str, value: &[u8]) -> Result<(), Reject> {
        if name.eq_ignore_ascii_case("host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case("content-length") {
            if self.length.is_some() {
                return Err(bad("Content-Length came twice"));
            }
            self.length = Some(length(value).ok_or_else(|| bad("Content-Length is not a number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Reject::new(
                    ErrorCode::NotImplemented,
                    "no Transfer-Encoding other than chunked is known",
                )
                .closing());
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            if !value.is_ascii() {
                // hyper reads no word of such a field, others read them all.
                return Err(bad("Connection is not a list of words"));
            }
            for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if token.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if token.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                }
            }
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Reject::new(
                    ErrorCode::ExpectationFailed,
                    "no expectation other than 100-continue is known",
                )
                .closing());
            }
            self.expects_continue = true;
        }
        Ok(())
    }
}

/// Digits only; the contract refuses what exceeds 2^63.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length <= i64::MAX.unsigned_abs()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, status: u16) {
        let reject = parse(head.as_bytes()).map(drop).unwrap_err();
        assert_eq!(reject.code.http_status(), status, "{head:?}");
        assert!(reject.close, "{head:?}");
    }

    fn with(fields: &str) -> String {
        format!("POST /api/push HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        check("POST /api/push HTTP/1.1\r\n\r\n", 400);
        check(&with("Host: b\r\n"), 400);
        check(&with("A: b\nC: d\r\n"), 400);
        check(&with("A: b\rC: d\r\n"), 400);
        check(&with("A: b\r\n c\r\n"), 400);
        check(&with("A : b\r\n"), 400);
        check(&with("A: b\x01\r\n"), 400);
        check(
            &with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            400,
        );
        check(&with("Content-Length: 3\r\nContent-Length: 3\r\n"), 400);
        for bad in ["+5", "0x5", "5,5", "", "-1", "9223372036854775808", "5 5"] {
            check(&with(&format!("Content-Length: {bad}\r\n")), 400);
        }
        check(&with("Transfer-Encoding: gzip\r\n"), 501);
        check(&with("Transfer-Encoding: gzip, chunked\r\n"), 501);
        check(
            &with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            501,
        );
        check(&with("Expect: more\r\n"), 417);
        for target in [
            "api/push",
            "*",
            "/a#b",
            "/a\u{7f}",
            "/a<b",
            "ftp://a/b",
            "http://",
            "a:1",
        ] {
            check(&format!("POST {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        }
        check("POST /api/push HTTP/2.0\r\nHost: a\r\n\r\n", 505);
        check("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
        check(
            &format!(
                "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
                "a".repeat(TARGET_BYTES_MAX)
            ),
            414,
        );
        check(&with(&"A: b\r\n".repeat(HEAD_FIELDS_MAX)), 431);
    }

    #[test]
    fn a_plain_push_is_read() {
        let text = with("content-LENGTH: 12\r\nX-Request-ID: r\r\nConnection: close\r\n");
        let head = parse(text.as_bytes()).unwrap();
        assert_eq!(
            (head.method, head.path, head.query),
            ("POST", "/api/push", None)
        );
        assert_eq!(
            (head.framing, head.keep_alive),
            (Framing::Length(12), false)
        );
        assert_eq!(head.fields.trace_id, Some(&b"r"[..]));
    }

    #[test]
    fn close_wins_and_two_encodings_are_none_that_is_known() {
        let text = with("Connection: close\r\nConnection: keep-alive\r\n");
        assert!(!parse(text.as_bytes()).unwrap().keep_alive);
        let text = with("Connection: close, \u{e9}\r\n");
        assert!(parse(text.as_bytes()).unwrap_err().close);
        let text = with("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n");
        let head = parse(text.as_bytes()).unwrap();
        assert_eq!(head.fields.content_encoding, Some(SEVERAL_ENCODINGS));
        let text = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parse(text.as_bytes()).unwrap().path, "*");
    }

    #[test]
    fn a_refused_head_still_tells_its_trace_id() {
        let head = b"GET / HTTP/1.1\nX-Request-ID: r\r\nx-trace-ID:  t-1 \r\n\r\n";
        assert_eq!(told_trace_id(head), Some(&b"t-1"[..]));
        assert_eq!(
            told_trace_id(b"GET / HTTP/1.1\r\nX-Request-ID: r\r\n"),
            Some(&b"r"[..])
        );
        assert_eq!(
            told_trace_id(b"GET /x-trace-id: HTTP/1.1\r\nX-Trace-ID : t\r\n"),
            None
        );
    }

    #[test]
    fn two_authorizations_count_as_none() {
        let authorization = |fields: &str| {
            let text = with(fields);
            let head = parse(text.as_bytes()).unwrap();
            head.fields.authorization.map(<[u8]>::to_vec)
        };
        let one = "Authorization: Bearer a\r\n";
        assert_eq!(authorization(one).as_deref(), Some(&b"Bearer a"[..]));
        assert_eq!(authorization(&format!("{one}AUTHORIZATION: x\r\n")), None);
        assert_eq!(authorization(&one.repeat(2)), None);
    }

    #[test]
    fn the_end_of_a_head_is_found_at_every_split() {
        let text = with("A: b\r\n");
        let bytes = text.as_bytes();
        for split in 0..bytes.len() {
            assert_eq!(
                head_length(&bytes[..split], 0),
                Ok(None),
                "split at {split}"
            );
            assert_eq!(head_length(bytes, split), Ok(Some(bytes.len())));
        }
    }

    #[test]
    fn a_head_without_end_is_refused_by_what_is_long() {
        let line = format!("GET /{}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            head_length(line.as_bytes(), 0).unwrap_err().code,
            ErrorCode::UriTooLong
        );
        let fields = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            head_length(fields.as_bytes(), 0).unwrap_err().code,
            ErrorCode::HeadTooLarge
        );
    }
}
