//! R figures that this repository's own tests prove: they are run by name. A name that matches no
//! test is a miss, so that a test cannot leave the table by being renamed.

use super::{Absent, Bar, Context, Line};
use anyhow::{Context as _, Result, ensure};
use fiber_local::workspace_root;
use std::ffi::OsString;
use std::process::{Command, Output};

/// One run of `cargo test`.
struct Tests {
    what: &'static str,
    kind: &'static [&'static str],
    names: &'static [&'static str],
    /// Variables that say how much; short first, then for a full run.
    sizes: &'static [(&'static str, &'static str, &'static str)],
    /// Of `make soak`: not among the usual tests.
    ignored: bool,
}

const LIBRARIES: &[&str] = &["--lib"];
const SYSTEM: &[&str] = &["--test", "system"];

impl Tests {
    const fn of(
        what: &'static str,
        kind: &'static [&'static str],
        names: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            kind,
            names,
            sizes: &[],
            ignored: false,
        }
    }

    fn run(&self, gate: &'static str, context: &Context) -> Result<Line> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .args(["test", "--release", "--workspace"])
            .args(self.kind)
            .arg("--")
            .args(self.names);
        if self.ignored {
            command.args(["--ignored", "--test-threads", "1"]);
        }
        for (name, short, full) in self.sizes {
            command.env(name, if context.is_full() { full } else { short });
        }
        let output = command
            .current_dir(workspace_root())
            .output()
            .context("run cargo test")?;
        let told = Told::of(&output);
        ensure!(
            told.ran(),
            "no result of {:?}: {}",
            self.names,
            last_lines(&output)
        );
        let sizes = self.sizes.iter().map(|(name, short, full)| {
            format!(", {name}={}", if context.is_full() { full } else { short })
        });
        let line = Line::new(gate, self.what, "").must(Bar::at_most(0.0));
        if told.passed + told.failed == 0 {
            return Ok(line.absent(Absent::Failed(format!(
                "no test is called {}",
                self.names.join(" or ")
            ))));
        }
        let failed = told.failed + u64::from(told.failed == 0 && !output.status.success());
        Ok(line.count(failed).note(format!(
            "{} of {} tests passed{}{}",
            told.passed,
            told.passed + told.failed,
            sizes.collect::<String>(),
            told.first_failure
        )))
    }
}

fn run_all(gate: &'static str, context: &Context, all: &[Tests]) -> Result<Vec<Line>> {
    all.iter().map(|tests| tests.run(gate, context)).collect()
}

pub(super) fn kills_of_the_engine(context: &Context) -> Result<Vec<Line>> {
    let tests = Tests {
        sizes: &[("CYCLES", "6", "50")],
        ignored: true,
        ..Tests::of(
            "kill -9 of the engine under load; tests that failed",
            SYSTEM,
            &["soak::the_engine"],
        )
    };
    run_all("R1", context, &[tests])
}

pub(super) fn kills_of_the_database(context: &Context) -> Result<Vec<Line>> {
    let tests = Tests {
        sizes: &[("CYCLES", "4", "25")],
        ignored: true,
        ..Tests::of(
            "kill -9 of the database, or of both, under load; tests that failed",
            SYSTEM,
            &["soak::the_database"],
        )
    };
    run_all("R2", context, &[tests])
}

pub(super) fn damage(context: &Context) -> Result<Vec<Line>> {
    let what = "journal: flipped, cut, failing at each call; tests that failed";
    run_all(
        "R3",
        context,
        &[Tests::of(
            what,
            LIBRARIES,
            &[
                "journal::tests::damage",
                "journal::tests::faults",
                "journal::tests::crash",
            ],
        )],
    )
}

pub(super) fn simulation(context: &Context) -> Result<Vec<Line>> {
    let tests = Tests {
        sizes: &[("FIBER_TEST_SCHEDULES", "1000", "10000")],
        ..Tests::of(
            "the whole path by seed; tests that failed",
            LIBRARIES,
            &["simulation"],
        )
    };
    run_all("R4", context, &[tests])
}

pub(super) fn planted(_: &Context) -> Result<Vec<Line>> {
    let what = "planted bugs that the tests missed";
    Ok(vec![program("R5", what, "fiber-planted")?])
}

/// A program of this repository that judges by itself; its last line is the note.
fn program(gate: &'static str, what: &'static str, name: &str) -> Result<Line> {
    let program = fiber_local::engine_binary()?.with_file_name(name);
    let output = Command::new(&program)
        .current_dir(workspace_root())
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Ok(Line::new(gate, what, "")
        .must(Bar::at_most(0.0))
        .count(u64::from(!output.status.success()))
        .note(last))
}

pub(super) fn small_steps(context: &Context) -> Result<Vec<Line>> {
    let fuzz = Tests {
        sizes: &[("FIBER_TEST_FUZZ", "5000", "200000")],
        ..Tests::of(
            "mutated inputs against every reader; tests that failed",
            LIBRARIES,
            &["fuzz"],
        )
    };
    let mut lines = run_all("R6", context, &[fuzz])?;
    let output = Command::new("make")
        .arg("loom")
        .current_dir(workspace_root())
        .output()
        .context("run make loom")?;
    let told = Told::of(&output);
    let failed = told.failed + u64::from(!output.status.success() || told.passed == 0);
    lines.push(
        Line::new(
            "R6",
            "the hand-off in every order of two threads (loom); tests that failed",
            "",
        )
        .must(Bar::at_most(0.0))
        .count(failed)
        .note(format!("{} passed{}", told.passed, told.first_failure)),
    );
    Ok(lines)
}

pub(super) fn bad_input(context: &Context) -> Result<Vec<Line>> {
    let what = "bad input over raw sockets, on both drivers; tests that failed";
    let mut lines = run_all(
        "R11",
        context,
        &[Tests::of(
            what,
            SYSTEM,
            &[
                "bad_input::",
                "hostile::",
                "auth::",
                "signed::",
                "duplicates::",
            ],
        )],
    )?;
    let what = "schemathesis over the OpenAPI document: runs with a server error or a violation";
    lines.push(program("R11", what, "fiber-schemathesis")?);
    Ok(lines)
}

pub(super) fn canaries(context: &Context) -> Result<Vec<Line>> {
    let what = "secrets searched in logs, answers, tables, files; tests that failed";
    run_all("R12", context, &[Tests::of(what, SYSTEM, &["canary::"])])
}

/// What the test harness said in all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    results: u64,
    passed: u64,
    failed: u64,
    first_failure: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        Self::read(&String::from_utf8_lossy(&output.stdout))
    }

    fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                let count = |word: &str| {
                    let before = result.split(word).next()?;
                    before
                        .trim_end()
                        .rsplit([' ', '.'])
                        .next()?
                        .parse::<u64>()
                        .ok()
                };
                told.results += 1;
                told.passed += count(" passed").unwrap_or_default();
                told.failed += count(" failed").unwrap_or_default();
            } else if line.starts_with("test ")
                && line.ends_with("FAILED")
                && told.first_failure.is_empty()
            {
                told.first_failure = format!("; first: {line}");
            }
        }
        told
    }

    const fn ran(&self) -> bool {
        self.results > 0
    }
}

fn last_lines(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<_> = text.lines().rev().take(5).collect();
    last.reverse();
    last.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_is_understood() {
        let text = "running 3 tests\ntest a ... ok\ntest b ... FAILED\n\
            test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.1s\n\
            test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        let told = Told::read(text);
        assert_eq!((told.passed, told.failed, told.results), (42, 1, 2));
        assert!(told.first_failure.contains("test b"));
        assert!(!Told::read("error: could not compile").ran());
    }
}
