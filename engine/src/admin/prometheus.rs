//! The Prometheus text format, version 0.0.4: HELP and TYPE once per family, then its samples.

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
        let mut family = String::new();
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
                let known = [format!("{family} counter"), format!("{family} gauge")];
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
                let name = series.split('{').next().unwrap_or_default();
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
    fn the_judge_can_fail() {
        for text in [
            "fiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a counter\nfiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a x\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a 1\nfiber_a 1\n",
            "# HELP fiber_a A.\n# TYPE fiber_a gauge\nfiber_a 1",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
    }
}
