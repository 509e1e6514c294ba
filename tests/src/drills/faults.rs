//! The faults: each breaks something, lets it last, and mends it.

use super::stack::Stack;
use super::{Breaks, Drill, Kind, central, clock, cycles, network, overload};
use crate::proxy::Lane;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// What it breaks, and how; or a course of its own.
macro_rules! kind {
    (Whole $whole:expr) => {
        Kind::Whole($whole)
    };
    ($breaks:ident $fault:expr) => {
        Kind::Fault(Breaks::$breaks, $fault)
    };
}

macro_rules! drills {
    ($($kind:ident $name:literal $course:path, $about:literal);* $(;)?) => {
        &[$(Drill { name: $name, about: $about, kind: kind!($kind $course) }),*]
    };
}

pub(super) const ALL: &[Drill] = drills![
    Redis "redis-killed" redis_killed, "SIGKILL, started again empty";
    Redis "redis-paused" redis_paused, "SIGSTOP: connections stay, nothing answers";
    Redis "redis-partitioned" redis_partitioned, "the link holds everything, both ways";
    Redis "redis-flushed" redis_flushed, "FLUSHALL twice a second";
    Whole "redis-cycles" cycles::redis_cycles, "all four in turns, a hundred times, under one load";
    Database "database-stopped" database_stopped, "fast shutdown, started again";
    Database "database-killed" database_killed, "SIGKILL of all its processes";
    Database "database-paused" database_paused, "SIGSTOP of all its processes";
    Database "database-partitioned" database_partitioned, "the link holds everything, both ways";
    Database "database-read-only" database_read_only, "default_transaction_read_only, as in a failover";
    Database "database-connections" database_connections, "all its connections are taken by others";
    DatabaseDisk "database-disk-full" database_disk_full, "its disk has not a byte left, until room is made";
    JournalDisk "journal-disk-full" journal_disk_full, "the database is away until the journal's disk is full";
    Link "link-reset" link_reset, "all connections reset, again and again";
    Link "link-refused" link_refused, "open connections reset, new ones refused";
    Link "link-half-open" link_half_open, "the engine's side is gone, the probes hear nothing";
    Link "link-partitioned" link_partitioned, "nothing passes, both ways";
    Link "link-answers-held" link_answers_held, "pushes arrive, answers do not";
    Link "link-flapping" link_flapping, "partitioned and whole by turns of half a second";
    Link "link-delayed" link_delayed, "800 ms each way";
    Link "link-slow" link_slow, "400 bytes a second and connection";
    Whole "network-cut" network::cut, "the wire of the probes is cut, in a network of their own";
    Whole "network-pushes-lost" network::pushes_lost, "what the probes send is lost, what is sent to them is not";
    Whole "network-answers-lost" network::answers_lost, "the other way round";
    Whole "network-flapping" network::flapping, "cut and mended by turns of half a second";
    Whole "central-away" central::outage, "the engine is away as long as the buffers of real probes last";
    Whole "clock-steps" clock::steps, "the engine's clock steps an hour ahead, then 4 minutes behind";
    Whole "clock-behind" clock::behind, "the engine's clock is an hour behind, and right again";
    Whole "overload-engine" overload::engine, "ten times what the engine may take, for a minute";
    Whole "overload-probes" overload::greedy_probes, "some probes send ten times their quota, the others as ever";
    Whole "slow-connections" overload::slow_connections, "5,000 connections that send a byte a second";
];

fn redis_killed(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.redis.kill()?;
    sleep(lasts);
    stack.await_redis_missed()?;
    stack.redis.start()
}

fn redis_paused(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.redis.pause()?;
    sleep(lasts);
    stack.await_redis_missed()?;
    stack.redis.resume()
}

fn redis_partitioned(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_redis.both_ways(Lane::Hold);
    sleep(lasts);
    stack.await_redis_missed()?;
    stack.to_redis.both_ways(Lane::Pass);
    Ok(())
}

