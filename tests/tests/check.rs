//! `fiber-engine check` against the real stack, whole and with each part broken in turn.

use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use fiber_local::scratch::Scratch;
use fiber_local::servers::{Postgres, Redis};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

/// The engine's variables; the check runs with some of them changed.
struct Bench {
    stack: Stack,
    env: Vec<(String, String)>,
}

impl Bench {
    fn over(postgres: &Postgres, redis: &Redis) -> Result<Self> {
        let database = postgres.database("check")?;
        let mut env = database.env();
        env.push(("REDIS_URL".to_owned(), redis.url()));
        let stack = Stack::over(database, &[("REDIS_URL", &redis.url())])?.with_tables()?;
        let engine = &stack.engine;
        for (name, value) in [
            ("FIBER_LISTEN", format!("127.0.0.1:{}", engine.port())),
            ("FIBER_DATA_DIR", engine.data_dir().display().to_string()),
            ("FEDERATION_SECRET", engine.federation_secret().to_owned()),
            ("FIBER_INSTANCE", "here".to_owned()),
            // The disk of a test machine need not hold 8 GiB.
            ("FIBER_JOURNAL_BYTES_MAX", "268435456".to_owned()),
        ] {
            env.push((name.to_owned(), value));
        }
        await_that("a healthy engine", || {
            Ok(crate::support::client::get(&stack.engine, "/api/status")?["status"] == "ok")
        })?;
        Ok(Self { stack, env })
    }

    /// Exit code, and state and text of each check.
    fn run(&self, changed: &[(&str, &str)], arguments: &[&str]) -> Result<Found> {
        let output = Command::new(fiber_local::engine_binary()?)
            .args(["check", "--json"])
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(changed.iter().copied())
            .output()
            .context("run fiber-engine check")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: Value = serde_json::from_str(&text)
            .with_context(|| format!("{text} {}", String::from_utf8_lossy(&output.stderr)))?;
        let checks = report["checks"].as_array().context("checks")?;
        let mut states = BTreeMap::new();
        for check in checks {
            let word = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
            ensure!(
                word("state") != "failed" || !word("fix").is_empty(),
                "no fix for {check}"
            );
            states.insert(word("name"), word("state"));
        }
        ensure!(report["ok"] == (output.status.code() == Some(0)), "{text}");
        Ok(Found {
            code: output.status.code(),
            states,
            text,
        })
    }

    /// Just these fail, and the exit code says so.
    fn fails(
        &self,
        changed: &[(&str, &str)],
        arguments: &[&str],
        expect: &[&str],
    ) -> Result<Found> {
        let found = self.run(changed, arguments)?;
        let failed: Vec<_> = found
            .states
            .iter()
            .filter(|(_, state)| *state == "failed")
            .map(|(name, _)| name.as_str())
            .collect();
        let mut expect = expect.to_vec();
        expect.sort_unstable();
        ensure!(
            failed == expect,
            "failed {failed:?}, not {expect:?}: {}",
            found.text
        );
        ensure!(found.code == Some(2), "exit code {:?}", found.code);
        Ok(found)
    }
}

struct Found {
    code: Option<i32>,
    states: BTreeMap<String, String>,
    text: String,
}

#[test]
fn a_whole_stack_is_good_and_the_sample_is_marked() -> Result<()> {
    let (postgres, redis) = (Postgres::start_private()?, Redis::start_private()?);
    let bench = Bench::over(&postgres, &redis)?;
    for run in 1..=2_u64 {
        let found = bench.run(&[], &[])?;
        ensure!(found.code == Some(0), "{}", found.text);
        let skipped: Vec<_> = found
            .states
            .iter()
            .filter(|(_, state)| *state == "skipped")
            .map(|(name, _)| name.as_str())
            .collect();
        ensure!(skipped == ["elasticsearch", "tls"], "{}", found.text);
        ensure!(bench.stack.rows()? == run);
    }
    let nodes = bench
        .stack
        .sql("SELECT string_agg(concat_ws(' ', node_id, country, region, tags), ';') FROM nodes")?;
    ensure!(
        nodes == "fiber-check-here ZZ fiber-check {fiber-check}",
        "{nodes}"
    );
    ensure!(redis.command("DBSIZE")? == redis.command("DBSIZE")?);
    ensure!(!redis.command("KEYS fiber:check:*")?.contains("fiber:check"));
    Ok(())
}

