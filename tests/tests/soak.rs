//! Kills by the hundred, for `make soak`: too long for every run of the tests.
//!
//! A fleet sends without a pause; at random moments the engine, the database or both get SIGKILL
//! and are started again. After each round every sample that was acknowledged is compared with the
//! table. `CYCLES` sets how many kills, `SEED` repeats the moments and victims of a run.

use crate::support::failpoint::{self, Armed, REACH_LIMIT};
use crate::support::fleet::{config, start, verify};
use crate::support::{DRIVERS, Stack};
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::verify::Comparison;
use fiber_local::servers::Postgres;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Kills between two comparisons, which take longer than a kill.
const ROUND_CYCLES: u64 = 25;
const RATE_PER_S: f64 = 10_000.0;
const BATCH: u32 = 20;

#[test]
#[ignore = "long: make soak"]
fn the_engine_is_killed_under_load() -> Result<()> {
    // Every second time between two steps that the engine names, the others at a random moment.
    soak("engine killed", 1_000, |cycle| {
        let engine = &mut cycle.stack.engine;
        engine.kill9()?;
        if cycle.number % 2 == 0 {
            engine.set_env(failpoint::VARIABLE, "");
            return engine.restart();
        }
        let mut points = failpoint::known(engine)?;
        points.retain(|point| !failpoint::is_of_a_segment(point));
        let point = &points[(cycle.number / 2) as usize % points.len()];
        let armed = Armed::kill(engine, point, 1 + cycle.random.below(8))?;
        let reached = armed.await_kill(engine, REACH_LIMIT)?;
        ensure!(reached, "{point} was not reached");
        *cycle.reached.entry(point.clone()).or_default() += 1;
        Armed::none(engine)?;
        engine.await_ready(REACH_LIMIT)
    })
}

/// Where one segment ends and the next begins, and where one is removed: each of them takes
/// 64 MiB, so the load is heavy and the kills are few.
#[test]
#[ignore = "long: make soak"]
fn the_engine_is_killed_between_segments() -> Result<()> {
    for driver in DRIVERS {
        let mut stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let run = start(config(&stack, 100_000.0, 500, Duration::from_secs(600)))?;
        stack.engine.kill9()?;
        let points = failpoint::known(&stack.engine)?;
        for point in points
            .iter()
            .filter(|point| failpoint::is_of_a_segment(point))
        {
            let armed = Armed::kill(&mut stack.engine, point, 1)?;
            let reached = armed.await_kill(&mut stack.engine, REACH_LIMIT)?;
            ensure!(reached, "{point} was not reached");
        }
        Armed::none(&mut stack.engine)?;
        stack.engine.await_ready(REACH_LIMIT)?;
        run.stop();
        let found = verify(&stack, &run.wait()?)?;
        println!(
            "between segments, {driver}: {} acked, {} stored",
            found.acked, found.stored
        );
    }
    Ok(())
}

#[test]
#[ignore = "long: make soak"]
fn the_database_or_both_are_killed_under_load() -> Result<()> {
    soak("database or both killed", 200, |mut cycle| {
        let engine_too = cycle.random.below(2) == 0;
        if cycle.number % 2 == 1 {
            stop_before_commit(&mut cycle)?;
        }
        cycle.postgres.kill()?;
        if engine_too {
            cycle.stack.engine.kill9()?;
        }
        // Sometimes the engine is back first and has to wait.
        if engine_too && cycle.random.below(2) == 0 {
            cycle.stack.engine.restart()?;
            return cycle.postgres.start();
        }
        cycle.postgres.start()?;
        if engine_too {
            cycle.stack.engine.restart()?;
        }
        Ok(())
    })
}

