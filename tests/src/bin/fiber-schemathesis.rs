//! `fiber-schemathesis`: a stack → schemathesis over the OpenAPI document that the engine serves → exit
//! code. schemathesis comes from PyPI, as pinned in `tests/schemathesis`, into a venv of the cache.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use fiber_local::{http, paths};
use fiber_tests::stage::Stage;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const REQUIREMENTS: &str = include_str!("../../schemathesis/requirements.txt");
/// What must hold of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      allow_header_conformance,ignored_auth,unsupported_method";
/// A stream that never ends, and what ends the session of who asks.
const NOT_ASKED: [&str; 2] = ["/api/live", "/api/auth/logout"];
const CASES_MIN: u64 = 5_000;
const PASSWORD: &str = "a long walk to the sea";
const EXIT_MISSED: u8 = 2;

/// Asks every operation of the OpenAPI document for what it promises and for what it does not.
///
/// Starts servers, an engine and a simulated fleet with a past of its own. Exit codes: 0 nothing found in
/// at least 5,000 cases, 1 could not run, 2 something was found.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Cases of each operation, besides those that cover its parameters' bounds
    #[arg(long, default_value_t = 120)]
    cases: u32,
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Only the operations of this path
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let program = schemathesis()?;
    // Development lets anybody look, which an asker without a token would find.
    let stage = Stage::full(&[("ENV", "staging")], Duration::from_secs(3_600))?;
    let token = sign_in(&stage)?;
    let mut command = Command::new(program);
    command
        .args([
            "run",
            &format!("{}/api/openapi.json", stage.url()),
            "--no-color",
        ])
        .args(["--checks", CHECKS, "--continue-on-failure"])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "2"])
        .args([
            "--max-examples",
            &cli.cases.to_string(),
            "--seed",
            &cli.seed.to_string(),
        ])
        .args([
            "--generation-database",
            "none",
            "--suppress-health-check",
            "all",
        ])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .current_dir(stage.engine.home())
        .stdout(Stdio::piped());
    for path in NOT_ASKED {
        command.args(["--exclude-path", path]);
    }
    if let Some(path) = &cli.only {
        command.args(["--include-path", path]);
    }
    let mut child = command.spawn().context("run schemathesis")?;
    let output = BufReader::new(child.stdout.take().context("its output")?);
    let mut cases = 0;
    for line in output.lines() {
        let line = line?;
        println!("{line}");
        cases = cases_of(&line).unwrap_or(cases);
    }
    let passed = child.wait()?.success();
    ensure!(stage.engine.is_running(), "the engine ended meanwhile");
    println!("{cases} cases");
    let enough = cases >= CASES_MIN || cli.only.is_some();
    Ok(if passed && enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_MISSED)
    })
}

/// Of a line such as `  5234 generated, 5200 passed`.
fn cases_of(line: &str) -> Option<u64> {
    let count = line.trim().split(" generated").next()?;
    line.contains(" generated").then_some(())?;
    count.replace(',', "").trim().parse().ok()
}

fn sign_in(stage: &Stage) -> Result<String> {
    stage.add_user("schemathesis", "ADMIN", PASSWORD)?;
    let login = json!({ "name": "schemathesis", "password": PASSWORD }).to_string();
    let answer = http::post(
        &format!("{}/api/auth/login", stage.url()),
        &[],
        login.as_bytes(),
    )?;
    ensure!(
        answer.status == 200,
        "the sign-in was answered {}",
        answer.status
    );
    let session: Value = serde_json::from_slice(&answer.body)?;
    let token = session["data"]["access_token"].as_str();
    Ok(token.context("no token in the session")?.to_owned())
}

/// The program, in a venv that is made once for these versions.
fn schemathesis() -> Result<PathBuf> {
    let version = REQUIREMENTS
        .lines()
        .find_map(|line| line.strip_prefix("schemathesis=="))
        .context("no version is pinned")?;
    let venv = paths::cache_dir()?.join(format!("schemathesis-{version}"));
    let program = venv.join("bin/schemathesis");
    if paths::is_executable(&program) {
        return Ok(program);
    }
    let partial = venv.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).context("remove a venv that was left half made")?;
    }
    std::fs::create_dir_all(&partial)?;
    let requirements = partial.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = run(Command::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    std::fs::remove_dir_all(&partial)?;
    if let Err(error) = pip {
        std::fs::remove_dir_all(&venv)?;
        return Err(error);
    }
    require(&program)?;
    Ok(program)
}

fn require(program: &Path) -> Result<()> {
    if paths::is_executable(program) {
        Ok(())
    } else {
        bail!("{} was not made", program.display())
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
