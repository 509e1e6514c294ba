//! Query strings: percent-decoding, one value a name, and the error that names the parameter.

use super::error::Error;
use crate::parse::check_node_id;
use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use std::str::FromStr;

/// More are nobody's honest request.
const PARAMS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for part in query
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = decode(name, true).zip(decode(value, true));
            let Some(pair) = decoded.filter(|_| pairs.len() < PARAMS_MAX) else {
                return Err(Error::parameter("query", "cannot be decoded"));
            };
            pairs.push(pair);
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; empty counts as not sent, twice is refused.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, Error> {
        let mut values = self
            .0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value);
        let first = values
            .next()
            .map(String::as_str)
            .filter(|value| !value.is_empty());
        match values.next() {
            Some(_) => Err(Error::parameter(name, "given more than once")),
            None => Ok(first),
        }
    }

    pub(crate) fn number<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| Error::parameter(name, "not a number in range"))
    }

    pub(crate) fn instant(&self, name: &'static str) -> Result<Option<UnixMicros>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        // A `+01:00` whose plus was not encoded arrives as a space.
        let instant = UnixMicros::parse(&text.replace(' ', "+"))
            .or_else(|_| UnixMicros::parse(text))
            .map_err(|error| Error::parameter(name, error.to_string()))?;
        Ok(Some(instant))
    }

    /// `from` and `to`, in this order: up to now, and so long, where they are not given.
    pub(crate) fn window(
        &self,
        now: UnixMicros,
        span_default_s: i64,
    ) -> Result<(UnixMicros, UnixMicros), Error> {
        let to = self.instant("to")?.unwrap_or(now);
        let from = self.instant("from")?.unwrap_or(UnixMicros(
            to.0.saturating_sub(span_default_s * MICROS_PER_S),
        ));
        if from >= to {
            return Err(Error::parameter("from", "is not before `to`"));
        }
        Ok((from, to))
    }

    pub(crate) fn node_id(&self) -> Result<Option<&str>, Error> {
        let Some(text) = self.text("node_id")? else {
            return Ok(None);
        };
        if is_node_id(text) {
            Ok(Some(text))
        } else {
            Err(Error::parameter("node_id", "1–64 of A–Z a–z 0–9 . _ : -"))
        }
    }
}

pub(crate) fn is_node_id(text: &str) -> bool {
    check_node_id(text).is_ok()
}

/// Percent-decoding into UTF-8; `None` for a broken escape, broken UTF-8 or a NUL.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(out)
        .ok()
        .filter(|text| !text.contains('\0'))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(Some(query)).unwrap()
    }

    #[test]
    fn values_are_decoded() {
        let params = params("node_id=a%3Ab&region=Greater+Accra&limit=5&empty=");
        assert_eq!(params.node_id().unwrap(), Some("a:b"));
        assert_eq!(params.text("region").unwrap(), Some("Greater Accra"));
        assert_eq!(params.number::<u16>("limit").unwrap(), Some(5));
        assert_eq!(params.text("empty").unwrap(), None);
        assert_eq!(params.text("absent").unwrap(), None);
    }

    #[test]
    fn an_offset_survives_an_unencoded_plus() {
        let instant = params("from=2026-11-23T20:00:00+01:00")
            .instant("from")
            .unwrap();
        assert_eq!(instant, Some(UnixMicros(1_795_460_400_000_000)));
        let instant = params("from=2026-11-23%2019:00:00Z")
            .instant("from")
            .unwrap();
        assert_eq!(instant, Some(UnixMicros(1_795_460_400_000_000)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        assert!(Params::parse(Some("a=%zz")).is_err());
        assert!(Params::parse(Some("a=%00")).is_err());
        assert!(Params::parse(Some("a=%ff")).is_err());
        assert!(Params::parse(Some(&"a=1&".repeat(40))).is_err());
        for (query, name) in [
            ("limit=-1", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
        ] {
            let error = params(query).number::<u16>("limit").unwrap_err();
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
        for id in ["a'%20OR%201=1", "a;b", "%3Cscript%3E", &"x".repeat(65)] {
            assert!(params(&format!("node_id={id}")).node_id().is_err(), "{id}");
        }
    }
}
