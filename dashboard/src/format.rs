//! Numbers and times as an operator reads them. What is not known is an en dash, never a zero.

use std::fmt;

use fiber_contract::UnixMicros;

pub(crate) const UNKNOWN: &str = "–";

/// A number with a fixed count of decimals, half a unit rounded away from zero.
///
/// Rust's own float formatting is exact for hundreds of digits, and its tables weigh as much as a
/// page of the dashboard. Here 15 digits are right, more than any chart or cell shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    value: f64,
    decimals: usize,
}

pub(crate) const fn fixed(value: f64, decimals: usize) -> Fixed {
    Fixed { value, decimals }
}

/// Screen coordinates: a tenth of a pixel.
pub(crate) const fn px(value: f64) -> Fixed {
    fixed(value, 1)
}

impl fmt::Display for Fixed {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; beyond 64 bits it stops at the largest"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 24;
        if !self.value.is_finite() {
            return f.write_str(UNKNOWN);
        }
        let mut scale = 1.0;
        for _ in 0..self.decimals {
            scale *= 10.0;
        }
        let mut left = (self.value.abs() * scale).round() as u64;
        let negative = self.value < 0.0 && left > 0;
        let mut text = [b'0'; LONGEST];
        let mut at = LONGEST;
        let mut put = |byte: u8| {
            at -= 1;
            text[at] = byte;
        };
        for place in 0.. {
            if place > self.decimals && left == 0 {
                break;
            }
            if place == self.decimals && place > 0 {
                put(b'.');
            }
            put(b'0' + (left % 10) as u8);
            left /= 10;
        }
        if negative {
            put(b'-');
        }
        f.write_str(str::from_utf8(&text[at..]).unwrap_or(UNKNOWN))
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Milliseconds with about three significant digits, without the unit.
pub(crate) fn ms(value: Option<f32>) -> String {
    match value {
        Some(ms) if ms.is_finite() && ms < 9.995 => fixed(ms.into(), 2).to_string(),
        Some(ms) if ms.is_finite() && ms < 99.95 => fixed(ms.into(), 1).to_string(),
        Some(ms) if ms.is_finite() => fixed(ms.into(), 0).to_string(),
        _ => UNKNOWN.to_owned(),
    }
}

/// A percentage without its sign. 100 and 0 are only written when they are exactly that.
pub(crate) fn pct(value: Option<f32>) -> String {
    match value {
        Some(pct) if !pct.is_finite() => UNKNOWN.to_owned(),
        Some(100.0) => "100".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(pct) if pct > 99.99 => "99.99".to_owned(),
        Some(pct) if pct < 0.01 => "0.01".to_owned(),
        Some(pct) if !(1.0..99.0).contains(&pct) => fixed(pct.into(), 2).to_string(),
        Some(pct) => fixed(pct.into(), 1).to_string(),
        None => UNKNOWN.to_owned(),
    }
}

/// Events per second.
pub(crate) fn rate(per_s: f64) -> String {
    if !per_s.is_finite() {
        UNKNOWN.to_owned()
    } else if per_s < 10.0 {
        fixed(per_s, 1).to_string()
    } else if per_s < 10_000.0 {
        fixed(per_s, 0).to_string()
    } else if per_s < 1e6 {
        format!("{} k", fixed(per_s / 1e3, 1))
    } else {
        format!("{} M", fixed(per_s / 1e6, 2))
    }
}

/// A duration in the two units that matter.
pub(crate) fn span(secs: f64) -> String {
    if !secs.is_finite() {
        return UNKNOWN.to_owned();
    }
    let secs = secs.max(0.0);
    if secs < 1.0 {
        return format!("{} ms", fixed(secs * 1e3, 0));
    }
    if secs < 60.0 {
        return format!("{} s", fixed(secs.floor(), 0));
    }
    let (minutes, hours, days) = (
        (secs / 60.0).floor(),
        (secs / 3_600.0).floor(),
        (secs / 86_400.0).floor(),
    );
    if minutes < 60.0 {
        format!("{} min", fixed(minutes, 0))
    } else if hours < 24.0 {
        let zero = if minutes - hours * 60.0 < 10.0 {
            "0"
        } else {
            ""
        };
        format!(
            "{} h {zero}{} min",
            fixed(hours, 0),
            fixed(minutes - hours * 60.0, 0)
        )
    } else {
        format!("{} d {} h", fixed(days, 0), fixed(hours - days * 24.0, 0))
    }
}

/// How long ago something was, in one short word: it stands in a table column.
pub(crate) fn age(secs: f64) -> String {
    if !secs.is_finite() {
        UNKNOWN.to_owned()
    } else if secs < 1.0 {
        "now".to_owned()
    } else if secs < 100.0 {
        format!("{} s", fixed(secs.floor(), 0))
    } else if secs < 6_000.0 {
        format!("{} min", fixed((secs / 60.0).floor(), 0))
    } else if secs < 172_800.0 {
        format!("{} h", fixed((secs / 3_600.0).floor(), 0))
    } else {
        format!("{} d", fixed((secs / 86_400.0).floor(), 0))
    }
}

pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut scaled, mut unit) = (value as f64, 0);
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("B");
    if scaled >= 100.0 || unit == "B" {
        format!("{} {unit}", fixed(scaled, 0))
    } else {
        format!("{} {unit}", fixed(scaled, 1))
    }
}

