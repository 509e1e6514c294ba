//! Database and Redis of the stack: the caller's, or private ones.

use super::component::Component;
use super::settings::Settings;
use crate::progress::{Step, note};
use crate::provision::{ServerPrograms, server_programs};
use crate::servers::{Cluster, RedisServer, free_port, is_free, random_secret};
use crate::{paths, stack};
use anyhow::{Context, Result};

const SHARED_BUFFERS_MB: u32 = 512;
const DATABASE: &str = "fiberstack";

/// Starts what is not given and does not run, and keeps how to reach it in the settings.
pub fn start_servers() -> Result<Settings> {
    let _lock = stack::lock()?;
    let mut settings = Settings::load()?;
    ensure(&mut settings)?;
    Ok(settings)
}

pub(super) fn ensure(settings: &mut Settings) -> Result<()> {
    settings.keep_secrets()?;
    let gives_database = take_given_database(settings);
    let gives_redis = settings
        .given("REDIS_URL")
        .inspect(|url| settings.set("REDIS_URL", url));
    if gives_database && gives_redis.is_some() {
        note("DB_HOST and REDIS_URL are set: using them, provisioning nothing");
        return settings.store();
    }
    let programs = server_programs()?;
    if gives_database {
        note("DB_HOST is set: using that database");
    } else {
        ensure_postgres(settings, &programs)?;
    }
    if gives_redis.is_some() {
        note("REDIS_URL is set: using that Redis");
    } else {
        ensure_redis(settings, &programs)?;
    }
    settings.store()
}

fn take_given_database(settings: &mut Settings) -> bool {
    let Some(host) = settings.given("DB_HOST") else {
        return false;
    };
    settings.set("DB_HOST", &host);
    for (name, default) in [
        ("DB_PORT", "5432"),
        ("DB_USER", "fiberstack"),
        ("DB_PASS", ""),
        ("DB_NAME", DATABASE),
    ] {
        let value = settings.given(name).unwrap_or_else(|| default.to_owned());
        settings.set(name, &value);
    }
    true
}

/// The port of the last run if it is still to be had; it is stored before the server starts, so
/// that an interrupted run leaves no server behind that nobody can reach.
fn keep_port(settings: &mut Settings, name: &str, component: Component) -> Result<u16> {
    let kept = settings.get(name).and_then(|text| text.parse().ok());
    let port = match kept {
        Some(port) if component.running().is_some() || is_free("127.0.0.1", port) => port,
        _ => free_port()?,
    };
    settings.set(name, &port.to_string());
    settings.store()?;
    Ok(port)
}

pub(super) fn cluster(settings: &Settings, programs: &ServerPrograms) -> Result<Cluster> {
    let text = |name: &str| {
        settings
            .get(name)
            .with_context(|| format!("{name} is not known yet"))
    };
    Cluster::new(
        programs.clone(),
        &paths::data_dir().join("postgres"),
        &Component::Postgres.log(),
        text("FIBER_LOCAL_DB_PORT")?
            .parse()
            .context("FIBER_LOCAL_DB_PORT")?,
        text("FIBER_LOCAL_DB_PASS")?,
        SHARED_BUFFERS_MB,
    )
}

fn ensure_postgres(settings: &mut Settings, programs: &ServerPrograms) -> Result<()> {
    let step = Step::start("database");
    settings.keep("FIBER_LOCAL_DB_PASS", || Ok(random_secret()))?;
    let port = keep_port(settings, "FIBER_LOCAL_DB_PORT", Component::Postgres)?;
    let cluster = cluster(settings, programs)?;
    let outcome = if let Some(running) = Component::Postgres.running() {
        cluster.await_ready(&running)?;
        "runs already"
    } else {
        if !cluster.is_initialised() {
            step.detail("initdb");
            cluster.initialise()?;
        }
        step.detail("start");
        cluster.start(&Component::Postgres.lifetime()?)?;
        "started"
    };
    let database = cluster.ensure_database(DATABASE, true)?;
    settings.set_all(database.env());
    step.done(&format!("{outcome} on 127.0.0.1:{port}"));
    Ok(())
}

fn ensure_redis(settings: &mut Settings, programs: &ServerPrograms) -> Result<()> {
    let step = Step::start("redis");
    let password = settings.keep("FIBER_LOCAL_REDIS_PASS", || Ok(random_secret()))?;
    let port = keep_port(settings, "FIBER_LOCAL_REDIS_PORT", Component::Redis)?;
    let home = paths::data_dir().join("redis");
    let log = Component::Redis.log();
    let server = RedisServer::new(&programs.redis_server, &home, &log, port, &password);
    let outcome = if Component::Redis.running().is_some() {
        "runs already"
    } else {
        server.start(&Component::Redis.lifetime()?)?;
        "started"
    };
    settings.set("REDIS_URL", &server.url());
    step.done(&format!("{outcome} on 127.0.0.1:{port}"));
    Ok(())
}
