//! The report as a table for people.

use super::{Quantiles, Report};
use crate::ceiling::RATIO_MIN;
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.config;
        let rate = c
            .rate_samples_s
            .map_or("as fast as answers come".to_owned(), |rate| {
                format!("{} samples/s", grouped(rate))
            });
        writeln!(
            f,
            "\nfleet {}  {} · {rate} for {} s",
            c.tag, c.url, c.duration_s
        )?;
        writeln!(
            f,
            "  {} probes over {} connections, {} per request, seed {}, {} thread(s), {}",
            c.probes,
            c.connections,
            c.batch,
            c.seed,
            c.threads,
            c.with.join(", ")
        )?;
        if c.curve != "constant" && !c.curve.is_empty() {
            writeln!(f, "  curve {}", c.curve)?;
        }
        if !c.faults.is_empty() {
            writeln!(f, "  faults {}", c.faults)?;
        }
        writeln!(f, "  {} × {}", self.hardware.cores, self.hardware.cpu)?;
        self.counts(f)?;
        let scheduled = self.config.rate_samples_s.is_some();
        writeln!(
            f,
            "\n{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "milliseconds", "p50", "p90", "p95", "p99", "p99.9", "max"
        )?;
        if scheduled {
            quantiles(f, "ack, from its moment", &self.latency_ms)?;
        }
        quantiles(f, "ack, from its sending", &self.service_ms)?;
        if scheduled {
            quantiles(f, "begin of sending", &self.generator.begin_lag_ms)?;
            quantiles(f, "event loop lag", &self.generator.loop_lag_ms)?;
        }
        self.trouble(f)?;
        self.planted(f)?;
        self.generator(f)?;
        if let Some(comparison) = &self.verification {
            write!(f, "\n{comparison}")?;
        }
        match &self.failure {
            Some(failure) => writeln!(f, "\nTHE RUN ENDED BY ITSELF: {failure}"),
            None => Ok(()),
        }
    }
}

impl Report {
    fn planted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(p) = &self.planted else {
            return Ok(());
        };
        let n = |value: u64| grouped(value as f64);
        writeln!(
            f,
            "planted  late: {} · duplicate: {} · reordered: {} · skewed: {} · bad: {}",
            n(p.late),
            n(p.duplicate),
            n(p.reordered),
            n(p.skewed),
            n(p.bad)
        )?;
        if p.bad > 0 {
            writeln!(
                f,
                "  of the bad, {} were refused for what is wrong in them, {} without an answer about them",
                n(p.bad_refused),
                n(p.bad_unknown)
            )?;
        }
        if p.bad_accepted + p.bad_misnamed > 0 {
            writeln!(
                f,
                "  THE SERVER DOES NOT KEEP ITS CONTRACT: {} bad ones were accepted, {} refused for another reason",
                n(p.bad_accepted),
                n(p.bad_misnamed)
            )?;
        }
        Ok(())
    }

    fn generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.generator;
        writeln!(
            f,
            "\ngenerator: {:.2} s CPU, {:.1} µs per request, its busiest thread {:.0} % of a core, {:.0} MiB ({:.0} at most)",
            g.cpu_s,
            g.cpu_us_per_request,
            g.cpu_share * 100.0,
            mib(g.rss_bytes),
            mib(g.rss_peak_bytes)
        )?;
        if !g.kept_schedule {
            writeln!(
                f,
                "THE GENERATOR DID NOT KEEP ITS SCHEDULE: {} sends ({:.1} %) began over 100 ms late with \
                 an idle connection, and its event loop lagged that much {:.1} % of the time; its busiest \
                 thread had {:.0} % of a core.\n\
                 The latencies above are partly its own. Give it more CPU, more --threads or less --rate.",
                grouped(g.late_starts as f64),
                g.late_share * 100.0,
                g.loop_late_share * 100.0,
                g.cpu_share * 100.0
            )?;
        }
        let Some(ceiling) = &self.ceiling else {
            return Ok(());
        };
        let ratio = ceiling.ratio(self.throughput.requests_s);
        writeln!(
            f,
            "  its ceiling with such requests: {} requests/s against a server that does nothing, {:.1} × \
             the rate above ({} without sending)",
            grouped(ceiling.hello_requests_s),
            ratio,
            grouped(ceiling.no_send_requests_s)
        )?;
        if ratio < RATIO_MIN {
            writeln!(
                f,
                "THE RATE MAY BE THE GENERATOR'S OWN: its ceiling is less than {RATIO_MIN} times as high."
            )?;
        }
        Ok(())
    }

    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, r, t) = (&self.samples, &self.requests, &self.throughput);
        writeln!(f)?;
        let mut line = |name: &str, value: u64, note: &str| {
            writeln!(f, "{name:<18}{:>14}  {note}", grouped(value as f64))
        };
        if let Some(intended) = s.intended {
            line("samples intended", intended, "")?;
        }
        let note = format!(
            "{} samples/s, {} requests/s",
            grouped(t.samples_s),
            grouped(t.requests_s)
        );
        line("        acked", s.acked, &note)?;
        line("        refused", s.refused, "")?;
        line("        unknown", s.unknown, "sent, answer lost")?;
        line("        unsent", s.unsent, "no connection was free in time")?;
        let note = format!(
            "{} late, {} retries, {} reconnections",
            grouped(r.behind_schedule as f64),
            grouped(r.retries as f64),
            grouped(r.reconnects as f64)
        );
        line("requests begun", r.begun, &note)
    }

    fn trouble(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self
            .answers
            .iter()
            .map(|(status, count)| format!("{status}: {}", grouped(*count as f64)));
        let errors = self
            .errors
            .iter()
            .map(|(kind, count)| format!("{kind}: {}", grouped(*count as f64)));
        let answers: Vec<_> = answers.collect();
        let errors: Vec<_> = errors.collect();
        writeln!(
            f,
            "\nanswers  {}",
            if answers.is_empty() {
                "none".into()
            } else {
                answers.join(" · ")
            }
        )?;
        writeln!(
            f,
            "errors   {}",
            if errors.is_empty() {
                "none".into()
            } else {
                errors.join(" · ")
            }
        )
    }
}

fn quantiles(f: &mut fmt::Formatter<'_>, name: &str, q: &Quantiles) -> fmt::Result {
    writeln!(
        f,
        "  {name:<24}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        q.p50, q.p90, q.p95, q.p99, q.p999, q.max
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// `1234567.8` as `1,234,568`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (value, expect) in [
            (0.0, "0"),
            (999.4, "999"),
            (1_000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1_000.0, "-1,000"),
        ] {
            assert_eq!(grouped(value), expect);
        }
    }
}
