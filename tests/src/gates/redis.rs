//! What an outage of Redis costs: the drills, held against the model's bar and ours.

use super::{Absent, Bar, Context, Line, Target};
use crate::drills::{self, Outcome};
use anyhow::{Context as _, Result};

const OUTAGE: &str = "test_fail_closed_redis_outage";
const CYCLES: &str = "R7";

const FAULTS: [&str; 4] = [
    "redis-killed",
    "redis-paused",
    "redis-partitioned",
    "redis-flushed",
];

pub(super) fn outage(context: &Context) -> Result<Vec<Line>> {
    let outcomes = match &context.target {
        Target::Fresh => FAULTS
            .iter()
            .map(|name| run(context, name))
            .collect::<Result<Vec<_>>>()?,
        Target::Theirs(theirs) => vec![drills::theirs(theirs)?],
    };
    let mut lines: Vec<_> = outcomes
        .iter()
        .map(|outcome| back(OUTAGE, outcome))
        .collect();
    lines.extend(undisturbed(OUTAGE, &outcomes));
    Ok(lines)
}

pub(super) fn cycles(context: &Context) -> Result<Vec<Line>> {
    let outcome = run(context, "redis-cycles")?;
    let mut lines = vec![back(CYCLES, &outcome)];
    lines.extend(undisturbed(CYCLES, &[outcome]));
    Ok(lines)
}

fn run(context: &Context, name: &str) -> Result<Outcome> {
    let drill = drills::find(name).with_context(|| format!("no drill {name}"))?;
    drill
        .run(context.size.drills)
        .with_context(|| name.to_owned())
}

fn back(gate: &'static str, outcome: &Outcome) -> Line {
    let line = Line::new(
        gate,
        format!("{}: back to the limits of before", outcome.drill),
        "s",
    )
    .user(Bar::below(5.0))
    .must(Bar::at_most(1.0))
    .measured(outcome.recovery_s);
    let policy = outcome.policy.as_deref().unwrap_or("not told");
    if policy == "distributed" {
        return line.note(format!("policy {policy}; {}", outcome.notes.join("; ")));
    }
    // Limits that were never shared have nothing to come back to.
    line.absent(Absent::NotRun(format!(
        "the policy before the fault was {policy}, not distributed"
    )))
}

fn undisturbed(gate: &'static str, outcomes: &[Outcome]) -> Vec<Line> {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let why: Vec<_> = outcomes
        .iter()
        .filter(|o| !o.passed())
        .map(|o| format!("{}: {}", o.drill, o.misses.join(", ")))
        .collect();
    vec![
        Line::new(gate, "pushes that failed", "")
            .must(Bar::at_most(0.0))
            .count(sum(|o| o.failed_tries))
            .note(format!("of {} acknowledged", sum(|o| o.acked))),
        Line::new(gate, "samples lost, doubled, invented, quarantined", "")
            .must(Bar::at_most(0.0))
            .count(sum(|o| o.lost + o.duplicates + o.ghosts + o.quarantined))
            .note(why.join("; ")),
    ]
}
