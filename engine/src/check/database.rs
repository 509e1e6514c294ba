//! The database, asked directly: reach, rights, edition, migrations, clock, and the row of the
//! sample that was sent.

use super::DEADLINE;
use super::central::Sent;
use super::report::{Report, Trouble};
use crate::config::{Config, Database};
use crate::copy::instant::PgInstant;
use crate::schema::{self, Edition, describe};
use fiber_contract::UnixMicros;
use std::time::Instant;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// Beyond it, samples of now may look like samples of the future: those are refused from 5 minutes.
const SKEW_MAX_S: f64 = 2.0;
/// The engine's own beside the writers: a few of the keys and health, eight of the queries.
const CONNECTIONS_BESIDE_WRITERS: i64 = 11;

pub(super) async fn check(config: &Config, sent: Option<&Sent>, report: &mut Report) {
    let began = Instant::now();
    let writers = i64::try_from(*config.writers.end()).unwrap_or(i64::MAX);
    let needed = CONNECTIONS_BESIDE_WRITERS + writers;
    let opened = open(&config.database, needed).await;
    let (client, found) = match opened {
        Ok((client, what)) => (Some(client), Ok(what)),
        Err(trouble) => (None, Err(trouble)),
    };
    report.found("database", began, found);
    let Some(client) = client else {
        for name in ["migrations", "clock", "row"] {
            report.skipped(name, "the database cannot be reached");
        }
        return;
    };
    let began = Instant::now();
    report.found("migrations", began, within(migrations(&client)).await);
    let began = Instant::now();
    report.found("clock", began, within(clock(&client)).await);
    match sent {
        None => report.skipped("row", "no sample was committed"),
        Some(sent) => {
            let began = Instant::now();
            report.found("row", began, within(row(&client, sent)).await);
        }
    }
    if config.database.read_host.is_some() {
        let began = Instant::now();
        report.found(
            "read replica",
            began,
            within(replica(&config.database)).await,
        );
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| {
        Err(Trouble::new(
            format!("no answer within {} s", DEADLINE.as_secs()),
            "the server is paused or busy: look at pg_stat_activity and its log",
        ))
    })
}

async fn session(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client; its errors reach the client as well.
    tokio::spawn(async move { connection.await.map_err(drop).unwrap_or_default() });
    Ok(client)
}

async fn open(database: &Database, needed: i64) -> Result<(Client, String), Trouble> {
    let place = format!("{}:{}", database.host, database.port);
    within(async {
        let client = session(&database.connection()).await.map_err(|error| no_session(&place, &error))?;
        let edition = match schema::edition(&client).await {
            Ok(Edition::Plain) => "no TimescaleDB: native partitions",
            Ok(Edition::Apache) => "TimescaleDB, Apache edition",
            Ok(Edition::Community) => "TimescaleDB, Community edition",
            Err(error) => return Err(Trouble::new(error.to_string(), "look at the server's log")),
        };
        let row = client
            .query_one(
                "SELECT current_setting('server_version'), current_setting('transaction_read_only') = 'on',
                        current_setting('max_connections')::int8 - (SELECT count(*) FROM pg_stat_activity
                            WHERE backend_type = 'client backend')",
                &[],
            )
            .await
            .map_err(|error| asked(&error))?;
        let (version, is_read_only, free): (String, bool, i64) = (row.get(0), row.get(1), row.get(2));
        if is_read_only {
            return Err(Trouble::new(
                format!("{place} takes no writes"),
                "it is a replica, or default_transaction_read_only is on: DB_HOST must name the primary",
            ));
        }
        if free < needed {
            return Err(Trouble::new(
                format!("{place} has {free} connections free, an engine needs {needed}"),
                "raise max_connections, or end what holds them (pg_stat_activity)",
            ));
        }
        let what = format!("PostgreSQL {version} at {place}, {edition}; {free} connections free");
        Ok((client, what))
    })
    .await
}

fn no_session(place: &str, error: &tokio_postgres::Error) -> Trouble {
    let fix = match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("28P01" | "28000") => "DB_USER and DB_PASS are not what the server knows",
        Some("3D000") => "create the database that DB_NAME names",
        Some("53300") => "all its connections are taken: raise max_connections, or end some",
        Some("57P03") => "it is starting or stopping: wait, and look at its log",
        _ => "look at DB_HOST and DB_PORT, at the network, and whether the server runs",
    };
    Trouble::new(format!("{place}: {}", describe(error)), fix)
}

fn asked(error: &tokio_postgres::Error) -> Trouble {
    Trouble::new(
        describe(error),
        "look at the server's log, and at the rights of DB_USER",
    )
}

async fn migrations(client: &Client) -> Result<String, Trouble> {
    let state = schema::state(client).await.map_err(|error| {
        let fix =
            "use the binary that was released with this database; never edit an applied migration";
        Trouble::new(error.to_string(), fix)
    })?;
    if !state.missing.is_empty() {
        return Err(Trouble::new(
            format!("not applied: {}", state.missing.join(", ")),
            "run: fiber-engine migrate (an engine does it at its start, if its role may)",
        ));
    }
    Ok(match state.newer {
        0 => format!("up to date, version {}", state.version),
        newer => format!("up to date, and {newer} newer than this binary"),
    })
}

/// The server's clock against ours; half of the time of the question is taken off.
async fn clock(client: &Client) -> Result<String, Trouble> {
    let before = UnixMicros::now();
    let row = client
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8",
            &[],
        )
        .await
        .map_err(|error| asked(&error))?;
    let after = UnixMicros::now();
    let middle = before.0.midpoint(after.0);
    let skew_s = UnixMicros(row.get(0)).secs_since(UnixMicros(middle));
    let told = format!("the database's clock is {skew_s:+.3} s from ours");
    if skew_s.abs() <= SKEW_MAX_S {
        return Ok(told);
    }
    Err(Trouble::new(
        told,
        "set up NTP on both machines: samples and retention go by the clock",
    ))
}

async fn row(client: &Client, sent: &Sent) -> Result<String, Trouble> {
    let rows: i64 = client
        .query_one(
            "SELECT count(*) FROM metrics m JOIN nodes n USING (node_key)
             WHERE n.node_id = $1 AND m.\"time\" = $2",
            &[&sent.node_id, &PgInstant(sent.time)],
        )
        .await
        .map_err(|error| asked(&error))?
        .get(0);
    match rows {
        1 => Ok("the sample is in this database, once".to_owned()),
        0 => Err(Trouble::new(
            "the sample was committed, and is not in this database",
            "DB_HOST or DB_NAME here and at the engine are not the same",
        )),
        more => Err(Trouble::new(
            format!("the sample is there {more} times"),
            "the unique index of metrics is missing: compare the schema with migrations/",
        )),
    }
}

async fn replica(database: &Database) -> Result<String, Trouble> {
    let place = format!(
        "{}:{}",
        database.read_host.as_deref().unwrap_or_default(),
        database.port
    );
    let client = session(&database.read_connection())
        .await
        .map_err(|error| no_session(&place, &error))?;
    let row = client
        .query_one(
            "SELECT pg_is_in_recovery(), coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)::float8",
            &[],
        )
        .await
        .map_err(|error| asked(&error))?;
    let (is_replica, behind_s): (bool, f64) = (row.get(0), row.get(1));
    Ok(if is_replica {
        format!("{place} is a replica, {behind_s:.1} s behind")
    } else {
        format!("{place} is a primary itself")
    })
}
