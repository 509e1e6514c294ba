//! Instants as microseconds since 1970, in RFC 3339 on the wire.
//!
//! Own code because the engine parses one per sample on the hot path, PostgreSQL's resolution is
//! the microsecond, and a date library would weigh more than the rest of the dashboard's client.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMicros(pub i64);

/// Why a text is not an RFC 3339 instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRfc3339;

impl fmt::Display for NotRfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 timestamp")
    }
}

impl std::error::Error for NotRfc3339 {}

pub const MICROS_PER_S: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_S;

impl UnixMicros {
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * MICROS_PER_S)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000)
    }

    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / MICROS_PER_S as f64
    }

    /// Seconds from `earlier` to `self`; negative when it is the other way round.
    pub fn secs_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / MICROS_PER_S as f64
    }

    /// Start of the step of `step_s` seconds that holds this instant.
    pub const fn floor_to(self, step_s: i64) -> Self {
        let step = step_s * MICROS_PER_S;
        Self(self.0.div_euclid(step) * step)
    }

    /// The clock of this machine. Not on wasm32, where there is none in std.
    #[cfg(not(target_family = "wasm"))]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Reads `2026-01-31T10:20:30[.123456][Z|±hh:mm]`; no zone means UTC, as predecessors' probes
    /// send it. `t`, `z` and a space for `T` are RFC 3339 too. Digits past the microsecond are cut.
    /// Second 60 is taken as the first instant of the next minute.
    pub fn parse(text: &str) -> Result<Self, NotRfc3339> {
        parse(text.as_bytes()).ok_or(NotRfc3339).map(Self)
    }

    /// (year, month, day) of the UTC date.
    pub fn utc_date(self) -> (i64, u8, u8) {
        civil_from_days(self.0.div_euclid(MICROS_PER_DAY))
    }

    /// (hour, minute, second, microsecond) of the UTC time of day.
    pub fn utc_time(self) -> (u8, u8, u8, u32) {
        let micros = self.0.rem_euclid(MICROS_PER_DAY);
        let secs = micros / MICROS_PER_S;
        (
            narrow(secs / 3600),
            narrow(secs / 60 % 60),
            narrow(secs % 60),
            u32::try_from(micros % MICROS_PER_S).unwrap_or(0),
        )
    }
}

fn narrow(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

impl fmt::Display for UnixMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.utc_date();
        let (hour, minute, second, micros) = self.utc_time();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if micros == 0 {
            f.write_str("Z")
        } else if micros % 1_000 == 0 {
            write!(f, ".{:03}Z", micros / 1_000)
        } else {
            write!(f, ".{micros:06}Z")
        }
    }
}

impl Serialize for UnixMicros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMicros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = UnixMicros;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 timestamp")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UnixMicros, E> {
                UnixMicros::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for UnixMicros {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    if text.len() < 19
        || text[4] != b'-'
        || text[7] != b'-'
        || !matches!(text[10], b'T' | b't' | b' ')
        || text[13] != b':'
        || text[16] != b':'
    {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut micros = 0;
    if let [b'.', digits @ ..] = rest {
        let len = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if len == 0 {
            return None;
        }
        let padded = digits[..len].iter().chain(std::iter::repeat(&b'0'));
        for digit in padded.take(6) {
            micros = micros * 10 + i64::from(digit - b'0');
        }
        rest = &digits[len..];
    }
    let offset_minutes = match rest {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(rest, 1)?, two(rest, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let secs = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    Some(secs * MICROS_PER_S + micros)
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date. Years run from March, so that the leap day is last:
/// the usual proleptic-calendar arithmetic over 400-year eras of 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, narrow(month), narrow(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<i64>) {
        assert_eq!(UnixMicros::parse(text).ok().map(|t| t.0), expect, "{text}");
    }

    #[test]
    fn reads_what_probes_send() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01T00:00:01.5", Some(1_500_000));
        check("2026-11-23T20:00:00+01:00", Some(1_795_460_400_000_000));
        check("2026-11-23 19:00:00.000001Z", Some(1_795_460_400_000_001));
        check("2000-02-29T00:00:00Z", Some(951_782_400_000_000));
        check(
            "2026-11-23T19:00:00.123456789Z",
            Some(1_795_460_400_123_456),
        );
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T19:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T19:00:00.Z",
            "2026-11-23T19:00:00+1:00",
            "2026-11-23T19:00:00Zx",
            "2026-11-23T19:00:00+24:00",
            "+026-11-23T19:00:00Z",
            "1795460400",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        let mut micros = -62_135_596_800_000_000_i64 + 1;
        while micros < 253_402_300_799_000_000 {
            let instant = UnixMicros(micros);
            assert_eq!(UnixMicros::parse(&instant.to_string()), Ok(instant));
            micros += 86_399_000_037 * 331;
        }
    }
}
