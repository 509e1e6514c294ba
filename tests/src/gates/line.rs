//! One line of the table: what was measured, the bars it is held against, and the verdict.

use serde::Serialize;
use std::fmt;

/// A number and the side of it on which a measured value must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bar {
    side: Side,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Below,
    AtMost,
    AtLeast,
    Above,
}

impl Bar {
    pub const fn below(limit: f64) -> Self {
        let side = Side::Below;
        Self { side, limit }
    }

    pub const fn at_most(limit: f64) -> Self {
        let side = Side::AtMost;
        Self { side, limit }
    }

    pub const fn at_least(limit: f64) -> Self {
        let side = Side::AtLeast;
        Self { side, limit }
    }

    pub const fn above(limit: f64) -> Self {
        let side = Side::Above;
        Self { side, limit }
    }

    /// What is not a number reaches no bar.
    pub fn is_reached(&self, value: f64) -> bool {
        match self.side {
            Side::Below => value < self.limit,
            Side::AtMost => value <= self.limit,
            Side::AtLeast => value >= self.limit,
            Side::Above => value > self.limit,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Below => "<",
            Side::AtMost => "≤",
            Side::AtLeast => "≥",
            Side::Above => ">",
        };
        write!(f, "{side} {}", number(self.limit))
    }
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// It should have been measured, and could not be: the run is not green.
    NotRun(String),
    /// It needs the control of servers that an operator's own deployment does not give.
    Skipped(String),
    /// The gate itself broke off.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    /// All that is demanded is reached, and a target of ours that is only aimed at is not.
    StretchMissed,
    Miss,
    NotRun,
    Skipped,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub gate: &'static str,
    pub what: String,
    pub unit: &'static str,
    /// Of the deployment model; decides the exit code.
    pub users_bar: Option<Bar>,
    /// Ours, where it decides as well.
    pub must: Option<Bar>,
    /// Ours, where it is aimed at.
    pub stretch: Option<Bar>,
    pub measured: Option<f64>,
    pub absent: Option<Absent>,
    pub note: String,
}

impl Line {
    pub fn new(gate: &'static str, what: impl Into<String>, unit: &'static str) -> Self {
        Self {
            gate,
            what: what.into(),
            unit,
            users_bar: None,
            must: None,
            stretch: None,
            measured: None,
            absent: None,
            note: String::new(),
        }
    }

    #[must_use]
    pub fn user(mut self, bar: Bar) -> Self {
        self.users_bar = Some(bar);
        self
    }

    #[must_use]
    pub fn must(mut self, bar: Bar) -> Self {
        self.must = Some(bar);
        self
    }

    #[must_use]
    pub fn stretch(mut self, bar: Bar) -> Self {
        self.stretch = Some(bar);
        self
    }

    #[must_use]
    pub fn measured(mut self, value: f64) -> Self {
        self.measured = Some(value);
        self
    }

    #[must_use]
    pub fn count(self, value: u64) -> Self {
        self.measured(value as f64)
    }

    #[must_use]
    pub fn absent(mut self, why: Absent) -> Self {
        self.absent = Some(why);
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub fn verdict(&self) -> Verdict {
        let value = match (&self.absent, self.measured) {
            (Some(Absent::Skipped(_)), _) => return Verdict::Skipped,
            (Some(Absent::NotRun(_)), _) => return Verdict::NotRun,
            (Some(Absent::Failed(_)), _) => return Verdict::Miss,
            (None, None) => return Verdict::NotRun,
            (None, Some(value)) => value,
        };
        let misses = |bar: &Option<Bar>| bar.is_some_and(|bar| !bar.is_reached(value));
        if misses(&self.users_bar) || misses(&self.must) {
            Verdict::Miss
        } else if misses(&self.stretch) {
            Verdict::StretchMissed
        } else {
            Verdict::Pass
        }
    }

    /// As a cell of the table.
    pub fn verdict_text(&self) -> String {
        match (self.verdict(), &self.absent) {
            (_, Some(Absent::NotRun(why))) => format!("NOT RUN: {why}"),
            (_, Some(Absent::Skipped(why))) => format!("skipped: {why}"),
            (_, Some(Absent::Failed(why))) => format!("FAILED: {why}"),
            (Verdict::Pass, _) => "pass".to_owned(),
            (Verdict::StretchMissed, _) => "pass; stretch missed".to_owned(),
            (Verdict::Miss, _) => "MISS".to_owned(),
            (Verdict::NotRun | Verdict::Skipped, _) => "NOT RUN: no value".to_owned(),
        }
    }

    pub fn users_bar_text(&self) -> String {
        self.users_bar
            .map_or_else(String::new, |bar| bar.to_string())
    }

    pub fn our_bar_text(&self) -> String {
        let must = self.must.map(|bar| bar.to_string());
        let stretch = self.stretch.map(|bar| format!("({bar})"));
        [must, stretch]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub fn measured_text(&self) -> String {
        self.measured.map_or_else(
            || "–".to_owned(),
            |value| {
                format!("{} {}", number(value), self.unit)
                    .trim_end()
                    .to_owned()
            },
        )
    }
}

/// Three digits where they say something, whole numbers with groups of three.
pub(super) fn number(value: f64) -> String {
    let digits = if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        return format!("{value:.1}");
    } else {
        return format!("{value:.2}");
    };
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut out = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(value: f64) -> Verdict {
        Line::new("g", "w", "ms")
            .user(Bar::below(100.0))
            .must(Bar::at_most(50.0))
            .stretch(Bar::at_most(10.0))
            .measured(value)
            .verdict()
    }

    #[test]
    fn each_bar_decides_what_it_should() {
        assert_eq!(verdict(10.0), Verdict::Pass);
        assert_eq!(verdict(10.1), Verdict::StretchMissed);
        assert_eq!(verdict(50.0), Verdict::StretchMissed);
        assert_eq!(verdict(50.1), Verdict::Miss);
        assert_eq!(verdict(100.0), Verdict::Miss);
        assert_eq!(verdict(f64::NAN), Verdict::Miss);
    }

    #[test]
    fn a_bar_is_strict_where_it_says_so() {
        assert!(!Bar::above(1_000.0).is_reached(1_000.0));
        assert!(Bar::at_least(1_000.0).is_reached(1_000.0));
        assert!(!Bar::below(5.0).is_reached(5.0));
        assert!(Bar::at_most(0.0).is_reached(0.0));
    }

    #[test]
    fn no_value_is_never_a_pass() {
        let line = || Line::new("g", "w", "").must(Bar::at_most(0.0));
        assert_eq!(line().verdict(), Verdict::NotRun);
        let with = |absent| line().count(0).absent(absent).verdict();
        assert_eq!(with(Absent::NotRun("x".into())), Verdict::NotRun);
        assert_eq!(with(Absent::Skipped("x".into())), Verdict::Skipped);
        assert_eq!(with(Absent::Failed("x".into())), Verdict::Miss);
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (0.97, "0.97"),
            (9.994, "9.99"),
            (12.34, "12.3"),
            (1_234.5, "1,234"),
            (1_000_000.0, "1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
