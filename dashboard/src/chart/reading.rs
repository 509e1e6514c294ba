//! What a chart says about one instant, for the line above it and for the ear.

use fiber_contract::UnixMicros;
use fiber_contract::query::{SeriesAnswer, SeriesPoint, StepSketch};

use super::fan;
use super::picture::{Kind, Measure, Picture};
use super::smoke::quantile;
use crate::format;

/// A named value; `key` is the class of its colour sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

fn reading(key: &'static str, name: &'static str, value: String) -> Reading {
    Reading { key, name, value }
}

/// Values under the cursor, or the newest ones without a cursor; where there are none, the reason.
pub(crate) fn read(picture: &Picture, at: Option<UnixMicros>) -> Result<Vec<Reading>, String> {
    let Picture::One(kind, answer) = picture else {
        return Ok(Vec::new());
    };
    let point = point(answer, at)?;
    let with_unit = |value: String| format!("{value} %");
    Ok(match kind {
        Kind::Fan => vec![
            reading("line", "p50", format::ms(point.p50)),
            reading("inner", "p90", format::ms(point.p90)),
            reading("outer", "p99", format::ms(point.p99)),
        ],
        Kind::Smoke => vec![
            reading("line", "median", format::ms(point.p50)),
            reading("smoke", "lowest", format::ms(point.min)),
            reading("smoke", "highest", format::ms(point.max)),
            reading("", "samples", format::count(point.count)),
        ],
        Kind::Heat => {
            let bins = bins(answer, point.t);
            let middle = |share| format::ms(bins.and_then(|bins| quantile(bins, share)));
            vec![
                reading("heat", "8 of 10 between", middle(0.1)),
                reading("", "and", middle(0.9)),
            ]
        }
        Kind::Loss => vec![reading(
            "loss",
            "",
            with_unit(format::pct(Some(point.loss))),
        )],
        Kind::Uptime => vec![reading(
            "uptime",
            "",
            with_unit(format::pct(Some(point.uptime))),
        )],
    })
}

/// The value of one of several subjects, or why there is none.
pub(crate) fn read_one(
    answer: &SeriesAnswer,
    measure: Measure,
    at: Option<UnixMicros>,
) -> Result<String, String> {
    let value = measure.pick()(point(answer, at)?);
    Ok(match measure {
        Measure::P50 | Measure::P99 => format::ms(value),
        Measure::Loss | Measure::Uptime => format::pct(value),
    })
}

fn point(answer: &SeriesAnswer, at: Option<UnixMicros>) -> Result<&SeriesPoint, String> {
    match at {
        Some(at) => fan::at(answer, at).ok_or_else(|| fan::gap_reason(answer, at)),
        None => answer
            .points
            .last()
            .ok_or_else(|| "no samples in this range".to_owned()),
    }
}

fn bins(answer: &SeriesAnswer, t: UnixMicros) -> Option<&[(f32, u64)]> {
    let of_step = |sketch: &&StepSketch| sketch.t == t;
    let found = answer.sketches.iter().find(of_step)?;
    Some(&found.bins)
}

/// As a screen reader says it.
pub(crate) fn spoken(title: &str, when: &str, found: &Result<Vec<Reading>, String>) -> String {
    match found {
        Ok(values) => {
            let values: Vec<String> = values
                .iter()
                .map(|it| format!("{} {}", it.name, it.value).trim().to_owned())
                .collect();
            format!("{title}, {when}: {}", values.join(", "))
        }
        Err(reason) => format!("{title}, {when}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fan::tests::{answer, point};
    use super::*;

    #[test]
    fn a_reading_is_of_the_step_under_the_cursor_or_the_reason() {
        let mut series = answer(vec![point(0, Some(10.0)), point(60, Some(20.0))]);
        series.sketches.push(StepSketch {
            t: UnixMicros::from_secs(60),
            bins: vec![(10.0, 1), (20.0, 8), (30.0, 1)],
        });
        let series = Arc::new(series);
        let of = |kind, secs: Option<i64>| {
            let picture = Picture::One(kind, Arc::clone(&series));
            read(&picture, secs.map(UnixMicros::from_secs))
        };
        assert_eq!(of(Kind::Fan, Some(30)).unwrap()[0].value, "10.0");
        assert_eq!(of(Kind::Fan, None).unwrap()[0].value, "20.0");
        assert_eq!(of(Kind::Fan, Some(400)), Err("not observed".to_owned()));
        assert_eq!(of(Kind::Heat, Some(61)).unwrap()[0].value, "10.0");
        assert_eq!(of(Kind::Heat, Some(61)).unwrap()[1].value, "20.0");
        assert_eq!(of(Kind::Loss, Some(61)).unwrap()[0].value, "1.0 %");
        let said = spoken("Latency", "10:00", &of(Kind::Fan, Some(30)));
        assert_eq!(said, "Latency, 10:00: p50 10.0, p90 20.0, p99 30.0");
        let value = read_one(&series, Measure::P99, Some(UnixMicros::from_secs(70)));
        assert_eq!(value, Ok("60.0".to_owned()));
    }
}
