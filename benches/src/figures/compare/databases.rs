//! Programs that keep what they are given.

use super::canned::program;
use super::{Other, answered};
use crate::copy::CopyFiles;
use crate::pairs::Side;
use crate::rig::{Rig, launched};
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::fleet::Format;
use fiber_local::http;
use fiber_local::scratch::Scratch;
use fiber_local::servers::free_port;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) const VICTORIA: &str = "VictoriaMetrics";

pub(super) fn find(others: &mut Vec<Box<dyn Other + '_>>, missing: &mut Vec<String>) {
    let victoria = ["victoria-metrics", "victoria-metrics-prod"];
    match program("FIBER_BENCH_VICTORIA", &victoria) {
        Some(path) => others.push(Box::new(Victoria(path))),
        None => missing.push("VictoriaMetrics (FIBER_BENCH_VICTORIA names its program)".to_owned()),
    }
    let url = std::env::var("FIBER_BENCH_INFLUX_URL").ok();
    match (url.filter(|url| !url.is_empty()), program("FIBER_BENCH_INFLUX", &["influxd"])) {
        (Some(url), _) => others.push(Box::new(InfluxAt(url))),
        (None, Some(path)) => others.push(Box::new(Influx(path))),
        (None, None) => missing.push(
            "InfluxDB (FIBER_BENCH_INFLUX names a program of version 1, FIBER_BENCH_INFLUX_URL the write \
             address of any that runs)"
                .to_owned(),
        ),
    }
}

pub(super) struct Copy<'a>(pub(super) &'a CopyFiles);

impl Other for Copy<'_> {
    fn name(&self) -> &'static str {
        "psql COPY BINARY"
    }

    fn promise(&self) -> &'static str {
        "one synchronous commit at the end; rows only, no look for duplicates but the index"
    }

    fn measure(&self, rig: &Rig, _: u64) -> Result<Side> {
        self.0.measure(rig)
    }
}

/// So that two runs in one minute never meet: each has a server and a folder of its own.
struct Victoria(PathBuf);

impl Other for Victoria {
    fn name(&self) -> &'static str {
        VICTORIA
    }

    fn promise(&self) -> &'static str {
        "in memory; on disk some seconds later, without fsync of a log; line protocol, three fields each"
    }

    fn measure(&self, _: &Rig, samples: u64) -> Result<Side> {
        let home = Scratch::new("victoria")?;
        let port = free_port()?;
        let args: Vec<OsString> = [
            format!("-storageDataPath={}", home.path().join("data").display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-loggerLevel=ERROR".to_owned(),
        ]
        .into_iter()
        .map(OsString::from)
        .collect();
        let _server = launched(&self.0, args, Vec::new(), &home, port)?;
        let side = answered(
            format!("http://127.0.0.1:{port}/write"),
            Format::Line,
            samples,
        )?;
        let metrics = http::get(&format!("http://127.0.0.1:{port}/metrics"))?;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let rows = inserted(&text);
        // Two fields at least: a sample without an answer has no latency.
        ensure!(
            rows >= 2.0 * (samples - samples % u64::from(super::BATCH)) as f64,
            "it counts {rows} values of {samples} samples"
        );
        Ok(side)
    }
}

/// Values that the server itself counts.
fn inserted(metrics: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with("vm_rows_inserted_total{") && line.contains("influx"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

struct Influx(PathBuf);

const INFLUX_PROMISE: &str = "in its write-ahead log, with an fsync for each batch in the default settings; line protocol, three fields each";

impl Other for Influx {
    fn name(&self) -> &'static str {
        "InfluxDB 1"
    }

    fn promise(&self) -> &'static str {
        INFLUX_PROMISE
    }

    fn measure(&self, _: &Rig, samples: u64) -> Result<Side> {
        let home = Scratch::new("influx")?;
        let (port, rpc) = (free_port()?, free_port()?);
        let folder = |name: &str| home.path().join(name).display().to_string();
        let env = [
            ("META_DIR", folder("meta")),
            ("DATA_DIR", folder("data")),
            ("DATA_WAL_DIR", folder("wal")),
            ("BIND_ADDRESS", format!("127.0.0.1:{rpc}")),
            ("HTTP_BIND_ADDRESS", format!("127.0.0.1:{port}")),
            ("HTTP_LOG_ENABLED", "false".to_owned()),
            ("REPORTING_DISABLED", "true".to_owned()),
            ("MONITOR_STORE_ENABLED", "false".to_owned()),
        ];
        let env = env.map(|(name, value)| (format!("INFLUXDB_{name}"), value));
        let env = Vec::from(env);
        let _server = launched(&self.0, vec!["run".into()], env, &home, port)?;
        let base = format!("http://127.0.0.1:{port}");
        create(&base)?;
        answered(
            format!("{base}/write?db=bench&precision=ns"),
            Format::Line,
            samples,
        )
    }
}

fn create(base: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        // GET is enough for it in version 1.
        let answer = http::get(&format!("{base}/query?q=CREATE%20DATABASE%20bench"));
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) if Instant::now() > deadline => {
                anyhow::bail!("CREATE DATABASE was answered with {}", answer.status)
            }
            Err(error) if Instant::now() > deadline => return Err(error).context("ask InfluxDB"),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// One that somebody runs; its database fills up with what is sent here.
struct InfluxAt(String);

impl Other for InfluxAt {
    fn name(&self) -> &'static str {
        "InfluxDB, as it runs"
    }

    fn promise(&self) -> &'static str {
        INFLUX_PROMISE
    }

    fn measure(&self, _: &Rig, samples: u64) -> Result<Side> {
        answered(self.0.clone(), Format::Line, samples)
    }
}
