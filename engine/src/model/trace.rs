//! The id that follows one request through answers, logs and the journal.

use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(String);

const TRACE_ID_BYTES_MAX: usize = 128;

impl TraceId {
    /// The client's if it is sane, else a new one.
    pub fn of(header: Option<&[u8]>) -> Self {
        let sane = header.filter(|value| {
            (1..=TRACE_ID_BYTES_MAX).contains(&value.len())
                && value.iter().all(u8::is_ascii_graphic)
        });
        match sane.and_then(|value| std::str::from_utf8(value).ok()) {
            Some(value) => Self(value.to_owned()),
            None => Self(Uuid::new_v4().to_string()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_trace_id_is_replaced() {
        assert_eq!(TraceId::of(Some(b"abc-1")).as_str(), "abc-1");
        for bad in [&b""[..], b"a b", b"a\nb", &[b'x'; 129], b"\xff"] {
            assert_eq!(TraceId::of(Some(bad)).as_str().len(), 36);
        }
    }
}
