//! The engine is killed between two given steps, at each point that it names: nothing that it
//! acknowledged is lost, nothing is stored twice, nothing is invented.

use crate::support::failpoint::{Armed, REACH_LIMIT, is_of_a_segment, known};
use crate::support::fleet::{config, start, verify};
use crate::support::{DRIVERS, Stack, shared};
use anyhow::{Result, ensure};
use std::time::Duration;

#[test]
fn a_kill_at_each_named_point_loses_nothing() -> Result<()> {
    let mut stack = Stack::over(shared().postgres.database("t")?, &[])?.with_tables()?;
    let points: Vec<_> = known(&stack.engine)?
        .into_iter()
        .filter(|point| !is_of_a_segment(point)) // `make soak` has them
        .collect();
    ensure!(points.len() >= 10, "{points:?}");
    // Ended by `stop`; the limit only bounds a run that hangs.
    let run = start(config(&stack, 3_000.0, 10, Duration::from_secs(600)))?;
    stack.engine.kill9()?;
    for (at, point) in points.iter().enumerate() {
        stack.engine.set_env("FIBER_DRIVER", DRIVERS[at % 2]);
        let armed = Armed::kill(&mut stack.engine, point, 1 + at as u64 % 3)?;
        ensure!(
            armed.await_kill(&mut stack.engine, REACH_LIMIT)?,
            "{point} was not reached"
        );
    }
    Armed::none(&mut stack.engine)?;
    stack.engine.await_ready(REACH_LIMIT)?;
    run.stop();
    let report = run.wait()?;
    ensure!(report.samples.acked > 0, "{report:?}");
    let found = verify(&stack, &report)?;
    println!(
        "{} points, {} acked, {} stored",
        points.len(),
        found.acked,
        found.stored
    );
    Ok(())
}