/// The engine stands between its last statement and COMMIT, goes on, and within two milliseconds the
/// database is killed: before COMMIT came, while it worked, or before its answer was read.
fn stop_before_commit(cycle: &mut Cycle<'_>) -> Result<()> {
    const POINT: &str = "copy.accounted";
    let engine = &mut cycle.stack.engine;
    engine.kill9()?;
    let armed = Armed::stop(engine, POINT, 1 + cycle.random.below(8))?;
    let reached = armed.await_stop(engine, REACH_LIMIT)?;
    ensure!(reached, "{POINT} was not reached");
    *cycle.reached.entry(POINT.to_owned()).or_default() += 1;
    engine.set_env(failpoint::VARIABLE, "");
    engine.resume()?;
    std::thread::sleep(Duration::from_micros(cycle.random.below(2_000)));
    Ok(())
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough to scatter moments, and a seed repeats it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Default)]
struct Tally {
    cycles: u64,
    acked: u64,
    stored: u64,
    in_flight: Vec<u64>,
    /// How often each named point was come to.
    reached: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, found: &Comparison) {
        self.acked += found.acked;
        self.stored += found.stored;
    }

    fn median_in_flight(&mut self) -> u64 {
        self.in_flight.sort_unstable();
        let middle = self.in_flight.len() / 2;
        self.in_flight.get(middle).copied().unwrap_or_default()
    }
}

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?}")),
        Err(_) => Ok(default),
    }
}

/// What only the journal had when the engine was killed last: the engine that runs now found it
/// there at its start, and has written it since. Samples without an answer came on top.
fn replayed(stack: &Stack) -> Result<u64> {
    let answer = fiber_local::http::get(&format!("{}/metrics", stack.engine.url()))?;
    let text = String::from_utf8(answer.body)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("fiber_samples_replayed_total "))
        .context("the counter is exported")?;
    Ok(value.trim().parse()?)
}

/// What a kill has in its hands.
struct Cycle<'a> {
    number: u64,
    random: &'a mut Random,
    reached: &'a mut BTreeMap<String, u64>,
    stack: &'a mut Stack,
    postgres: &'a mut Postgres,
}

type Kill = fn(Cycle<'_>) -> Result<()>;

fn soak(what: &str, cycles_default: u64, kill: Kill) -> Result<()> {
    let cycles = number("CYCLES", cycles_default)?;
    let seed = number("SEED", u64::from(std::process::id()))?;
    println!("{what}: {cycles} cycles, SEED={seed}");
    let (mut random, mut tally) = (Random(seed), Tally::default());
    let mut postgres = Postgres::start_private()?;
    let began = Instant::now();
    let mut settings = DRIVERS
        .into_iter()
        .cycle()
        .zip(["1", "3", "2"].into_iter().cycle());
    while tally.cycles < cycles {
        let round = ROUND_CYCLES.min(cycles - tally.cycles);
        let (driver, writers) = settings.next().context("there are settings")?;
        let env = [
            ("FIBER_DRIVER", driver),
            ("FIBER_WRITERS", writers),
            ("FIBER_WRITERS_MIN", writers),
        ];
        let found = one_round(round, &env, kill, &mut random, &mut postgres, &mut tally)?;
        tally.add(&found);
        let median = tally.median_in_flight();
        println!(
            "{what}: {}/{cycles} cycles in {:.0?}, {driver}, {writers} writers: {} acked, {} stored; 0 lost, 0 duplicate, 0 ghost; \
             durable and not in the table at a kill: median {median}",
            tally.cycles,
            began.elapsed(),
            tally.acked,
            tally.stored,
        );
    }
    println!("{what}: named points come to: {:?}", tally.reached);
    Ok(())
}

fn one_round(
    cycles: u64,
    env: &[(&str, &str)],
    kill: Kill,
    random: &mut Random,
    postgres: &mut Postgres,
    tally: &mut Tally,
) -> Result<Comparison> {
    let mut stack = Stack::over(postgres.database("soak")?, env)?.with_tables()?;
    // Ended by `stop`; the limit only bounds a round that hangs.
    let limit = Duration::from_secs(60 + 20 * cycles);
    let run = start(config(&stack, RATE_PER_S, BATCH, limit))?;
    for cycle in 0..cycles {
        std::thread::sleep(Duration::from_millis(200 + random.below(600)));
        if cycle > 0 {
            tally.in_flight.push(replayed(&stack)?);
        }
        kill(Cycle {
            number: tally.cycles,
            random,
            reached: &mut tally.reached,
            stack: &mut stack,
            postgres,
        })?;
        tally.cycles += 1;
    }
    run.stop();
    let report = run.wait()?;
    ensure!(
        report.samples.acked > 0,
        "nothing was acknowledged: {report:?}"
    );
    verify(&stack, &report)
}
