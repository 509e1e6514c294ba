//! What was found, for people and for programs.

use serde::Serialize;
use std::fmt;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Failed,
    /// Not configured, or what it needs failed before.
    Skipped,
}

#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    /// What was asked and found.
    pub what: String,
    pub took_ms: f64,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub ok: bool,
    pub checks: Vec<Check>,
}

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl Report {
    /// Takes one finding; true when it is good.
    pub(super) fn found(
        &mut self,
        name: &'static str,
        began: Instant,
        found: Result<String, Trouble>,
    ) -> bool {
        let took_ms = (began.elapsed().as_secs_f64() * 1e5).round() / 1e2;
        let (state, what, fix) = match found {
            Ok(what) => (State::Ok, what, None),
            Err(Trouble { what, fix }) => (State::Failed, what, Some(fix)),
        };
        self.checks.push(Check {
            name,
            state,
            what,
            took_ms,
            fix,
        });
        self.ok = self.checks.iter().all(|check| check.state != State::Failed);
        state == State::Ok
    }

    pub(super) fn skipped(&mut self, name: &'static str, why: impl Into<String>) {
        self.checks.push(Check {
            name,
            state: State::Skipped,
            what: why.into(),
            took_ms: 0.0,
            fix: None,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let state = match check.state {
                State::Ok => "ok",
                State::Failed => "FAILED",
                State::Skipped => "-",
            };
            let took = match check.state {
                State::Skipped => String::new(),
                _ => format!("{:.1} ms", check.took_ms),
            };
            writeln!(
                f,
                "{state:<7} {:<14} {took:>11}  {}",
                check.name, check.what
            )?;
            if let Some(fix) = &check.fix {
                writeln!(f, "{:<35} fix: {fix}", "")?;
            }
        }
        let failed = self
            .checks
            .iter()
            .filter(|check| check.state == State::Failed)
            .count();
        match failed {
            0 => write!(f, "all good"),
            _ => write!(f, "{failed} of {} checks failed", self.checks.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_spoils_the_whole_and_tells_its_fix() {
        let mut report = Report::default();
        assert!(report.found("a", Instant::now(), Ok("good".into())));
        assert!(report.ok);
        report.skipped("b", "not configured");
        assert!(report.ok);
        assert!(!report.found("c", Instant::now(), Err(Trouble::new("bad", "mend it"))));
        assert!(report.found("d", Instant::now(), Ok("good".into())));
        assert!(!report.ok);
        let text = report.to_string();
        assert!(
            text.contains("fix: mend it") && text.contains("1 of 4 checks failed"),
            "{text}"
        );
    }
}
