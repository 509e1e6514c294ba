//! The generator as a process: against its own server, one that is stopped, and its own death.

use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::ledger::{Ledger, Outcome};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LOADGEN: &str = env!("CARGO_BIN_EXE_fiber-loadgen");

/// `fiber-loadgen hello`, killed when dropped.
struct HelloProcess {
    child: Child,
    url: String,
}

impl HelloProcess {
    fn start() -> Self {
        let mut child = Command::new(LOADGEN)
            .args(["hello", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let url = format!("http://{}", address.trim());
        Self { child, url }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for HelloProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// To its end, whether or not the machine left it the time to keep its schedule.
fn ran(output: &std::process::Output) -> bool {
    matches!(output.status.code(), Some(0 | 3))
}

/// A loaded machine may only add to these waits, so the bounds from below hold on any.
#[test]
fn a_server_that_is_stopped_is_in_the_corrected_latencies_with_the_whole_wait() {
    let hello = HelloProcess::start();
    let run = fleet::start(Config {
        url: hello.url.clone(),
        probes: 20,
        rate: Rate::PerSecond(500.0),
        duration: Duration::from_secs(3),
        ..Config::default()
    })
    .unwrap();
    while run.progress().acked_samples < 100 {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    hello.signal(rustix::process::Signal::STOP);
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_millis(800) {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let stalled_ms = stopped.elapsed().as_secs_f64() * 1e3;
    hello.signal(rustix::process::Signal::CONT);
    let report = run.wait().unwrap();
    assert_eq!(report.samples.acked, 1_500, "{report}");
    // 400 of 1,500 fell into the stall and waited 800 ms down to 0. The slowest tenth of all is the
    // first 150 of these: its fastest waited 500 ms.
    assert!(report.latency_ms.max >= stalled_ms * 0.95, "{report}");
    assert!(report.latency_ms.p90 >= stalled_ms * 0.55, "{report}");
    // What a closed loop would have told: one slow answer on each connection.
    let raw_slow = report
        .percentiles
        .iter()
        .filter(|point| point.service_ms > 400.0);
    let least = raw_slow.map(|point| point.percentile).fold(100.0, f64::min);
    assert!(least > 97.0, "{least} {report}");
    // The seconds show it where it began.
    let slowest = report
        .seconds
        .iter()
        .filter_map(|row| row.max_ms)
        .fold(0.0, f64::max);
    assert!(slowest >= stalled_ms * 0.9, "{report}");
}

#[test]
fn a_generator_killed_at_any_moment_leaves_every_sample_in_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3_u64 {
        let server = crate::hostile::Server::start(Vec::new());
        let path = folder.path().join(format!("ledger-{round}"));
        let mut generator = Command::new(LOADGEN)
            .args(["fleet", "--quiet", "--url", &server.url(), "--rate", "4000"])
            .args([
                "--probes",
                "40",
                "--duration",
                "60",
                "--secret",
                "x",
                "--ledger",
            ])
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while server.requests().len() < 200 + 130 * round as usize {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        generator.kill().unwrap();
        generator.wait().unwrap();
        let ledger = Ledger::read(&path).unwrap();
        let known: std::collections::HashSet<_> = ledger
            .entries
            .iter()
            .map(|entry| {
                let name = &ledger.series[entry.series() as usize];
                (name.node_id.clone(), entry.time_us)
            })
            .collect();
        let requests = server.requests();
        for request in &requests {
            let body = request.split_once("\r\n\r\n").unwrap().1;
            let sample: fiber_contract::Sample = serde_json::from_str(body).unwrap();
            let identity = (sample.node_id, sample.timestamp.0);
            assert!(
                known.contains(&identity),
                "{identity:?} was sent and is not in the ledger"
            );
        }
        assert!(ledger.count(Outcome::Refused) == 0 && !requests.is_empty());
    }
}

#[test]
fn a_ledger_that_cannot_be_written_ends_the_run_before_anything_unknown_is_sent() {
    let server = crate::hostile::Server::start(Vec::new());
    let output = Command::new(LOADGEN)
        .args(["fleet", "--quiet", "--url", &server.url(), "--secret", "x"])
        .args(["--rate", "100", "--duration", "1", "--ledger", "/dev/full"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("ledger /dev/full"), "{text}");
    assert!(server.requests().is_empty());
}

/// It is stopped itself, as if the machine had no time for it: it must not blame the server for that.
#[test]
fn a_generator_that_cannot_keep_its_schedule_says_so_and_exits_with_3() {
    let hello = HelloProcess::start();
    let child = Command::new(LOADGEN)
        .args(["fleet", "--quiet", "--url", &hello.url, "--secret", "x"])
        .args(["--rate", "500", "--probes", "20", "--duration", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let signal_after = |wait, signal| {
        std::thread::park_timeout(Duration::from_millis(wait));
        rustix::process::kill_process(pid, signal).unwrap();
    };
    // A quarter of the sends are due while it stands still, most of them by over 100 ms.
    signal_after(1_000, rustix::process::Signal::STOP);
    signal_after(800, rustix::process::Signal::CONT);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("DID NOT KEEP ITS SCHEDULE") && text.contains("% of a core"),
        "{text}"
    );
}

#[test]
fn reports_come_as_text_json_csv_and_a_page() {
    let hello = HelloProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (json, csv, html, again) = (
        path("r.json"),
        path("r.csv"),
        path("r.html"),
        path("again.html"),
    );
    let output = Command::new(LOADGEN)
        .args([
            "fleet", "--quiet", "--url", &hello.url, "--secret", "x", "--rate", "200",
        ])
        .args([
            "--curve",
            "spike:times=3,at=0.5,for=0.5",
            "--duration",
            "2",
            "--ceiling",
        ])
        .args(["--json", &json, "--csv", &csv, "--html", &html])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(ran(&output), "{text}");
    assert!(
        text.contains("curve spike") && text.contains("its ceiling"),
        "{text}"
    );
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(
        csv.starts_with("at_s,") && csv.lines().count() >= 3,
        "{csv}"
    );
    let offered: f64 = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(offered, 400.0, "half a second at 200/s, half at 600/s");
    let page = std::fs::read_to_string(html).unwrap();
    let status = Command::new(LOADGEN)
        .args(["report", "--json", &json, "--html", &again])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let again = std::fs::read_to_string(again).unwrap();
    let tables = |page: &str| {
        page.split_once("Milliseconds")
            .map(|(_, rest)| rest.to_owned())
    };
    assert!(tables(&page).is_some() && tables(&page) == tables(&again));
}

#[test]
fn a_fleet_is_printed_edited_and_run() {
    let hello = HelloProcess::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.csv");
    let printed = Command::new(LOADGEN)
        .args(["fleet", "--print-fleet", "csv", "--probes", "7"])
        .output()
        .unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    std::fs::write(&file, text.replace("accra-01", "accra-99")).unwrap();
    let run = |rate: &str| {
        Command::new(LOADGEN)
            .args(["fleet", "--quiet", "--url", &hello.url, "--secret", "x"])
            .args(["--rate", rate, "--duration", "0.5", "--fleet"])
            .arg(&file)
            .output()
            .unwrap()
    };
    let output = run("70");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(ran(&output) && text.contains("7 probes over 7"), "{text}");
    std::fs::write(&file, "node_id,city\na b,Accra\nc,Atlantis\n").unwrap();
    let output = run("70");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("fleet.csv:2: node_id must be"), "{text}");
    assert!(text.contains("fleet.csv:3: country is missing"), "{text}");
}
