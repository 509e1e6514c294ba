//! A drill of an operator's own: their commands break and mend their deployment, a fleet sends
//! meanwhile, and its ledger judges.

use super::outcome::{Outcome, Pushes, Times};
use super::{LEAD_IN, LEAD_OUT, POLL, RECOVERY_HOPE};
use crate::deployment::{Deployment, Faults, shell};
use anyhow::{Context as _, Result, bail};
use fiber_loadgen::fleet::{self, Config, Rate};
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NAME: &str = "your fault";
/// Few enough for any quota of a deployment that was set up for 20 probes.
const PROBES: u32 = 20;
const EVENTS_S: f64 = 100.0;

/// It is back when `/api/status` says what it said before the fault, and a push of the time after it
/// was acknowledged.
pub fn theirs(deployment: &Deployment) -> Result<Outcome> {
    let faults = deployment
        .faults
        .as_ref()
        .context("no fault command was given")?;
    let before = State::of(&deployment.get("/api/status")?);
    if before.status != "ok" {
        bail!("the deployment is {before:?} before anything was broken");
    }
    let run = fleet::start(Config {
        probes: PROBES,
        rate: Rate::PerSecond(EVENTS_S),
        duration: LEAD_IN + faults.lasts + RECOVERY_HOPE + Duration::from_secs(600),
        request_timeout: Duration::from_secs(2),
        retry_for: faults.lasts + 2 * RECOVERY_HOPE,
        ..deployment.fleet()
    })?;
    sleep(LEAD_IN);
    let times = broken_and_mended(deployment, faults, &before, &run);
    sleep(LEAD_OUT);
    run.stop();
    let report = run.wait()?;
    let times = times?;
    let mut outcome = match &deployment.db {
        Some(db) => Outcome::compared(NAME, db, &[&report], times)?,
        None => {
            let mut outcome = Outcome::uncompared(NAME, &report, times);
            outcome
                .notes
                .push("nothing was compared with the tables: no DB_HOST".to_owned());
            outcome
        }
    };
    outcome.policy = Some(before.policy);
    outcome.judge(if faults.pushes_may_fail {
        Pushes::MayFail
    } else {
        Pushes::MayNotFail
    });
    Ok(outcome)
}

fn broken_and_mended(
    deployment: &Deployment,
    faults: &Faults,
    before: &State,
    run: &fleet::Running,
) -> Result<Times> {
    let began = Instant::now();
    shell(&faults.fault)?;
    sleep(faults.lasts);
    let noticed = deployment
        .get("/api/status")
        .map_or(true, |now| State::of(&now) != *before);
    shell(&faults.heal)?;
    let mended = Instant::now();
    if !noticed {
        println!("    /api/status did not change during the fault: was anything broken?");
    }
    let acked = run.progress().acked_samples;
    let is_back = || {
        run.progress().acked_samples > acked
            && deployment
                .get("/api/status")
                .is_ok_and(|now| State::of(&now) == *before)
    };
    while !is_back() {
        if mended.elapsed() > RECOVERY_HOPE {
            bail!("not back {RECOVERY_HOPE:?} after the heal command");
        }
        sleep(POLL);
    }
    Ok(Times {
        fault: mended - began,
        recovery: mended.elapsed(),
        bar: faults.recovery_bar,
    })
}

/// What must be again as it was.
#[derive(Debug, PartialEq, Eq)]
struct State {
    status: String,
    database: String,
    redis: String,
    journal: String,
    policy: String,
}

impl State {
    fn of(status: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            status: text(&status["status"]),
            database: text(&status["database"]["state"]),
            redis: text(&status["redis"]["state"]),
            journal: text(&status["journal"]["state"]),
            policy: text(&status["rate_limit_policy"]),
        }
    }
}
