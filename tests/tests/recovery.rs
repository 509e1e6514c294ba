//! The engine is killed under load, again and again: nothing that it acknowledged is lost, nothing
//! is stored twice, nothing is invented.

use crate::support::fleet::{config, start, verify};
use crate::support::{DRIVERS, Stack};
use anyhow::{Result, ensure};
use std::time::Duration;

const KILLS: u64 = 6;

#[test]
fn kill_nine_under_load_loses_nothing() -> Result<()> {
    for (at, driver) in DRIVERS.into_iter().enumerate() {
        let mut stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let load = Duration::from_secs(KILLS + 3);
        let run = start(config(&stack, 3_000.0, if at == 0 { 1 } else { 25 }, load))?;
        for kill in 0..KILLS {
            // Uneven, so that kills fall into every phase of a commit.
            std::thread::sleep(Duration::from_millis(500 + kill * 83));
            stack.engine.kill9()?;
            stack.engine.restart()?;
        }
        let report = run.wait()?;
        ensure!(report.samples.acked > 0, "{report:?}");
        let found = verify(&stack, &report)?;
        println!(
            "{driver}: {KILLS} kills, {} acked, {} stored",
            found.acked, found.stored
        );
    }
    Ok(())
}
