//! Answers as bytes.

use crate::admit::Reply;
use fiber_contract::UnixMicros;
use std::cell::RefCell;
use std::fmt::Write as _;

pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The whole answer in one buffer, so that it leaves in one segment.
pub(super) fn render(reply: &Reply, close: bool) -> Vec<u8> {
    let mut head = String::with_capacity(512 + reply.body.len());
    let status = reply.status;
    let parts = write!(
        head,
        "HTTP/1.1 {status} {}\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Trace-ID: {}\r\n",
        reason(status),
        http_date(UnixMicros::now()),
        reply.body.len(),
        reply.trace_id.as_str(),
    )
    .and_then(|()| match &reply.quota {
        Some(quota) => write!(
            head,
            "X-RateLimit-Limit: {}\r\nX-RateLimit-Remaining: {}\r\nX-RateLimit-Reset: {}\r\nX-RateLimit-Policy: local\r\n",
            quota.limit,
            quota.remaining,
            quota.reset_s(),
        ),
        None => Ok(()),
    })
    .and_then(|()| match reply.retry_after_s() {
        Some(seconds) => write!(head, "Retry-After: {seconds}\r\n"),
        None => Ok(()),
    });
    debug_assert!(parts.is_ok(), "writing to a String does not fail");
    if status == 401 {
        head.push_str("WWW-Authenticate: Bearer\r\n");
    }
    head.push_str(if close {
        "Connection: close\r\n\r\n"
    } else {
        "\r\n"
    });
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&reply.body);
    bytes
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
fn http_date(now: UnixMicros) -> String {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let second = now.0.div_euclid(fiber_contract::time::MICROS_PER_S);
    LAST.with_borrow_mut(|(at, text)| {
        if *at != second {
            (*at, *text) = (second, fixdate(UnixMicros::from_secs(second)));
        }
        text.clone()
    })
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

    #[test]
    fn dates_are_the_rfcs() {
        assert_eq!(
            fixdate(UnixMicros::from_secs(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}
