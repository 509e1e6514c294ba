//! The probe's binary: killed without warning, started again, stopped in order.

use crate::hostile::Server;
use fiber_contract::Batch;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start(url: &str, target: &str, spool: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fiber-probe"))
        .args([
            "--url",
            url,
            "--target",
            target,
            "--node-id",
            "p1",
            "--country",
            "GH",
        ])
        .args([
            "--region",
            "Accra",
            "--secret",
            "s",
            "--interval",
            "100ms",
            "--timeout",
            "50ms",
        ])
        .args(["--packets", "2", "--spool"])
        .arg(spool)
        .env_remove("FIBER_URL")
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn timestamps(server: &Server) -> Vec<i64> {
    let samples = |request: &String| {
        let batch: Batch = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        batch.metrics
    };
    server
        .requests()
        .iter()
        .flat_map(samples)
        .map(|sample| sample.timestamp.0)
        .collect()
}

#[test]
fn what_was_measured_before_a_kill_is_delivered_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let began = fiber_contract::UnixMicros::now().0;
    let mut first = start(&Server::closed_port(), &target, &spool);
    // About ten samples of some 220 bytes each.
    wait_until("samples are spooled", || {
        std::fs::metadata(&spool).is_ok_and(|m| m.len() > 2_200)
    });
    first.kill().unwrap();
    first.wait().unwrap();
    let killed = fiber_contract::UnixMicros::now().0;

    let server = Server::start(Vec::new());
    let mut second = start(&server.url(), &target, &spool);
    wait_until("newer samples arrive", || {
        timestamps(&server).iter().any(|time| *time > killed)
    });
    let pid = rustix::process::Pid::from_child(&second);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(second.wait().unwrap().success());

    let all = timestamps(&server);
    let unique: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "nothing twice");
    let before: Vec<_> = all.iter().filter(|time| **time < killed).collect();
    assert!(before.len() >= 8, "{before:?}");
    assert!(all.iter().all(|time| *time >= began));
    assert!(all.is_sorted(), "oldest first");
}

#[test]
fn wrong_flags_end_with_64_and_name_every_mistake() {
    let output = Command::new(env!("CARGO_BIN_EXE_fiber-probe"))
        .args([
            "--country",
            "x",
            "--region",
            "r",
            "--target",
            "nonsense",
            "--secret",
            "s",
        ])
        .args(["--node-id", "a b", "--url", "ftp://x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr);
    for word in ["--country", "--node-id", "nonsense", "ftp://x"] {
        assert!(text.contains(word), "{text}");
    }
}
