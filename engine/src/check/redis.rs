//! Redis, asked directly: connection, password, a key written, read and removed.

use super::DEADLINE;
use super::report::{Report, Trouble};
use crate::config::Config;
use ::redis::{Client, RedisError, RedisResult};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use uuid::Uuid;

/// The engine gives a call no longer; slower is as good as away.
const CALL_DEADLINE: Duration = Duration::from_millis(50);

pub(super) async fn check(config: &Config, report: &mut Report) {
    let Some(url) = &config.redis_url else {
        report.skipped("redis", "no REDIS_URL: the engine runs without it");
        return;
    };
    let began = Instant::now();
    let found = match timeout(DEADLINE, ask(url.expose())).await {
        Ok(Ok((version, slowest))) if slowest <= CALL_DEADLINE => Ok(format!(
            "Redis {version}; a key was set, read and removed, {:.1} ms for the slowest call",
            slowest.as_secs_f64() * 1e3
        )),
        Ok(Ok((version, slowest))) => Err(Trouble::new(
            format!(
                "Redis {version} took {:.0} ms for a call",
                slowest.as_secs_f64() * 1e3
            ),
            "the engine waits 50 ms: look at Redis's load (SLOWLOG GET) and at the network",
        )),
        Ok(Err(error)) => Err(trouble(&error)),
        Err(_) => Err(Trouble::new(
            format!("no answer within {} s", DEADLINE.as_secs()),
            "Redis is paused, or something drops its packets",
        )),
    };
    report.found("redis", began, found);
}

async fn ask(url: &str) -> RedisResult<(String, Duration)> {
    let client = Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let key = format!("fiber:check:{}", Uuid::new_v4());
    let mut slowest = Duration::ZERO;
    let mut call = async |command: &::redis::Cmd| -> RedisResult<::redis::Value> {
        let began = Instant::now();
        let answer = command.query_async(&mut connection).await;
        slowest = slowest.max(began.elapsed());
        answer
    };
    call(&::redis::cmd("PING")).await?;
    call(::redis::cmd("SET").arg(&key).arg("1").arg("EX").arg(30)).await?;
    call(::redis::cmd("GET").arg(&key)).await?;
    call(::redis::cmd("DEL").arg(&key)).await?;
    let info = call(::redis::cmd("INFO").arg("server")).await?;
    let text: String = ::redis::from_redis_value(info)?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or("of unknown version");
    Ok((version.trim().to_owned(), slowest))
}

/// The driver's message may hold the address, never the password.
fn trouble(error: &RedisError) -> Trouble {
    let text = error.to_string();
    let fix = if text.contains("NOAUTH")
        || text.contains("WRONGPASS")
        || text.contains("AuthenticationFailed")
        || text.contains("uthentication")
    {
        "the password in REDIS_URL is not Redis's (redis://:password@host:6379/0)"
    } else if text.contains("OOM") || text.contains("READONLY") {
        "this Redis takes no writes: it is full, or a replica"
    } else {
        "look at host and port in REDIS_URL, and whether Redis runs"
    };
    Trouble::new(text, fix)
}
