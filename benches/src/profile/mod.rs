//! `make profile`: where the engine's time goes while it takes single samples, and bodies of 500, as
//! fast as they come.
//!
//! ```text
//! fleet ▶ engine ◀ perf record ▶ perf script ▶ stacks ▶ flame (FLAME.svg, FLAME_ROWS.svg)
//!                                                 └───▶ stages (BUDGET.md) ◀ callgrind, if there is valgrind
//! ```
//! perf samples the CPU clock with whole stacks (DWARF), so kernel and engine stand in one picture.
//! It slows what it looks at: the shares count, not the rate.

mod callgrind;
mod flame;
mod stacks;
mod stages;

use crate::figures::closed_loop;
use crate::rig::{BATCH, HUBS, Rig, Stack};
use crate::{Size, usage};
use anyhow::{Context as _, Result, bail, ensure};
use fiber_local::scratch::Scratch;
use fiber_local::workspace_root;
use stacks::Stacks;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const HERTZ: &str = "499";
/// Deep enough for a COPY under tokio; more only makes perf's file larger.
const STACK_BYTES: u32 = 16_384;
const RECORDED: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);

/// Writes `benches/FLAME.svg`, `benches/FLAME_ROWS.svg` and `benches/BUDGET.md`.
pub fn run(quick: bool) -> Result<()> {
    let size = Size {
        run: RECORDED + 2 * WARM_UP,
        ..if quick { Size::QUICK } else { Size::FULL }
    };
    let rig = Rig::start()?;
    let singles = record(&rig, size, 1)?;
    let hubs = Size {
        connections: HUBS,
        ..size
    };
    let rows = record(&rig, hubs, BATCH)?;
    let counted = callgrind::count(&rig)?;
    let dir = if quick {
        std::env::temp_dir()
    } else {
        workspace_root().join("benches")
    };
    for (name, recorded) in [("FLAME.svg", &singles), ("FLAME_ROWS.svg", &rows)] {
        let title = format!(
            "Samples a request: {}; {} samples of the engine's CPU",
            recorded.batch,
            recorded.stacks.total()
        );
        write(&dir.join(name), &flame::svg(&recorded.stacks, &title))?;
    }
    write(
        &dir.join("BUDGET.md"),
        &report(&singles, &rows, counted.as_deref()),
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

struct Recorded {
    /// Samples a request.
    batch: u32,
    stacks: Stacks,
    samples_s: f64,
    /// Of the engine for a sample, while perf looked.
    cpu_us_each: f64,
}

fn record(rig: &Rig, size: Size, batch: u32) -> Result<Recorded> {
    let stack = rig.stack(&[("FIBER_DRIVER", "epoll")])?;
    let pid = stack.engine.pid().context("the engine runs")?;
    let home = Scratch::new("profile")?;
    let data = home.path().join("perf.data");
    let before = usage::cpu_s(pid);
    let (report, perf) = std::thread::scope(|scope| {
        let perf = scope.spawn(|| {
            std::thread::sleep(WARM_UP);
            perf_record(pid, &data)
        });
        let report = closed_loop(stack.fleet(), size, batch);
        (report, perf.join())
    });
    let report = report?;
    match perf {
        Ok(done) => done?,
        Err(_) => bail!("the thread of perf panicked"),
    }
    stack.await_drained()?;
    let cpu_s = usage::cpu_s(pid) - before;
    let Stack { engine, database } = stack;
    drop(engine);
    rig.drop_database(&database)?;
    let script = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"])
        .arg(&data)
        .output()
        .context("run perf script")?;
    ensure!(script.status.success(), "perf script failed");
    Ok(Recorded {
        stacks: Stacks::of_perf(&String::from_utf8_lossy(&script.stdout)),
        batch,
        samples_s: report.throughput.requests_s * f64::from(batch),
        cpu_us_each: cpu_s * 1e6 / report.samples.acked as f64,
    })
}

fn perf_record(pid: i32, data: &Path) -> Result<()> {
    let done = Command::new("perf")
        .args([
            "record",
            "-q",
            "-e",
            "cpu-clock",
            "-F",
            HERTZ,
            "--call-graph",
        ])
        .arg(format!("dwarf,{STACK_BYTES}"))
        .args(["-p", &pid.to_string(), "-o"])
        .arg(data)
        .args(["--", "sleep", &RECORDED.as_secs().to_string()])
        .status()
        .context("run perf (Debian: linux-perf)")?;
    ensure!(
        done.success(),
        "perf record failed; it needs root, or kernel.perf_event_paranoid <= 1"
    );
    Ok(())
}

fn report(singles: &Recorded, rows: &Recorded, counted: Option<&str>) -> String {
    let mut text = format!(
        "# Budget of a push and of a row\n\nWritten by `make profile`, with FLAME.svg and FLAME_ROWS.svg; what follows from it is in PROFILE.md.\n\n\
         A stage is the innermost function of the engine that a stack names, with what \
         it calls, the kernel too; a function that the compiler put into another counts as that one.\n\n\
         Single samples over HTTP, closed loop, while perf looked: {:.0} requests/s, {:.1} µs of the engine's CPU each. \
         {} samples of the CPU clock.\n\n",
        singles.samples_s,
        singles.cpu_us_each,
        singles.stacks.total()
    );
    text.push_str(&stages::table(
        &singles.stacks,
        singles.cpu_us_each,
        "request",
    ));
    if let Some(counted) = counted {
        text.push_str(counted);
    }
    let bodies = format!(
        "\nBodies of {} samples, closed loop, while perf looked: {:.0} rows/s acknowledged, {:.2} µs of the engine's CPU a row, \
         until the last was committed. {} samples of the CPU clock.\n\n",
        rows.batch,
        rows.samples_s,
        rows.cpu_us_each,
        rows.stacks.total()
    );
    text.push_str(&bodies);
    text.push_str(&stages::table(&rows.stacks, rows.cpu_us_each, "row"));
    text
}