/// `14:32:10` of an instant that was already moved to the zone it is shown in.
pub(crate) fn clock(zoned: UnixMicros) -> String {
    let (hour, minute, second, _) = zoned.utc_time();
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// `23 Nov 14:32:10`, for a cursor that may stand days back.
pub(crate) fn date_clock(zoned: UnixMicros) -> String {
    format!("{} {}", date(zoned), clock(zoned))
}

/// `23 Nov`.
pub(crate) fn date(zoned: UnixMicros) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, month, day) = zoned.utc_date();
    let month = MONTHS
        .get(usize::from(month).saturating_sub(1))
        .copied()
        .unwrap_or(UNKNOWN);
    format!("{day} {month}")
}

/// `1 node`, `2 nodes`.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_decimals_are_as_rust_writes_them() {
        for (value, decimals, expect) in [
            (0.0, 0, "0"),
            (-0.04, 1, "0.0"),
            (-0.05, 1, "-0.1"),
            (0.005, 2, "0.01"),
            (1234.5678, 2, "1234.57"),
            (99.95, 1, "100.0"),
            (1e300, 1, "1844674407370955161.5"),
            (f64::NAN, 1, UNKNOWN),
            (f64::NEG_INFINITY, 0, UNKNOWN),
        ] {
            assert_eq!(fixed(value, decimals).to_string(), expect, "{value}");
        }
        for n in -20_000..20_000 {
            let value = f64::from(n) / 7.0;
            let own = fixed(value, 3).to_string();
            assert_eq!(own, format!("{value:.3}"));
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (value, expect) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(count(value), expect);
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        assert_eq!(ms(None), UNKNOWN);
        assert_eq!(ms(Some(f32::NAN)), UNKNOWN);
        assert_eq!(pct(None), UNKNOWN);
        assert_eq!(pct(Some(f32::NAN)), UNKNOWN);
        assert_eq!(rate(f64::NAN), UNKNOWN);
        assert_eq!(age(f64::NAN), UNKNOWN);
        assert_eq!(span(f64::INFINITY), UNKNOWN);
    }

    #[test]
    fn milliseconds_keep_three_digits() {
        for (value, expect) in [
            (0.123, "0.12"),
            (9.99, "9.99"),
            (9.999, "10.0"),
            (42.25, "42.3"),
            (99.96, "100"),
        ] {
            assert_eq!(ms(Some(value)), expect);
        }
    }

    #[test]
    fn rounding_never_claims_perfection() {
        assert_eq!(pct(Some(99.999)), "99.99");
        assert_eq!(pct(Some(0.001)), "0.01");
        assert_eq!(pct(Some(100.0)), "100");
        assert_eq!(pct(Some(0.0)), "0");
        assert_eq!(pct(Some(99.5)), "99.50");
        assert_eq!(pct(Some(12.34)), "12.3");
    }

    #[test]
    fn durations_name_two_units() {
        for (secs, expect) in [
            (0.25, "250 ms"),
            (59.9, "59 s"),
            (60.0, "1 min"),
            (3_900.0, "1 h 05 min"),
            (180_000.0, "2 d 2 h"),
        ] {
            assert_eq!(span(secs), expect);
        }
        for (secs, expect) in [
            (0.4, "now"),
            (-3.0, "now"),
            (99.0, "99 s"),
            (7_300.0, "2 h"),
        ] {
            assert_eq!(age(secs), expect);
        }
    }

    #[test]
    fn bytes_are_binary() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
    }

    #[test]
    fn instants_show_their_clock() {
        let instant = UnixMicros::parse("2026-11-23T04:05:06Z").unwrap();
        assert_eq!(date_clock(instant), "23 Nov 04:05:06");
    }
}
