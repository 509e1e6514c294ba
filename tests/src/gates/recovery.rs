//! R8 to R10: the drills, a line for the way back of each and two for what became of the samples.

use super::{Bar, Context, Line};
use crate::drills::{self, Outcome};
use anyhow::{Context as _, Result};

pub(super) fn database(context: &Context) -> Result<Vec<Line>> {
    run("R8", context, &["database-"])
}

pub(super) fn central(context: &Context) -> Result<Vec<Line>> {
    run("R9", context, &["central-", "network-", "link-", "clock-"])
}

pub(super) fn overload(context: &Context) -> Result<Vec<Line>> {
    run(
        "R10",
        context,
        &["overload-", "slow-connections", "journal-disk-full"],
    )
}

/// All drills whose names begin so. One that breaks off is a failed line; the others still run.
fn run(gate: &'static str, context: &Context, prefixes: &[&str]) -> Result<Vec<Line>> {
    let chosen: Vec<_> = drills::DRILLS
        .iter()
        .filter(|drill| prefixes.iter().any(|prefix| drill.name.starts_with(prefix)))
        .collect();
    chosen.first().context("there are such drills")?;
    let outcomes: Vec<_> = chosen
        .iter()
        .map(|drill| {
            drill
                .run(context.size.drills)
                .unwrap_or_else(|error| Outcome::broken_off(drill.name, &error))
        })
        .collect();
    let mut lines: Vec<_> = outcomes.iter().map(|outcome| line(gate, outcome)).collect();
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    lines.push(
        Line::new(gate, "samples lost, doubled, invented, quarantined", "")
            .must(Bar::at_most(0.0))
            .count(sum(|o| o.lost + o.duplicates + o.ghosts + o.quarantined))
            .note(format!("of {} acknowledged", sum(|o| o.acked))),
    );
    Ok(lines)
}

/// What a drill missed beside its way back fails the line as well.
fn line(gate: &'static str, outcome: &Outcome) -> Line {
    let line = Line::new(gate, format!("{}: back after", outcome.drill), "s");
    if outcome.passed() {
        return line
            .must(Bar::at_most(outcome.recovery_bar_s))
            .measured(outcome.recovery_s)
            .note(outcome.notes.join("; "));
    }
    line.absent(super::Absent::Failed(outcome.misses.join("; ")))
}
