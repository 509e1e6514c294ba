//! Answers over many nodes are made of buckets that the engine keeps. They follow the table all the
//! same: late samples, the writes of another engine, and what came while the database had lost a part.

use crate::support::client::{get, ingest, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use fiber_contract::UnixMicros;
use fiber_local::servers::Engine;
use serde_json::{Value, json};

const HOUR_S: i64 = 3_600;

/// Asks one engine everything that is made of kept buckets, and counts the samples behind each answer.
fn counts(engine: &Engine, now: UnixMicros) -> Result<Vec<(String, u64)>> {
    let from = |span_s: i64| {
        let at = |at: UnixMicros| at.to_string().replace(':', "%3A");
        let to = UnixMicros(now.0 + 60_000_000);
        format!(
            "from={}&to={}",
            at(UnixMicros(to.0 - span_s * 1_000_000)),
            at(to)
        )
    };
    let sum = |rows: &Value| -> u64 {
        let counts = rows.as_array().into_iter().flatten();
        counts.filter_map(|row| row["count"].as_u64()).sum()
    };
    let mut found = Vec::new();
    for span_s in [2 * HOUR_S, 30 * HOUR_S] {
        let window = from(span_s);
        for question in [
            "cluster?",
            "aggregated?dimension=node&",
            "aggregated?dimension=region&",
            "series?",
            "series?step=1h&",
            "series?region=west&",
        ] {
            let data = get(engine, &format!("/api/metrics/{question}{window}"))?["data"].clone();
            let count = match question {
                "cluster?" => data["summary"]["count"].as_u64().unwrap_or(0),
                _ if question.starts_with("series") => sum(&data["points"]),
                _ => sum(&data["rows"]),
            };
            found.push((format!("{question} over {span_s} s"), count));
        }
    }
    Ok(found)
}

/// The same of the table. All answers are within the last minutes of one another, so their windows hold the
/// same samples.
fn agree(stack: &Stack, engine: &Engine, now: UnixMicros, sent: u64) -> Result<()> {
    await_that(&format!("{sent} samples in every answer"), || {
        ensure!(stack.rows()? <= sent, "more rows than were sent");
        let counts = counts(engine, now)?;
        let mut short = false;
        for (question, count) in &counts {
            let is_recent = question.ends_with(&format!(" {} s", 2 * HOUR_S));
            let expect = if is_recent { sent / 2 } else { sent };
            // Too few are on their way; too many were counted twice, however soon it passes.
            ensure!(*count <= expect, "{count} of {expect}: {question}");
            short |= *count < expect;
        }
        Ok(!short)
    })
    .map_err(|error| error.context(format!("{:?}", counts(engine, now))))
}

/// As many in the last hour as a day ago; `shift_s` keeps waves apart.
fn wave(node: &str, now: UnixMicros, shift_s: i64) -> Vec<Value> {
    [HOUR_S, 26 * HOUR_S]
        .iter()
        .flat_map(|age_s| (0..30).map(move |nth| age_s + nth * 61 + shift_s))
        .map(|age_s| {
            let mut one = sample(node, 0);
            one["region"] = json!("west");
            one["timestamp"] = json!(UnixMicros(now.0 - age_s * 1_000_000).to_string());
            one
        })
        .collect()
}

fn send(engine: &Engine, metrics: &[Value]) -> Result<()> {
    let answer = ingest(engine, "hub", metrics)?.json()?;
    ensure!(answer["data"]["accepted"] == metrics.len(), "{answer}");
    Ok(())
}

#[test]
fn answers_follow_late_samples_other_engines_and_kills() -> Result<()> {
    let mut stack = Stack::start()?;
    let now = UnixMicros::now();
    send(&stack.engine, &wave("a", now, 0))?;
    agree(&stack, &stack.engine, now, 60)?;
    // Late: into minutes and hours that were asked for, of a node that is there and of a new one.
    send(&stack.engine, &wave("a", now, 7))?;
    agree(&stack, &stack.engine, now, 120)?;
    send(&stack.engine, &wave("b", now, 0))?;
    agree(&stack, &stack.engine, now, 180)?;
    // Late here and there: many minutes to read again, with others between them that are kept.
    let mut scattered = wave("b", now, 7);
    scattered.retain({
        let mut nth = 0;
        move |_| {
            nth += 1;
            nth % 5 == 0
        }
    });
    send(&stack.engine, &scattered)?;
    agree(&stack, &stack.engine, now, 192)?;
    // Written by another engine; both had asked before.
    let mut other = Engine::start_with(stack.database.env())?;
    agree(&stack, &other, now, 192)?;
    send(&other, &wave("a", now, 13))?;
    agree(&stack, &stack.engine, now, 252)?;
    send(&stack.engine, &wave("b", now, 13))?;
    agree(&stack, &other, now, 312)?;
    agree(&stack, &stack.engine, now, 312)?;
    // Acknowledged, not written yet, killed: the next start writes it, and nothing was kept.
    send(&stack.engine, &wave("a", now, 19))?;
    stack.engine.kill9()?;
    stack.engine.restart()?;
    agree(&stack, &stack.engine, now, 372)?;
    agree(&stack, &other, now, 372)?;
    other.terminate(std::time::Duration::from_secs(10))?;
    Ok(())
}
