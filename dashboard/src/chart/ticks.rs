//! Where an axis gets its marks.

use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;

use super::scale::magnitude;
use crate::format::{self, fixed};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// Steps between time marks, in seconds: divisors of what people count in.
const TIME_STEPS: [i64; 18] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
];

/// Round values from `low` to `high`, about `wanted` of them.
pub(crate) fn values(low: f64, high: f64, wanted: u32) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0 && wanted > 0) {
        return vec![low];
    }
    let raw = span / f64::from(wanted);
    let magnitude = magnitude(raw);
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| span / step <= f64::from(wanted) + 1e-9)
        .unwrap_or(10.0 * magnitude);
    let mut out = Vec::new();
    let mut at = (low / step - 1e-9).ceil() * step;
    while at <= high + step * 1e-9 {
        out.push(at);
        at += step;
    }
    out
}

/// Round values of a logarithmic axis, no more than there is room for: powers of ten, or with
/// their halves and fifths where those are few.
pub(crate) fn decades(low: f64, high: f64, room: f64) -> Vec<f64> {
    if !(low > 0.0 && high > low && high.is_finite()) {
        return Vec::new();
    }
    let factors: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let mut found = Vec::new();
    for factors in factors {
        found.clear();
        let mut decade = magnitude(low);
        while decade <= high {
            let values = factors.iter().map(|factor| factor * decade);
            found.extend(values.filter(|value| (low..=high).contains(value)));
            decade *= 10.0;
        }
        if found.len() as f64 <= room.max(1.0) {
            break;
        }
    }
    found
}

/// Without digits that say nothing.
pub(crate) fn short(value: f64) -> String {
    let text = fixed(value, 2).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One mark of a time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeTick {
    pub(crate) at: UnixMicros,
    pub(crate) label: String,
}

/// Marks between two instants, at most `most`, on round times of the zone that lies
/// `offset_minutes` east of UTC.
pub(crate) fn times(
    from: UnixMicros,
    to: UnixMicros,
    most: usize,
    offset_minutes: i64,
) -> Vec<TimeTick> {
    let span_s = (to.0 - from.0) / MICROS_PER_S;
    if span_s <= 0 || most == 0 {
        return Vec::new();
    }
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let step_s = TIME_STEPS
        .into_iter()
        .find(|step| span_s / step < most)
        .unwrap_or_else(|| (span_s / most / DAY + 1) * DAY);
    let shift = offset_minutes * MINUTE * MICROS_PER_S;
    let step = step_s * MICROS_PER_S;
    let mut zoned = UnixMicros(from.0 + shift).floor_to(step_s);
    if zoned.0 < from.0 + shift {
        zoned.0 += step;
    }
    let mut out = Vec::new();
    while zoned.0 <= to.0 + shift {
        out.push(TimeTick {
            at: UnixMicros(zoned.0 - shift),
            label: label(zoned, step_s),
        });
        zoned.0 += step;
    }
    out
}

/// The date at midnight, else the time, with seconds only where the step needs them.
fn label(zoned: UnixMicros, step_s: i64) -> String {
    let (hour, minute, second, _) = zoned.utc_time();
    if hour == 0 && minute == 0 && second == 0 {
        format::date(zoned)
    } else if step_s < MINUTE {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else {
        format!("{hour:02}:{minute:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, most: usize, offset_minutes: i64, expect: &[&str]) {
        let (from, to) = (
            UnixMicros::parse(from).unwrap(),
            UnixMicros::parse(to).unwrap(),
        );
        let labels: Vec<_> = times(from, to, most, offset_minutes)
            .into_iter()
            .map(|tick| tick.label)
            .collect();
        assert_eq!(labels, expect);
    }

    #[test]
    fn values_are_round_and_inside() {
        assert_eq!(values(0.0, 100.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(values(0.0, 3.0, 3), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(95.0, 100.0, 2), [95.0, 97.5, 100.0]);
        assert_eq!(values(7.0, 7.0, 4), [7.0]);
    }

    #[test]
    fn decades_fit_their_room() {
        assert_eq!(decades(3.0, 60.0, 9.0), [5.0, 10.0, 20.0, 50.0]);
        assert_eq!(decades(3.0, 60.0, 3.0), [3.0, 10.0, 30.0]);
        assert_eq!(
            decades(0.5, 20_000.0, 4.0),
            [1.0, 10.0, 100.0, 1_000.0, 10_000.0]
        );
        assert!(decades(0.0, 10.0, 4.0).is_empty());
        assert_eq!(short(2.5), "2.5");
        assert_eq!(short(100.0), "100");
    }

    #[test]
    fn times_fall_on_round_minutes() {
        check(
            "2026-11-23T10:03:20Z",
            "2026-11-23T10:18:20Z",
            4,
            0,
            &["10:05", "10:10", "10:15"],
        );
    }

    #[test]
    fn midnight_is_a_date_in_the_zone_shown() {
        check(
            "2026-11-23T18:00:00Z",
            "2026-11-24T06:00:00Z",
            3,
            120,
            &["24 Nov", "06:00"],
        );
    }

    #[test]
    fn never_more_than_asked_for() {
        let from = UnixMicros::from_secs(1_795_460_403);
        for span_s in [1, 59, 900, 3_600, 86_400, 604_800, 40_000_000] {
            for most in 1..12 {
                let to = UnixMicros::from_secs(1_795_460_403 + span_s);
                assert!(times(from, to, most, 345).len() <= most, "{span_s} {most}");
            }
        }
    }
}
