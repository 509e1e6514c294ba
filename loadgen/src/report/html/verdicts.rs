//! What stands above every figure: whether they may be believed.

use super::plot::put;
use super::{Report, escape, grouped};
use crate::ceiling::RATIO_MIN;
use crate::verify::Comparison;

/// What a reader must know before any figure. Colour, shape and word.
pub(super) struct Verdict {
    class: &'static str,
    mark: &'static str,
    head: String,
    text: String,
    list: Vec<String>,
}

impl Verdict {
    pub(super) fn write(&self, out: &mut String) {
        put(
            out,
            format_args!(
                "<div class=\"verdict {}\"><span class=mark aria-hidden=true>{}</span><div><b>{}</b> {}",
                self.class,
                self.mark,
                escape(&self.head),
                escape(&self.text)
            ),
        );
        if !self.list.is_empty() {
            let items: String = self
                .list
                .iter()
                .map(|item| format!("<li>{}</li>", escape(item)))
                .collect();
            put(out, format_args!("<ul>{items}</ul>"));
        }
        out.push_str("</div></div>");
    }
}

fn bad(head: &str, text: String) -> Verdict {
    Verdict {
        class: "bad",
        mark: "✖",
        head: head.to_owned(),
        text,
        list: Vec::new(),
    }
}

fn warn(head: &str, text: String) -> Verdict {
    Verdict {
        class: "warn",
        mark: "▲",
        ..bad(head, text)
    }
}

fn n(value: u64) -> String {
    grouped(value as f64)
}

pub(super) fn of(report: &Report) -> Vec<Verdict> {
    let failure = report.failure.as_ref();
    let failure = failure.map(|failure| bad("The run ended by itself.", failure.clone()));
    failure
        .into_iter()
        .chain(report.verification.as_ref().map(verified))
        .chain(schedule(report))
        .chain(contract(report))
        .chain(ceiling(report))
        .chain(rest(report))
        .collect()
}

fn verified(found: &Comparison) -> Verdict {
    if found.is_clean() {
        return Verdict {
            class: "good",
            mark: "✔",
            ..bad(
                "Verified.",
                format!(
                    "Each of the {} acknowledged samples is in the database once: 0 lost, 0 duplicate, 0 ghost.",
                    n(found.acked - found.acked_twice)
                ),
            )
        };
    }
    let text = format!(
        "{} lost, {} duplicate, {} ghost, {} bad ones stored, {} repeats not counted.",
        n(found.lost),
        n(found.duplicates),
        n(found.ghosts),
        n(found.bad_stored),
        n(found.uncounted())
    );
    Verdict {
        list: found.examples.clone(),
        ..bad("Not all is well.", text)
    }
}

fn schedule(report: &Report) -> Option<Verdict> {
    let g = &report.generator;
    let text = format!(
        "{} sends ({:.1} %) began over 100 ms late with an idle connection; its event loop lagged that \
         much {:.1} % of the time; its busiest thread had {:.0} % of a core. The latencies are partly its \
         own.",
        n(g.late_starts),
        g.late_share * 100.0,
        g.loop_late_share * 100.0,
        g.cpu_share * 100.0
    );
    (!g.kept_schedule).then(|| bad("The generator did not keep its schedule.", text))
}

fn contract(report: &Report) -> Option<Verdict> {
    let p = report.planted.as_ref()?;
    let text = format!(
        "{} bad samples were accepted, {} refused for another reason.",
        n(p.bad_accepted),
        n(p.bad_misnamed)
    );
    (p.bad_accepted + p.bad_misnamed > 0)
        .then(|| bad("The server does not keep its contract.", text))
}

fn ceiling(report: &Report) -> Option<Verdict> {
    let ratio = report.ceiling.as_ref()?.ratio(report.throughput.requests_s);
    let text = format!(
        "It could have sent only {ratio:.2} times as much; {RATIO_MIN} is the least to believe."
    );
    (ratio < RATIO_MIN).then(|| warn("The rate may be the generator's own.", text))
}

fn rest(report: &Report) -> Option<Verdict> {
    let s = &report.samples;
    let text = format!(
        "{} samples refused, {} sent without an answer, {} not sent in time.",
        n(s.refused),
        n(s.unknown),
        n(s.unsent)
    );
    (s.refused + s.unknown + s.unsent > 0).then(|| warn("Not everything was acknowledged.", text))
}