#[test]
fn a_wrong_secret_name_or_url_is_found_and_named() -> Result<()> {
    let (postgres, redis) = (Postgres::start_private()?, Redis::start_private()?);
    let bench = Bench::over(&postgres, &redis)?;
    let found = bench.fails(&[("FEDERATION_SECRET", "another")], &[], &["round trip"])?;
    ensure!(
        found.text.contains("FEDERATION_SECRET") && !found.text.contains("another"),
        "{}",
        found.text
    );
    bench.fails(
        &[],
        &["--url", "http://no-such-host.invalid:8000"],
        &["dns"],
    )?;
    bench.fails(&[], &["--url", "nonsense"], &["dns"])?;
    let tls = format!("https://127.0.0.1:{}", bench.stack.engine.port());
    bench.fails(&[], &["--url", &tls], &["tls"])?;
    let url = redis.url();
    let wrong_password = url.replace(
        url.split([':', '@']).nth(2).context("a password")?,
        "wrong-password",
    );
    let found = bench.fails(&[("REDIS_URL", &wrong_password)], &[], &["redis"])?;
    ensure!(!found.text.contains("wrong-password"), "{}", found.text);
    let found = bench.fails(&[("DB_PASS", "wrong-password")], &[], &["database"])?;
    ensure!(
        found.text.contains("28P01") && !found.text.contains("wrong-password"),
        "{}",
        found.text
    );
    bench.fails(&[("DB_NAME", "nowhere")], &[], &["database"])?;
    bench.fails(&[("DB_NAME", "postgres")], &[], &["migrations", "row"])?;
    Ok(())
}

#[test]
fn search_and_disk_are_looked_at() -> Result<()> {
    let (postgres, redis) = (Postgres::start_private()?, Redis::start_private()?);
    let bench = Bench::over(&postgres, &redis)?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let away = format!("http://elastic:hidden-word@127.0.0.1:{closed}");
    let found = bench.fails(&[("ELASTIC_URL", &away)], &[], &["elasticsearch"])?;
    ensure!(!found.text.contains("hidden-word"), "{}", found.text);
    // Something answers there, but it is no Elasticsearch.
    bench.fails(
        &[("ELASTIC_URL", &bench.stack.engine.url())],
        &[],
        &["elasticsearch"],
    )?;
    bench.fails(
        &[("FIBER_DATA_DIR", "/no/such/folder")],
        &[],
        &["data folder", "fdatasync"],
    )?;
    bench.fails(
        &[("FIBER_JOURNAL_BYTES_MAX", "999999999999999")],
        &[],
        &["data folder"],
    )?;
    if let Ok(memory) = Scratch::of_size("check-memory", 600 << 20) {
        let dir = memory.path().display().to_string();
        bench.fails(&[("FIBER_DATA_DIR", &dir)], &[], &["data folder"])?;
    }
    Ok(())
}

#[test]
fn servers_that_are_away_are_found_and_the_others_still_asked() -> Result<()> {
    let (mut postgres, mut redis) = (Postgres::start_private()?, Redis::start_private()?);
    let mut bench = Bench::over(&postgres, &redis)?;
    let state = |bench: &Bench, part: &str, state: &str| -> Result<bool> {
        Ok(
            crate::support::client::get(&bench.stack.engine, "/api/status")?[part]["state"]
                == state,
        )
    };
    redis.stop()?;
    await_that("Redis to be missed", || state(&bench, "redis", "down"))?;
    bench.fails(&[], &[], &["status", "redis"])?;
    redis.start()?;
    await_that("Redis to be back", || state(&bench, "redis", "up"))?;

    bench
        .stack
        .sql("UPDATE schema_migrations SET version = 999 WHERE version = 1")?;
    let found = bench.fails(&[], &[], &["migrations"])?;
    ensure!(found.text.contains("V0001__registry.sql"), "{}", found.text);
    bench
        .stack
        .sql("UPDATE schema_migrations SET version = 1 WHERE version = 999")?;

    postgres
        .admin()
        .psql("ALTER SYSTEM SET default_transaction_read_only = on")?;
    postgres.admin().psql("SELECT pg_reload_conf()")?;
    let found = bench.run(&[], &[])?;
    ensure!(
        found.states["database"] == "failed" && found.text.contains("takes no writes"),
        "{}",
        found.text
    );
    postgres
        .admin()
        .psql("ALTER SYSTEM SET default_transaction_read_only = off")?;
    postgres.admin().psql("SELECT pg_reload_conf()")?;

    postgres.stop()?;
    await_that("the database to be missed", || {
        state(&bench, "database", "down")
    })?;
    // The push is durable, but there is no committed row to wait for.
    bench.fails(&[], &[], &["database", "round trip", "status"])?;
    postgres.start()?;

    bench.stack.engine.kill9()?;
    let address = ("127.0.0.1", bench.stack.engine.port());
    // The kernel closes what a killed process had open a moment after it is gone.
    await_that("its port to be closed", || {
        Ok(std::net::TcpStream::connect(address).is_err())
    })?;
    let found = bench.fails(&[], &[], &["tcp"])?;
    ensure!(
        found.states["redis"] == "ok" && found.states["fdatasync"] == "ok",
        "{}",
        found.text
    );
    Ok(())
}

/// A proxy that adds a token, or answers by itself, would let everybody in.
#[test]
fn an_address_that_takes_every_token_is_found() -> Result<()> {
    let (postgres, redis) = (Postgres::start_private()?, Redis::start_private()?);
    let bench = Bench::over(&postgres, &redis)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4_096];
            if stream.read(&mut request).is_ok_and(|count| count > 0) {
                stream
                    .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
                    .unwrap_or_default();
            }
        }
    });
    bench
        .fails(
            &[],
            &["--url", &url],
            &["auth", "read back", "row", "status"],
        )
        .map(drop)
}
