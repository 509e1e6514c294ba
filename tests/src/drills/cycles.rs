//! R7: Redis is killed, paused, partitioned and flushed in turns, again and again, under one load.

use super::outcome::{Outcome, Pushes, Times};
use super::stack::Stack;
use super::{Breaks, LEAD_IN, LEAD_OUT, RECOVERY_HOPE, Size, await_back};
use crate::proxy::Lane;
use anyhow::{Context as _, Result};
use fiber_loadgen::fleet;
use std::thread::sleep;
use std::time::{Duration, Instant};

type Step = fn(&mut Stack) -> Result<()>;

/// Name, break, mend.
const FAULTS: [(&str, Step, Step); 4] = [
    (
        "killed",
        |stack| stack.redis.kill(),
        |stack| stack.redis.start(),
    ),
    (
        "paused",
        |stack| stack.redis.pause(),
        |stack| stack.redis.resume(),
    ),
    (
        "partitioned",
        |stack| {
            stack.to_redis.both_ways(Lane::Hold);
            Ok(())
        },
        |stack| {
            stack.to_redis.both_ways(Lane::Pass);
            Ok(())
        },
    ),
    (
        "flushed",
        |stack| stack.redis.command("FLUSHALL").map(drop),
        |_| Ok(()),
    ),
];

/// The outcome's recovery is the longest of all cycles.
pub fn redis_cycles(name: &'static str, size: Size) -> Result<Outcome> {
    let mut stack = Stack::start(Breaks::Redis)?;
    let policy = stack.policy()?;
    let most = Duration::from_secs(60) * size.redis_cycles;
    let run = fleet::start(stack.fleet(Breaks::Redis, most))?;
    sleep(LEAD_IN);
    let (mut fault_lasted, mut recoveries) = (Duration::ZERO, Vec::new());
    for cycle in 0..size.redis_cycles {
        let (what, breaks, mends) = FAULTS[cycle as usize % FAULTS.len()];
        let began = Instant::now();
        breaks(&mut stack).with_context(|| format!("{what}, cycle {cycle}"))?;
        if what != "flushed" {
            stack.await_redis_missed()?;
        }
        mends(&mut stack)?;
        let mended = Instant::now();
        fault_lasted += mended - began;
        recoveries.push(await_back(mended, &stack, || stack.limits_are(&policy))?);
        // Faults at every phase of the engine's second.
        sleep(Duration::from_millis(50 + u64::from(cycle) * 37 % 900));
    }
    sleep(LEAD_OUT);
    run.stop();
    let report = run.wait()?;
    recoveries.sort_unstable();
    let worst = recoveries.last().copied().unwrap_or(RECOVERY_HOPE);
    let times = Times {
        fault: fault_lasted,
        recovery: worst,
        bar: Breaks::Redis.recovery_bar(),
    };
    let mut outcome = Outcome::of(name, &stack, &[&report], times)?;
    outcome.policy = Some(policy);
    outcome.notes.push(format!(
        "{} cycles; back after {:.2} s (median), {:.2} s (longest)",
        recoveries.len(),
        recoveries[recoveries.len() / 2].as_secs_f64(),
        worst.as_secs_f64()
    ));
    outcome.judge(Pushes::MayNotFail);
    Ok(outcome)
}
