//! What runs, for the terminal.

use super::component::{ALL, Component};
use super::settings::Settings;
use crate::{http, paths};
use anyhow::Result;
use fiber_contract::status::Status;

/// Prints one line per component. False when something of a running stack is missing.
pub fn status() -> Result<bool> {
    let settings = Settings::load()?;
    for component in ALL {
        let state = match component.running() {
            Some(running) => format!("running, pid {}", running.identity().pid()),
            None => "stopped".to_owned(),
        };
        println!(
            "  {:<9} {state:<22} {}",
            component.name(),
            place(component, &settings)
        );
    }
    // Only the servers, or nothing: `make up` was not asked for, so nothing is missing.
    if Component::Engine.running().is_none() && Component::Fleet.running().is_none() {
        return Ok(true);
    }
    let Some(url) = settings.get("FIBER_URL") else {
        return Ok(false);
    };
    let Some(engine) = ask(url) else {
        println!("  {url}/api/status does not answer");
        return Ok(false);
    };
    println!(
        "  {url} says {}: database {}, redis {}, journal {} ({} bytes), lag {:.1} s",
        engine.status,
        engine.database.state,
        engine.redis.state,
        engine.journal.state,
        engine.journal.bytes,
        engine.etl.lag_s
    );
    Ok(engine.status == "ok")
}

fn place(component: Component, settings: &Settings) -> String {
    let value = |name: &str| settings.get(name).unwrap_or("-").to_owned();
    match component {
        Component::Postgres => format!("127.0.0.1:{}", value("FIBER_LOCAL_DB_PORT")),
        Component::Redis => format!("127.0.0.1:{}", value("FIBER_LOCAL_REDIS_PORT")),
        Component::Engine => value("FIBER_URL"),
        Component::Fleet => component
            .log()
            .strip_prefix(paths::workspace_root())
            .map_or_else(
                |_| component.log().display().to_string(),
                |log| log.display().to_string(),
            ),
    }
}

fn ask(url: &str) -> Option<Status> {
    let answer = http::get(&format!("{url}/api/status")).ok()?;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    // Plain, or in the envelope of the query routes.
    serde_json::from_value(body["data"].clone())
        .or_else(|_| serde_json::from_value(body))
        .ok()
}
