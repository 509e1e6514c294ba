//! `fiber-planted`: one build with every planted bug → one run of the engine's tests per bug →
//! table, exit code.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Switches on known bugs, one after the other, and fails when the tests do not find one.
///
/// The bugs are in the engine's source as `planted("…")`, and only a build with `--cfg planted`
/// has them. Exit codes: 0 all found, 1 could not run, 2 one survived.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Their names, and what they do
    #[arg(long)]
    list: bool,
}

const EXIT_SURVIVED: u8 = 2;
/// A run without a bug takes a few seconds.
const RUN_MAX: Duration = Duration::from_secs(120);
/// After the first failed test: a bug may leave others waiting for ever.
const AFTER_FIRST: Duration = Duration::from_secs(5);

const BUGS: &[(&str, &str)] = &[
    ("ack-before-fsync", "a group is answered without fdatasync"),
    (
        "failed-fsync-is-tried-again",
        "a failed fdatasync does not poison the journal",
    ),
    ("half-write-left", "what a failed write left is not cleared"),
    (
        "name-before-durable-header",
        "a segment gets its name before its header is synced",
    ),
    (
        "name-not-durable",
        "a group is answered before its segment's name is synced",
    ),
    (
        "freed-one-early",
        "a segment is deleted while its last group is needed",
    ),
    (
        "last-group-not-settled",
        "recovery does not write the last group again",
    ),
    ("torn-tail-not-cut", "recovery leaves a torn group's bytes"),
    (
        "torn-sequence-given-again",
        "the sequence of a torn group is given to the next one",
    ),
    (
        "checksum-not-compared",
        "a group is believed whatever its checksum says",
    ),
    (
        "memory-jumps-ahead",
        "the feed gives what memory has and skips what only the disk has",
    ),
    (
        "refused-bytes-kept",
        "a refused hand-off keeps its bytes counted",
    ),
    (
        "minute-not-marked",
        "rollup buckets are written and not marked for readers that keep them",
    ),
    (
        "freed-before-flushed",
        "the journal is freed before the database's log is flushed",
    ),
    (
        "freed-with-the-commit",
        "the journal is freed when the commit is confirmed",
    ),
    (
        "account-apart-from-rows",
        "rows and their account are two transactions",
    ),
    (
        "lost-answer-taken-for-yes",
        "a COMMIT without an answer counts as done",
    ),
    (
        "told-before-commit",
        "who waits for the commit is told before it",
    ),
    (
        "position-from-memory",
        "a new session goes on where this process was, not where the database is",
    ),
    (
        "position-of-the-fastest",
        "a new session goes on where the fastest of several writers was",
    ),
    (
        "written-shard-written-again",
        "a batch that one of its writers committed is written again whole",
    ),
    (
        "batch-closed-first",
        "the writer of the receipts commits before the others",
    ),
    (
        "lost-answer-not-settled",
        "what a COMMIT without an answer stored stays in flight",
    ),
    (
        "fates-kept-for-retry",
        "rows of a rolled back transaction stay stored",
    ),
    (
        "buckets-kept-after-failure",
        "rollups in memory survive a roll back",
    ),
    (
        "newest-taken-for-new",
        "the newest stored instant again counts as new",
    ),
    (
        "replayed-not-counted",
        "samples of the run before are missing from the account",
    ),
    (
        "quarantined-not-counted",
        "refused rows are missing from the account",
    ),
    (
        "duplicates-not-counted",
        "duplicates are missing from the account",
    ),
    (
        "body-hash-not-compared",
        "another body under a known batch id gets the first one's answer",
    ),
    (
        "answer-not-remembered",
        "a batch's first answer is not kept",
    ),
    (
        "answers-of-one-group-restored",
        "a start reads the answers of the first group only",
    ),
    (
        "newest-answer-forgotten",
        "a full window forgets the newest answer, not the oldest",
    ),
];

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.list {
        for (name, what) in BUGS {
            println!("{name:<28}{what}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let known = |name: &String| BUGS.iter().any(|(bug, _)| bug == name);
    if let Some(unknown) = cli.only.iter().find(|name| !known(name)) {
        bail!("no bug is called {unknown}; --list shows them");
    }
    let tests = build()?;
    let healthy = run(&tests, None)?;
    ensure!(
        healthy.passed && healthy.failed.is_empty(),
        "without a bug the tests must pass: {:?}",
        healthy.failed
    );
    println!(
        "without a bug: all pass in {:.1} s\n",
        healthy.took.as_secs_f32()
    );
    println!("| bug | what it does | found by | s |\n|---|---|---|---|");
    let mut survived = 0;
    let mut planted = 0;
    for (name, what) in BUGS {
        if !cli.only.is_empty() && !cli.only.iter().any(|only| only == name) {
            continue;
        }
        planted += 1;
        let run = run(&tests, Some(name))?;
        let found_by = match &run.failed[..] {
            [] => {
                survived += 1;
                "**nothing**".to_owned()
            }
            [first] => first.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        let took = run.took.as_secs_f32();
        println!("| {name} | {what} | {found_by} | {took:.1} |");
    }
    println!("\n{} of {planted} found", planted - survived);
    Ok(if survived == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_SURVIVED)
    })
}

/// The engine's unit tests with all bugs in them; answers the path of the binary.
fn build() -> Result<String> {
    // The flag goes to the engine alone, so no dependency is built again. The bench profile is the
    // release profile with a test harness.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["rustc", "--lib", "-p", "fiber-engine", "--profile", "bench"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--", "--cfg", "planted"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(built.status.success(), "the build failed");
    let text = String::from_utf8(built.stdout)?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(message["executable"].as_str()?.to_owned()))
        .context("cargo told of no test binary")
}

struct Run {
    /// Ended by itself, with success.
    passed: bool,
    failed: Vec<String>,
    took: Duration,
}

fn run(tests: &str, bug: Option<&str>) -> Result<Run> {
    let began = Instant::now();
    let mut command = Command::new(tests);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    // Cargo's tests run in the package's folder.
    command.current_dir("engine").env_remove("FIBER_PLANTED");
    command.envs(bug.map(|name| ("FIBER_PLANTED", name)));
    let mut child = command.spawn().with_context(|| format!("run {tests}"))?;
    let lines = lines(&mut child)?;
    let mut failed = Vec::new();
    let mut until = began + RUN_MAX;
    let ended = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let name = line.strip_prefix("test ");
                if let Some(name) = name.and_then(|line| line.strip_suffix(" ... FAILED")) {
                    failed.push(name.to_owned());
                    until = until.min(Instant::now() + AFTER_FIRST);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        child.kill().context("stop the tests")?;
    }
    let status = child.wait().context("wait for the tests")?;
    Ok(Run {
        passed: ended && status.success(),
        failed,
        took: began.elapsed(),
    })
}

/// Ends when the child has closed its output.
fn lines(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().context("the output is piped")?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
