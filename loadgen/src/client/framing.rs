//! Where an answer ends. Pure: bytes in, a verdict out.

use super::Error;
use std::time::Duration;

/// The head of an answer, as far as a client needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) retry_after: Option<Duration>,
    /// Bytes of the head itself.
    pub(super) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Exact(usize),
    Chunked,
    UntilClose,
}

const FIELDS_MAX: usize = 64;
/// A date or a week in `Retry-After` would park a probe for good; more than this is cut.
const RETRY_AFTER_MAX_S: u64 = 300;

/// `Ok(None)` while the head is incomplete.
pub(super) fn parse_head(bytes: &[u8], head_request: bool) -> Result<Option<Head>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let len = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Error::Protocol("bad head")),
    };
    let status = answer.code.unwrap_or(0);
    let mut length = None;
    let mut chunked = false;
    let mut keep_alive = answer.version == Some(1);
    let mut retry_after = None;
    for field in answer.headers.iter() {
        let value = field.value.trim_ascii();
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = decimal(value).ok_or(Error::Protocol("bad Content-Length"))?;
            if length.replace(value).is_some_and(|before| before != value) {
                return Err(Error::Protocol("two lengths"));
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Error::Protocol("unknown Transfer-Encoding"));
            }
            chunked = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            if has_token(value, b"close") {
                keep_alive = false;
            } else if has_token(value, b"keep-alive") {
                keep_alive = true;
            }
        } else if field.name.eq_ignore_ascii_case("retry-after") {
            let seconds = decimal(value).map(|s| (s as u64).min(RETRY_AFTER_MAX_S));
            retry_after = seconds.map(Duration::from_secs);
        }
    }
    let body = match (chunked, length) {
        (true, Some(_)) => return Err(Error::Protocol("length beside chunked")),
        _ if head_request || status / 100 == 1 || status == 204 || status == 304 => {
            BodyLength::Exact(0)
        }
        (true, None) => BodyLength::Chunked,
        (false, Some(length)) => BodyLength::Exact(length),
        (false, None) => BodyLength::UntilClose,
    };
    if body == BodyLength::UntilClose {
        keep_alive = false;
    }
    Ok(Some(Head {
        status,
        body,
        keep_alive,
        retry_after,
        len,
    }))
}

/// Digits only, at most nine: no answer to a probe is near a gigabyte.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        text.iter()
            .fold(0, |value, digit| value * 10 + usize::from(digit - b'0')),
    )
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|b| *b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// One step through a chunked body that begins at `bytes`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// More bytes are needed.
    Partial,
    /// Skip `head` bytes, then `data` bytes of body, then two of CRLF.
    Data { head: usize, data: usize },
    /// The body is over; `len` bytes of last chunk and trailers.
    End { len: usize },
}

const CHUNK_LINE_MAX: usize = 256;
const TRAILERS_MAX: usize = 4_096;

pub(super) fn parse_chunk(bytes: &[u8]) -> Result<Chunk, Error> {
    let Some(line_end) = bytes
        .windows(2)
        .take(CHUNK_LINE_MAX)
        .position(|w| w == b"\r\n")
    else {
        return if bytes.len() > CHUNK_LINE_MAX {
            Err(Error::Protocol("chunk line too long"))
        } else {
            Ok(Chunk::Partial)
        };
    };
    let line = &bytes[..line_end];
    let size = line
        .split(|b| *b == b';')
        .next()
        .unwrap_or(line)
        .trim_ascii_end();
    if size.is_empty() || size.len() > 7 || !size.iter().all(u8::is_ascii_hexdigit) {
        return Err(Error::Protocol("bad chunk size"));
    }
    let data = size.iter().fold(0, |value, digit| {
        value * 16 + char::from(*digit).to_digit(16).map_or(0, |d| d as usize)
    });
    let head = line_end + 2;
    if data > 0 {
        let end = head + data;
        return match bytes.get(end..end + 2) {
            Some(b"\r\n") => Ok(Chunk::Data { head, data }),
            Some(_) => Err(Error::Protocol("chunk without its end")),
            None => Ok(Chunk::Partial),
        };
    }
    let rest = &bytes[head..];
    if rest.starts_with(b"\r\n") {
        return Ok(Chunk::End { len: head + 2 });
    }
    match rest.windows(4).position(|w| w == b"\r\n\r\n") {
        Some(end) => Ok(Chunk::End {
            len: head + end + 4,
        }),
        None if rest.len() > TRAILERS_MAX => Err(Error::Protocol("trailers too long")),
        None => Ok(Chunk::Partial),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Error> {
        parse_head(text.as_bytes(), false)
    }

    #[test]
    fn an_ambiguous_end_is_refused() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length:",
            "Content-Length: 99999999999",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert!(matches!(head(&text), Err(Error::Protocol(_))), "{fields}");
        }
    }

    #[test]
    fn the_end_and_the_reuse_follow_the_head() {
        let check = |text: &str, body, keep_alive| {
            let head = head(text).unwrap().unwrap();
            assert_eq!(
                (head.body, head.keep_alive, head.len),
                (body, keep_alive, text.len())
            );
        };
        check(
            "HTTP/1.1 202 A\r\nContent-Length: 12\r\n\r\n",
            BodyLength::Exact(12),
            true,
        );
        check(
            "HTTP/1.1 202 A\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n",
            BodyLength::Exact(0),
            false,
        );
        check(
            "HTTP/1.0 200 A\r\nContent-Length: 1\r\n\r\n",
            BodyLength::Exact(1),
            false,
        );
        check(
            "HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n",
            BodyLength::Chunked,
            true,
        );
        check("HTTP/1.1 200 A\r\n\r\n", BodyLength::UntilClose, false);
        check("HTTP/1.1 204 A\r\n\r\n", BodyLength::Exact(0), true);
    }

    #[test]
    fn retry_after_is_seconds_and_bounded() {
        let retry = |value: &str| {
            let text =
                format!("HTTP/1.1 503 S\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
            head(&text).unwrap().unwrap().retry_after
        };
        assert_eq!(retry("2"), Some(Duration::from_secs(2)));
        assert_eq!(retry("86400"), Some(Duration::from_secs(300)));
        assert_eq!(retry("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }

    #[test]
    fn chunks_are_read_at_every_cut_and_bad_ones_refused() {
        let body = b"3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n";
        for cut in 0..12 {
            assert_eq!(parse_chunk(&body[..cut]).unwrap(), Chunk::Partial, "{cut}");
        }
        assert_eq!(parse_chunk(body).unwrap(), Chunk::Data { head: 7, data: 3 });
        assert_eq!(parse_chunk(&body[12..]).unwrap(), Chunk::End { len: 11 });
        for bad in [
            "\r\n",
            "-1\r\n",
            "0x1\r\nab",
            "g\r\n",
            "1\r\nabc",
            "fffffffff\r\n",
            ";\r\n",
        ] {
            assert!(parse_chunk(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