fn redis_flushed(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        stack.redis.command("FLUSHALL")?;
        sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn database_stopped(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.postgres.stop()?;
    sleep(lasts);
    stack.postgres.start()
}

fn database_killed(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.postgres.kill()?;
    sleep(lasts);
    stack.postgres.start()
}

fn database_paused(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.postgres.pause()?;
    sleep(lasts);
    stack.postgres.resume()
}

fn database_partitioned(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_database.both_ways(Lane::Hold);
    sleep(lasts);
    stack.to_database.both_ways(Lane::Pass);
    Ok(())
}

fn database_read_only(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let admin = stack.postgres.admin();
    let set = |to: &str| -> Result<()> {
        admin.psql(&format!(
            "ALTER SYSTEM SET default_transaction_read_only = {to}"
        ))?;
        admin.psql("SELECT pg_reload_conf()").map(drop)
    };
    set("on")?;
    sleep(lasts);
    stack.await_noticed("rows to wait", |stack| !stack.is_caught_up())?;
    set("off")
}

fn database_connections(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(take_all_connections(&stack.database.conninfo(), lasts))
}

/// Takes what is free, ends the sessions of the engine, and takes theirs as well.
async fn take_all_connections(conninfo: &str, lasts: Duration) -> Result<()> {
    const TAKEN_MIN: usize = 100;
    let end = Instant::now() + lasts;
    let mut taken: Vec<Client> = Vec::new();
    while Instant::now() < end {
        while let Ok((client, connection)) = tokio_postgres::connect(conninfo, NoTls).await {
            tokio::spawn(async move { connection.await.unwrap_or_default() });
            taken.push(client);
        }
        let first = taken.first().context("no connection was free")?;
        first
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name LIKE 'fiber-engine%'",
                &[],
            )
            .await
            .context("end the engine's sessions")?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if taken.len() < TAKEN_MIN {
        bail!("only {} connections were taken", taken.len());
    }
    Ok(())
}

/// Not a byte is left, and what is freed is taken, too. A server that cannot write its log ends
/// itself; then it is started again by hand, once there is room.
fn database_disk_full(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let ballast = stack.postgres.data_dir().with_file_name("ballast");
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        fill(&ballast)?;
        sleep(Duration::from_millis(20));
    }
    stack.await_noticed("rows to wait", |stack| !stack.is_caught_up())?;
    std::fs::remove_file(&ballast)?;
    if !stack.postgres.is_running() {
        stack.postgres.start()?;
    }
    Ok(())
}

/// Appends until the disk is full.
fn fill(ballast: &Path) -> Result<()> {
    const BLOCK: [u8; 4096] = [0; 4096];
    let mut file = File::options().create(true).append(true).open(ballast)?;
    loop {
        match file.write_all(&BLOCK) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("fill the disk"),
        }
    }
}

fn journal_disk_full(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_database.both_ways(Lane::Hold);
    stack.await_noticed("the full disk to be seen", |stack| {
        stack.journal_is("no_space")
    })?;
    sleep(lasts);
    stack.to_database.both_ways(Lane::Pass);
    Ok(())
}

fn link_reset(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        stack.to_engine.reset();
        sleep(Duration::from_millis(150));
    }
    Ok(())
}

fn link_refused(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_engine.refuse(true);
    stack.to_engine.reset();
    sleep(lasts);
    stack.to_engine.refuse(false);
    Ok(())
}

fn link_half_open(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        stack.to_engine.half_open();
        sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn link_partitioned(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_engine.both_ways(Lane::Hold);
    sleep(lasts);
    stack.to_engine.both_ways(Lane::Pass);
    Ok(())
}

fn link_answers_held(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_engine.to_client(Lane::Hold);
    sleep(lasts);
    stack.to_engine.to_client(Lane::Pass);
    Ok(())
}

fn link_flapping(stack: &mut Stack, lasts: Duration) -> Result<()> {
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        for lane in [Lane::Hold, Lane::Pass] {
            stack.to_engine.both_ways(lane);
            sleep(Duration::from_millis(500));
        }
    }
    Ok(())
}

fn link_delayed(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack
        .to_engine
        .both_ways(Lane::Delay(Duration::from_millis(800)));
    sleep(lasts);
    stack.to_engine.both_ways(Lane::Pass);
    Ok(())
}

fn link_slow(stack: &mut Stack, lasts: Duration) -> Result<()> {
    stack.to_engine.both_ways(Lane::Slow(400));
    sleep(lasts);
    stack.to_engine.both_ways(Lane::Pass);
    Ok(())
}
