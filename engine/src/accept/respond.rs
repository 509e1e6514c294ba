//! Answers as bytes.

use crate::admit::Reply;
use fiber_contract::UnixMicros;
use std::cell::RefCell;

pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The whole answer in one buffer, so that it leaves in one segment. Pushed piece by piece, because
/// `write!` took a third of a parse.
pub(super) fn render(reply: &Reply, close: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + reply.body.len());
    let put = |out: &mut Vec<u8>, name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    };
    put(&mut out, "HTTP/1.1 ", u64::from(reply.status));
    out.push(b' ');
    out.extend_from_slice(reason(reply.status).as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    put_http_date(&mut out, UnixMicros::now());
    out.extend_from_slice(b"\r\nContent-Type: application/json");
    put(&mut out, "\r\nContent-Length: ", reply.body.len() as u64);
    out.extend_from_slice(b"\r\nX-Trace-ID: ");
    out.extend_from_slice(reply.trace_id.as_str().as_bytes());
    let quota = &reply.quota;
    put(&mut out, "\r\nX-RateLimit-Limit: ", quota.limit);
    put(&mut out, "\r\nX-RateLimit-Remaining: ", quota.remaining);
    put(&mut out, "\r\nX-RateLimit-Reset: ", quota.reset_s());
    out.extend_from_slice(b"\r\nX-RateLimit-Policy: ");
    out.extend_from_slice(quota.policy.as_str().as_bytes());
    if let Some(seconds) = reply.retry_after_s() {
        put(&mut out, "\r\nRetry-After: ", seconds);
    }
    if reply.status == 401 {
        out.extend_from_slice(b"\r\nWWW-Authenticate: Bearer");
    }
    if close {
        out.extend_from_slice(b"\r\nConnection: close");
    }
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(&reply.body);
    out
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Answer",
    }
}

/// IMF-fixdate (RFC 9110, 5.6.7), made once a second per core.
fn put_http_date(out: &mut Vec<u8>, now: UnixMicros) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let second = now.0.div_euclid(fiber_contract::time::MICROS_PER_S);
    LAST.with_borrow_mut(|(at, text)| {
        if *at != second {
            (*at, *text) = (second, fixdate(UnixMicros::from_secs(second)));
        }
        out.extend_from_slice(text.as_bytes());
    });
}

fn fixdate(at: UnixMicros) -> String {
    // 1970-01-01 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = at.utc_date();
    let (hour, minute, second, _) = at.utc_time();
    let days = at.0.div_euclid(86_400 * fiber_contract::time::MICROS_PER_S);
    let weekday = DAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[usize::from(month - 1)];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::{Policy, Quota};
    use crate::model::TraceId;
    use std::time::Duration;

    #[test]
    fn an_answer_is_whole_and_says_what_it_must() {
        let reply = Reply {
            status: 401,
            body: b"{}".to_vec(),
            trace_id: TraceId::of(Some(b"t")),
            quota: Quota {
                limit: 9,
                remaining: 8,
                reset: Duration::from_millis(1_500),
                policy: Policy::Distributed,
            },
            retry_after: Some(Duration::ZERO),
            close: false,
        };
        let text = String::from_utf8(render(&reply, true)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.split("\r\n").collect();
        assert!(lines.remove(1).starts_with("Date: ") && lines.len() == 11);
        assert_eq!(
            (lines.join("|").as_str(), body),
            (
                "HTTP/1.1 401 Unauthorized|Content-Type: application/json|Content-Length: 2|\
                 X-Trace-ID: t|X-RateLimit-Limit: 9|X-RateLimit-Remaining: 8|X-RateLimit-Reset: 2|\
                 X-RateLimit-Policy: distributed|Retry-After: 1|WWW-Authenticate: Bearer|\
                 Connection: close",
                "{}"
            )
        );
    }

    #[test]
    fn dates_are_the_rfcs() {
        assert_eq!(
            fixdate(UnixMicros::from_secs(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}
