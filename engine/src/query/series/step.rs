//! Which step, and which table it is read from.

use super::{Asked, Selection};
use crate::publish::rollup::LEVELS;
use crate::query::error::Error;
use fiber_contract::UnixMicros;
use fiber_contract::limits::{RAW_RETENTION_S, SERIES_POINTS_MAX, SKETCH_POINTS_MAX};
use fiber_contract::time::MICROS_PER_S;

/// Points that `auto` aims at: about one for every three pixels of a wide chart.
const AUTO_POINTS: i64 = 300;
/// Rows that `auto` may read; a group of thousands gets coarser buckets instead of a slow answer.
/// Two thousand series over an hour by the minute stay within it: the next coarser table would
/// leave that chart with one point.
const AUTO_ROWS_MAX: i64 = 125_000;
/// Steps that people read easily, ascending.
const STEPS_S: [u32; 18] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400,
];
/// The finest rollup.
const MINUTE_S: u32 = 60;
/// A year is as long as anything is kept.
const STEP_MAX_S: u32 = 366 * 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Auto,
    Seconds(u32),
}

impl Step {
    /// `auto`, or a number with `s`, `m`, `h` or `d`; without a unit it is seconds.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error::parameter("step", "auto, or like 15s, 5m, 1h, 1d");
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
        let unit_s = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(bad());
        }
        let step_s = digits
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(unit_s));
        let step_s = step_s
            .filter(|step_s| (1..=STEP_MAX_S).contains(step_s))
            .ok_or_else(bad)?;
        if step_s > MINUTE_S && step_s % MINUTE_S != 0 {
            return Err(Error::parameter(
                "step",
                "above a minute must be whole minutes",
            ));
        }
        Ok(Self::Seconds(step_s))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Raw,
    /// An index of `LEVELS`.
    Rollup(usize),
}

impl Table {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Raw => "metrics",
            Self::Rollup(level) => LEVELS[level].table,
        }
    }

    /// The coarsest rollup whose buckets divide the step.
    fn for_step(step_s: u32) -> Self {
        let divides = |at: &usize| i64::from(step_s) % LEVELS[*at].step_s == 0;
        (0..LEVELS.len())
            .rev()
            .find(divides)
            .map_or(Self::Raw, Self::Rollup)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Start of the first step.
    pub(super) from: UnixMicros,
    pub(super) to: UnixMicros,
    pub(super) step_s: u32,
    pub(super) table: Table,
}

impl Plan {
    pub(super) fn choose(asked: &Asked, series: usize, interval_s: f64) -> Result<Self, Error> {
        let span_s = (asked.to.0 - asked.from.0 + MICROS_PER_S - 1) / MICROS_PER_S;
        let step_s = match asked.step {
            Step::Auto => auto(asked, span_s, series, interval_s),
            Step::Seconds(step_s) => step_s,
        };
        let points_max = if asked.sketch {
            SKETCH_POINTS_MAX
        } else {
            SERIES_POINTS_MAX
        };
        if span_s / i64::from(step_s) > points_max as i64 {
            let reason = format!("more than {points_max} points: take a longer step");
            return Err(Error::parameter("step", reason));
        }
        Ok(Self {
            from: asked.from.floor_to(i64::from(step_s)),
            to: asked.to,
            step_s,
            table: Table::for_step(step_s),
        })
    }
}

fn auto(asked: &Asked, span_s: i64, series: usize, interval_s: f64) -> u32 {
    let series = i64::try_from(series.max(1)).unwrap_or(i64::MAX);
    let is_node = matches!(asked.selection, Selection::Node(_));
    let good = |step_s: &u32| {
        if span_s / i64::from(*step_s) > AUTO_POINTS {
            return false;
        }
        match Table::for_step(*step_s) {
            // Only where the rows are few and still there. Shorter than the node's own rhythm
            // would leave holes where nothing is missing.
            Table::Raw => {
                is_node && span_s <= RAW_RETENTION_S && f64::from(*step_s) >= 1.5 * interval_s
            }
            Table::Rollup(level) => {
                series.saturating_mul(span_s / LEVELS[level].step_s + 1) <= AUTO_ROWS_MAX
            }
        }
    };
    // A span of years in days is still bounded by SERIES_POINTS_MAX.
    STEPS_S.into_iter().find(good).unwrap_or(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn asked(selection: Selection, span_s: i64, step: Step) -> Asked {
        Asked {
            selection,
            from: UnixMicros(TO.0 - span_s * MICROS_PER_S),
            to: TO,
            step,
            sketch: false,
        }
    }

    fn check(selection: &Selection, span_s: i64, series: usize, expect: (u32, &str)) {
        let plan =
            Plan::choose(&asked(selection.clone(), span_s, Step::Auto), series, 10.0).unwrap();
        assert_eq!(
            (plan.step_s, plan.table.name()),
            expect,
            "{selection:?} over {span_s} s"
        );
        assert_eq!(plan.from.floor_to(i64::from(plan.step_s)), plan.from);
    }

    #[test]
    fn auto_gives_a_chart_its_points_and_a_group_a_bounded_read() {
        let node = Selection::Node("a".to_owned());
        check(&node, 900, 1, (15, "metrics"));
        check(&node, 3_600, 1, (15, "metrics"));
        check(&node, 6 * 3_600, 1, (120, "rollup_1m"));
        check(&node, 86_400, 1, (300, "rollup_1m"));
        check(&node, 7 * 86_400, 1, (3_600, "rollup_1h"));
        check(&Selection::Fleet, 900, 60, (60, "rollup_1m"));
        check(&Selection::Fleet, 3_600, 60, (60, "rollup_1m"));
        check(&Selection::Fleet, 3_600, 2_000, (60, "rollup_1m"));
        check(&Selection::Fleet, 6 * 3_600, 60, (120, "rollup_1m"));
        check(&Selection::Fleet, 86_400, 60, (300, "rollup_1m"));
        check(&Selection::Fleet, 86_400, 1_000, (3_600, "rollup_1h"));
        check(&Selection::Fleet, 7 * 86_400, 5_000, (86_400, "rollup_1d"));
    }

    #[test]
    fn a_step_is_read_from_the_coarsest_table_that_can_make_it() {
        for (step, table) in [
            ("1", "metrics"),
            ("59s", "metrics"),
            ("1m", "rollup_1m"),
            ("90m", "rollup_1m"),
            ("2h", "rollup_1h"),
            ("36h", "rollup_1h"),
            ("1d", "rollup_1d"),
            ("60", "rollup_1m"),
        ] {
            let Ok(Step::Seconds(step_s)) = Step::parse(step) else {
                panic!("{step}")
            };
            assert_eq!(Table::for_step(step_s).name(), table, "{step}");
        }
    }

    #[test]
    fn steps_that_make_no_sense_are_refused() {
        for step in [
            "",
            "0",
            "0m",
            "-5",
            "+5",
            "61",
            "90s",
            "1w",
            "m",
            "1.5m",
            "5mm",
            "99999999999",
        ] {
            assert!(Step::parse(step).is_err(), "{step}");
        }
        let hour = asked(Selection::Fleet, 3_600, Step::Seconds(1));
        assert!(Plan::choose(&hour, 1, 10.0).is_ok());
        let day = asked(Selection::Fleet, 86_400, Step::Seconds(10));
        assert!(
            Plan::choose(&day, 1, 10.0)
                .unwrap_err()
                .to_string()
                .contains("step")
        );
    }
}
