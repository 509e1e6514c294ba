//! P8: what connections hold.

use super::Bench;
use super::overload::{answer, request};
use super::requests::closed_loop;
use crate::report::{Section, Value, grouped, mib};
use crate::rig::{Rig, Stack};
use anyhow::{Result, ensure};
use std::net::TcpStream;

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let stack = rig.stack(&[("FIBER_DRIVER", "epoll")])?;
    let before = stack.memory();
    closed_loop(stack.fleet(), size, 1)?;
    let active = stack.memory();
    finish(rig, stack)?;

    let growth_bytes = idle(rig, size.idle_connections)?;
    let per_idle_bytes = growth_bytes as f64 / f64::from(size.idle_connections);
    Ok(Section {
        id: "P8",
        title: "memory with all connections active; of an idle connection",
        target: "≤ 128 MiB; ≤ 8 KiB",
        headline: format!(
            "**{}**; **{:.1} KiB**",
            mib(active.rss_peak_bytes),
            per_idle_bytes / 1_024.0
        ),
        values: vec![
            Value::at_most(
                128.0,
                "memory, all connections active",
                active.rss_peak_bytes as f64 / f64::from(1 << 20),
                "MiB",
            ),
            Value::at_most(
                8.0,
                "memory of an idle connection",
                per_idle_bytes / 1_024.0,
                "KiB",
            ),
        ],
        text: format!(
            "The engine's resident memory (VmRSS; the kernel's socket buffers are not in it). At the \
             start {}, of it {} no file's; with {} connections sending single samples as fast as they can for {:.1} s, \
             at most {}, and {} at the end. Idle: {} connections that had one push answered each, \
             opened beside a quarter as many held already; the growth ({}), divided.",
            mib(before.rss_bytes),
            mib(before.anonymous_bytes),
            grouped(f64::from(size.connections)),
            size.run.as_secs_f64(),
            mib(active.rss_peak_bytes),
            mib(active.rss_bytes),
            grouped(f64::from(size.idle_connections)),
            mib(growth_bytes),
        ),
    })
}

/// Bytes that so many more connections add.
fn idle(rig: &Rig, connections: u32) -> Result<u64> {
    let stack = rig.stack(&[("FIBER_DRIVER", "epoll")])?;
    // They use up what the start has left free in the heap, which would hide the others.
    let held_before = open(&stack, connections / 4)?;
    stack.await_drained()?;
    let before = stack.memory().rss_bytes;
    let held = open(&stack, connections)?;
    stack.await_drained()?;
    let after = stack.memory().rss_bytes;
    drop((held_before, held));
    finish(rig, stack)?;
    Ok(after.saturating_sub(before))
}

fn open(stack: &Stack, connections: u32) -> Result<Vec<TcpStream>> {
    (0..connections)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", stack.engine.port()))?;
            std::io::Write::write_all(&mut stream, request(stack).as_bytes())?;
            let status = answer(&mut stream)?;
            ensure!(status == 202, "a push was answered {status}");
            Ok(stream)
        })
        .collect()
}

fn finish(rig: &Rig, stack: Stack) -> Result<()> {
    let Stack { engine, database } = stack;
    drop(engine);
    rig.drop_database(&database)
}
