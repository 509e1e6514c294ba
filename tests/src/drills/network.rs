//! R9: the probes live in a network namespace of their own, and the wire to the engine is cut for
//! real: both ways, one way, by turns. The kernel's own TCP is at both ends, with its own retries, and
//! no proxy answers for anybody. Needs root and iproute2.

use super::outcome::{Outcome, Pushes, Times};
use super::stack::Stack;
use super::{Breaks, LEAD_IN, LEAD_OUT, RECOVERY_HOPE, Size, await_back};
use anyhow::{Context as _, Result, bail};
use fiber_loadgen::fleet::{self, Config};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A try's deadline to connect of 5 s, and a probe's own pause of up to 2 s.
const BAR: Duration = Duration::from_secs(8);
const TURN: Duration = Duration::from_millis(500);
/// Nobody's: frames to it arrive and are thrown away, and the sender hears nothing.
const NOBODY: &str = "02:00:00:00:00:ee";

pub(super) fn cut(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, |wire, lasts| {
        wire.cut()?;
        sleep(lasts);
        wire.mend()
    })
}

pub(super) fn pushes_lost(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, |wire, lasts| {
        wire.lose_pushes(true)?;
        sleep(lasts);
        wire.lose_pushes(false)
    })
}

pub(super) fn answers_lost(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, |wire, lasts| {
        wire.lose_answers(true)?;
        sleep(lasts);
        wire.lose_answers(false)
    })
}

pub(super) fn flapping(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, |wire, lasts| {
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            wire.cut()?;
            sleep(TURN);
            wire.mend()?;
            sleep(TURN);
        }
        Ok(())
    })
}

fn run(
    name: &'static str,
    size: Size,
    fault: impl FnOnce(&Wire, Duration) -> Result<()>,
) -> Result<Outcome> {
    let stack = Stack::with(Breaks::Link, &[("FIBER_LISTEN", "0.0.0.0")])?;
    let wire = Wire::lay()?;
    let lasts = size.link_fault;
    let config = Config {
        url: format!("http://{}:{}", wire.here, stack.engine.port()),
        ..stack.fleet(Breaks::Link, LEAD_IN + lasts + RECOVERY_HOPE)
    };
    let run = wire.inside(|| fleet::start(config))??;
    sleep(LEAD_IN);
    if run.progress().acked_samples == 0 {
        bail!("nothing passes the wire before it is cut");
    }
    let began = Instant::now();
    let before = run.progress().acked_samples;
    fault(&wire, lasts).context("cut and mend the wire")?;
    let mended = Instant::now();
    let acked = run.progress().acked_samples;
    let recovery = await_back(mended, &stack, || run.progress().acked_samples > acked)?;
    sleep(LEAD_OUT);
    run.stop();
    let report = run.wait()?;
    let times = Times {
        fault: mended - began,
        recovery,
        bar: BAR,
    };
    let mut outcome = Outcome::of(name, &stack, &[&report], times)?;
    outcome
        .notes
        .push(format!("{} acknowledged during the fault", acked - before));
    outcome.judge(Pushes::MayFail);
    Ok(outcome)
}

/// A namespace and the wire to it; both are gone on drop.
struct Wire {
    namespace: String,
    here_end: String,
    there_end: String,
    here: String,
    there: String,
}

impl Wire {
    fn lay() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // A /30 of its own for each wire of each process, in a net that is nobody's (RFC 2544).
        let block = (id.wrapping_mul(64).wrapping_add(number)) % (1 << 15);
        let address = |host: u32| {
            let low = block * 4 + host;
            format!(
                "198.{}.{}.{}",
                18 + (low >> 16),
                low >> 8 & 0xff,
                low & 0xff
            )
        };
        let wire = Self {
            namespace: format!("fiber-drill-{id}-{number}"),
            here_end: format!("fd{id}h{number}"),
            there_end: format!("fd{id}t{number}"),
            here: address(1),
            there: address(2),
        };
        let Self {
            namespace,
            here_end,
            there_end,
            here,
            there,
        } = &wire;
        ip(&format!("netns add {namespace}"))?;
        ip(&format!(
            "link add {here_end} type veth peer name {there_end} netns {namespace}"
        ))?;
        ip(&format!("addr add {here}/30 dev {here_end}"))?;
        ip(&format!(
            "-n {namespace} addr add {there}/30 dev {there_end}"
        ))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} link set {there_end} up"))?;
        ip(&format!("link set {here_end} up"))?;
        Ok(wire)
    }

    /// Runs it where the probes are. Threads that it starts stay there.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.namespace);
        let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("enter the network namespace")?;
                Ok(work())
            });
            match thread.join() {
                Ok(result) => result,
                Err(_) => bail!("the thread in the namespace panicked"),
            }
        })
    }

    fn cut(&self) -> Result<()> {
        ip(&format!("link set {} down", self.here_end))
    }

    fn mend(&self) -> Result<()> {
        ip(&format!("link set {} up", self.here_end))
    }

    fn lose_pushes(&self, lose: bool) -> Result<()> {
        let (namespace, dev, to) = (&self.namespace, &self.there_end, &self.here);
        if lose {
            ip(&format!(
                "-n {namespace} neigh replace {to} lladdr {NOBODY} dev {dev} nud permanent"
            ))
        } else {
            ip(&format!("-n {namespace} neigh del {to} dev {dev}"))
        }
    }

    fn lose_answers(&self, lose: bool) -> Result<()> {
        let (dev, to) = (&self.here_end, &self.there);
        if lose {
            ip(&format!(
                "neigh replace {to} lladdr {NOBODY} dev {dev} nud permanent"
            ))
        } else {
            ip(&format!("neigh del {to} dev {dev}"))
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The other end goes with this one. What cannot be removed is told.
        for command in [
            format!("link del {}", self.here_end),
            format!("netns del {}", self.namespace),
        ] {
            if let Err(error) = ip(&command) {
                eprintln!("{error:#}");
            }
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("run ip (package iproute2)")?;
    if !output.status.success() {
        bail!(
            "ip {arguments}: {}; this needs root",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
