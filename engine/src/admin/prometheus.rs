//! The Prometheus text format, version 0.0.4: HELP and TYPE once per family, then its samples.

use crate::journal::Histogram;
use std::fmt::{Display, Write as _};

#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// Label pairs and the value.
pub(super) type Labelled<'a> = (&'a [(&'a str, &'a str)], &'a dyn Display);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

impl Exposition {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, Kind::Counter, &[(&[], &value)]);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, Kind::Gauge, &[(&[], &value)]);
    }

    /// A family of one histogram over seconds. Buckets without counts below and above all others are
    /// left out: what is there is cumulative all the same.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.put(format_args!(
            "# HELP {name} {}\n# TYPE {name} histogram\n",
            escape(help)
        ));
        let buckets: Vec<_> = histogram.buckets().collect();
        // Of one look, so that the sum of the buckets is the count.
        let count: u64 = buckets.iter().map(|(_, n)| n).sum();
        let mut seen = 0;
        for (bound, n) in buckets {
            seen += n;
            if seen > 0 {
                let bound_s = bound.as_secs_f64();
                self.put(format_args!("{name}_bucket{{le=\"{bound_s}\"}} {seen}\n"));
            }
            if seen == count {
                break;
            }
        }
        let sum_s = histogram.sum().as_secs_f64();
        self.put(format_args!(
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum_s}\n{name}_count {count}\n"
        ));
    }

    /// A family with labels: each sample's label pairs and value.
    pub(super) fn family(&mut self, name: &str, help: &str, kind: Kind, samples: &[Labelled<'_>]) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.put(format_args!(
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            escape(help)
        ));
        for (labels, value) in samples {
            self.put(format_args!("{name}"));
            for (at, (label, text)) in labels.iter().enumerate() {
                let open = if at == 0 { '{' } else { ',' };
                self.put(format_args!("{open}{label}=\"{}\"", escape(text)));
            }
            let close = if labels.is_empty() { "" } else { "}" };
            self.put(format_args!("{close} {value}\n"));
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes everything");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Names the first line that breaks the format.
    pub(crate) fn judge(text: &str) -> Result<usize, String> {
        let mut families = HashSet::new();
        let (mut family, mut is_histogram) = (String::new(), false);
        let mut samples = HashSet::new();
        for line in text.lines() {
            let bad = || Err(line.to_owned());
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let Some((name, help)) = rest.split_once(' ') else {
                    return bad();
                };
                if help.is_empty() || !families.insert(name.to_owned()) {
                    return bad();
                }
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let known =
                    ["counter", "gauge", "histogram"].map(|kind| format!("{family} {kind}"));
                is_histogram = rest.ends_with(" histogram");
                if !known.contains(&rest.to_owned()) {
                    return bad();
                }
                if rest.ends_with("counter") != family.ends_with("_total") {
                    return bad();
                }
            } else {
                let Some((series, value)) = line.rsplit_once(' ') else {
                    return bad();
                };
                let mut name = series.split('{').next().unwrap_or_default();
                if is_histogram {
                    let plain = ["_bucket", "_sum", "_count"]
                        .iter()
                        .find_map(|suffix| name.strip_suffix(suffix));
                    let Some(plain) = plain else { return bad() };
                    name = plain;
                }
                let sane = name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
                if name != family || !sane || value.parse::<f64>().is_err() {
                    return bad();
                }
                if !samples.insert(series.to_owned())
                    || series.contains('{') != series.ends_with('}')
                {
                    return bad();
                }
            }
        }
        if text.ends_with('\n') {
            Ok(samples.len())
        } else {
            Err("no newline at the end".to_owned())
        }
    }

    #[test]
    fn families_are_written_with_escaped_labels() {
        let mut out = Exposition::default();
        out.counter("fiber_a_total", "What a \"counts\".", 3);
        out.family(
            "fiber_b",
            "Two.",
            Kind::Gauge,
            &[
                (&[("path", "a\\b\n\"c\"")], &1.5),
                (&[("path", "d"), ("more", "e")], &2),
            ],
        );
        let text = out.into_text();
        assert_eq!(judge(&text), Ok(3));
        assert!(
            text.contains("fiber_b{path=\"a\\\\b\\n\\\"c\\\"\"} 1.5\n"),
            "{text}"
        );
        assert!(text.contains("fiber_b{path=\"d\",more=\"e\"} 2\n"));
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let histogram = Histogram::default();
        for us in [3, 3, 900] {
            histogram.record(std::time::Duration::from_micros(us));
        }
        let mut out = Exposition::default();
        out.histogram("fiber_h_seconds", "Times.", &histogram);
        out.histogram("fiber_none_seconds", "No times.", &Histogram::default());
        let text = out.into_text();
        assert!(judge(&text).is_ok(), "{:?}", judge(&text));
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines[0], "fiber_h_seconds_bucket{le=\"0.000004\"} 2");
        assert_eq!(lines[8], "fiber_h_seconds_bucket{le=\"0.001024\"} 3");
        assert_eq!(lines[9], "fiber_h_seconds_bucket{le=\"+Inf\"} 3");
        assert_eq!(lines[10], "fiber_h_seconds_sum 0.000906");
        assert_eq!(lines[11], "fiber_h_seconds_count 3");
        assert_eq!(lines[12], "fiber_none_seconds_bucket{le=\"+Inf\"} 0");
    }

    #[test]
    fn the_judge_can_fail() {
        for text in [
            "fiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a counter\nfiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a x\n",
            "# HELP fiber_a A.\n# TYPE fiber_a histogram\nfiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a 1\nfiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a 1",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
    }
}
