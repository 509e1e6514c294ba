//! The run over time and over percentiles, as rows: for plots, CSV, and programs.

use crate::fleet::timeline::Timeline;
use crate::fleet::{Rate, Shared};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// One second of a run (or more, in a run of hours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondRow {
    pub at_s: u64,
    /// Meant to be sent; `null` without a schedule.
    pub offered_samples_s: Option<f64>,
    pub begun_requests: u64,
    pub acked_requests: u64,
    pub acked_samples_s: f64,
    pub refused_samples: u64,
    /// Tries without an answer, and answers that are no ack.
    pub errors: u64,
    /// Of the requests that were meant for this second, from their moment; `null` when none was acked.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

/// A point of the percentile curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PercentilePoint {
    pub percentile: f64,
    /// From the scheduled moment.
    pub latency_ms: f64,
    /// From the sending.
    pub service_ms: f64,
}

pub(crate) fn seconds(shared: &Shared, timeline: &Timeline) -> Vec<SecondRow> {
    let step_s = timeline.step_s;
    let per_s = step_s as f64;
    let is_open_loop = matches!(shared.config.rate, Rate::PerSecond(_));
    let batch = f64::from(shared.config.batch);
    let planned = shared.config.duration.as_secs_f64();
    (0..)
        .zip(&timeline.steps)
        .map(|(number, step)| {
            let at_s = number * step_s;
            let from = at_s as f64;
            // The last step may be cut by the end of the run.
            let length_s = (planned - from).clamp(1e-3, per_s);
            let due = || shared.schedule.due_between(from, from + per_s) * batch;
            SecondRow {
                at_s,
                offered_samples_s: (is_open_loop && from < planned).then(|| due() / length_s),
                begun_requests: step.begun,
                acked_requests: step.acked_requests,
                acked_samples_s: step.acked_samples as f64
                    / if from < planned { length_s } else { per_s },
                refused_samples: step.refused_samples,
                errors: step.errors,
                p50_ms: step.quantile_ms(0.5),
                p95_ms: step.quantile_ms(0.95),
                p99_ms: step.quantile_ms(0.99),
                max_ms: step.max_ms(),
            }
        })
        .collect()
}

/// Ten points for each further nine, as far as there are samples for them.
pub(crate) fn percentiles(
    corrected_us: &Histogram<u64>,
    service_us: &Histogram<u64>,
) -> Vec<PercentilePoint> {
    if corrected_us.is_empty() {
        return Vec::new();
    }
    let tail = (corrected_us.len() as f64).log10().min(7.0);
    let mut points = Vec::new();
    let mut nines = 0.0;
    while nines <= tail + 1e-9 {
        let quantile = 1.0 - 10.0_f64.powf(-nines);
        points.push(PercentilePoint {
            percentile: quantile * 100.0,
            latency_ms: corrected_us.value_at_quantile(quantile) as f64 / 1e3,
            service_ms: service_us.value_at_quantile(quantile) as f64 / 1e3,
        });
        nines += 0.1;
    }
    points
}

/// The seconds as CSV; empty cells are "nothing to say".
pub fn csv(rows: &[SecondRow]) -> String {
    let mut text = String::from(
        "at_s,offered_samples_s,begun_requests,acked_requests,acked_samples_s,refused_samples,errors,\
         p50_ms,p95_ms,p99_ms,max_ms\n",
    );
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.3}"));
    for row in rows {
        writeln!(
            text,
            "{},{},{},{},{:.3},{},{},{},{},{},{}",
            row.at_s,
            number(row.offered_samples_s),
            row.begun_requests,
            row.acked_requests,
            row.acked_samples_s,
            row.refused_samples,
            row.errors,
            number(row.p50_ms),
            number(row.p95_ms),
            number(row.p99_ms),
            number(row.max_ms)
        )
        .expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_go_as_far_as_there_are_samples() {
        let mut histogram = crate::fleet::stats::histogram();
        for us in 1..=1_000 {
            histogram.record(us).unwrap();
        }
        let points = percentiles(&histogram, &histogram);
        assert_eq!(points.len(), 31);
        assert!((points[10].percentile - 90.0).abs() < 1e-6 && points[10].latency_ms == 0.9);
        assert!((points[30].percentile - 99.9).abs() < 1e-6);
        assert!(percentiles(&crate::fleet::stats::histogram(), &histogram).is_empty());
    }

    #[test]
    fn a_row_without_acks_has_empty_cells() {
        let row = SecondRow {
            at_s: 7,
            errors: 3,
            ..SecondRow::default()
        };
        let text = csv(&[row]);
        assert_eq!(text.lines().nth(1), Some("7,,0,0,0.000,0,3,,,,"));
        let columns = |line: &str| line.matches(',').count();
        assert!(
            text.lines()
                .all(|line| columns(line) == columns(&text[..text.find('\n').unwrap()]))
        );
    }
}
