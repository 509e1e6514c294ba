//! Brings a database to the schema this engine was built with.
//!
//! The files of `migrations/` are part of the binary. They run in the order of their numbers, each
//! in a transaction of its own together with its row in `schema_migrations`, so a crash leaves a
//! prefix of them applied and the next run goes on. A file whose first line is
//! `-- no transaction` runs bare, because some commands refuse one; it must be repeatable.
//! Engines that start together wait for each other on an advisory lock.
//!
//! An applied file may not change: its checksum is compared at every start. Versions that this
//! binary does not know are left alone, so that an old engine outlives a rollout.
//!
//! TimescaleDB is created where the server offers it and the role may; a refusal is logged, and
//! `metrics` is made of native partitions instead. Nothing else depends on the edition.
//!
//! When everything is applied only reads are done: a role without DDL rights can run the engine.

mod error;

pub use error::Error;
pub(crate) use error::describe;

use fiber_contract::hex;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// One file of `migrations/`.
struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $name)),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "V0001__registry.sql",
    2 "V0002__metrics.sql",
    3 "V0003__rollups.sql",
    4 "V0004__accounting.sql",
    5 "V0005__alerting.sql",
    6 "V0006__views.sql",
    7 "V0007__refusals.sql",
    8 "V0008__batch_answers.sql",
    9 "V0009__probe_keys.sql",
    10 "V0010__people.sql",
    11 "V0011__node_edits.sql",
    12 "V0012__rollup_marks.sql",
    13 "V0013__ledger_hours.sql",
    14 "V0014__writers.sql",
];

const NO_TRANSACTION: &str = "-- no transaction";
/// "fiber" in ASCII: no other program should hold it.
const LOCK_KEY: i64 = 0x66_69_62_65_72;
/// Longer than any file here takes; a server that hangs must not hang the engine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the server is, which decides about policies and compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// No TimescaleDB: native partitions.
    Plain,
    /// Hypertables only.
    Apache,
    /// Compression and policies too.
    Community,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Files applied by this call.
    pub newly: Vec<&'static str>,
    /// The newest version of the database.
    pub version: i32,
    pub edition: Edition,
}

/// Applies what is missing.
pub async fn migrate(config: &tokio_postgres::Config) -> Result<Applied, Error> {
    tokio::time::timeout(DEADLINE, migrate_unbounded(config))
        .await
        .map_err(|_| Error::Deadline {
            deadline_s: DEADLINE.as_secs(),
        })?
}

async fn migrate_unbounded(config: &tokio_postgres::Config) -> Result<Applied, Error> {
    let mut connection = Connection::open(config).await?;
    let client = &connection.client;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK_KEY])
        .await
        .map_err(Error::Database)?;
    let known = applied(client).await?;
    check_checksums(&known)?;
    if known.is_empty() && offers_extension(client).await? {
        create_extension(config).await?;
        // A session from before the extension does not know its hooks.
        connection = Connection::open(config).await?;
        connection
            .client
            .execute("SELECT pg_advisory_lock($1)", &[&LOCK_KEY])
            .await
            .map_err(Error::Database)?;
    }
    let client = &connection.client;
    // Read again: the lock was open for a moment.
    let known = applied(client).await?;
    let mut newly = Vec::new();
    for migration in MIGRATIONS {
        if !known.iter().any(|row| row.version == migration.version) {
            apply(client, migration).await?;
            newly.push(migration.name);
        }
    }
    let version = known
        .iter()
        .map(|row| row.version)
        .chain(MIGRATIONS.last().map(|m| m.version));
    let edition = edition(client).await?;
    Ok(Applied {
        newly,
        version: version.max().unwrap_or(0),
        edition,
    })
}

/// How far a database is from the schema of this engine. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub missing: Vec<&'static str>,
    /// The newest version of the database.
    pub version: i32,
    /// Migrations that this engine does not know.
    pub newer: usize,
}

/// Reads it; a migration that was changed since it was applied is an error.
pub async fn state(client: &Client) -> Result<State, Error> {
    let known = applied(client).await?;
    check_checksums(&known)?;
    let is_applied = |version| known.iter().any(|row| row.version == version);
    let is_ours = |version| MIGRATIONS.iter().any(|ours| ours.version == version);
    Ok(State {
        missing: MIGRATIONS
            .iter()
            .filter(|migration| !is_applied(migration.version))
            .map(|migration| migration.name)
            .collect(),
        version: known.iter().map(|row| row.version).max().unwrap_or(0),
        newer: known.iter().filter(|row| !is_ours(row.version)).count(),
    })
}

/// What kind of server this session speaks to.
pub async fn edition(client: &Client) -> Result<Edition, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),
                    current_setting('timescaledb.license', true)",
            &[],
        )
        .await
        .map_err(Error::Database)?;
    let license: Option<&str> = row.get(1);
    Ok(match (row.get(0), license) {
        (false, _) => Edition::Plain,
        (true, Some("timescale")) => Edition::Community,
        (true, _) => Edition::Apache,
    })
}

struct AppliedRow {
    version: i32,
    checksum: String,
}

async fn applied(client: &Client) -> Result<Vec<AppliedRow>, Error> {
    let table: Option<String> = client
        .query_one_scalar("SELECT to_regclass('schema_migrations')::text", &[])
        .await
        .map_err(Error::Database)?;
    if table.is_none() {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT version, checksum FROM schema_migrations ORDER BY version",
            &[],
        )
        .await
        .map_err(Error::Database)?;
    Ok(rows
        .iter()
        .map(|row| AppliedRow {
            version: row.get(0),
            checksum: row.get(1),
        })
        .collect())
}

fn check_checksums(known: &[AppliedRow]) -> Result<(), Error> {
    for row in known {
        match MIGRATIONS
            .iter()
            .find(|migration| migration.version == row.version)
        {
            Some(migration) if checksum(migration.sql) != row.checksum => {
                return Err(Error::Changed {
                    name: migration.name,
                });
            }
            Some(_) => {}
            None => tracing::warn!(
                version = row.version,
                "the database has a migration that this engine does not know"
            ),
        }
    }
    Ok(())
}

async fn apply(client: &Client, migration: &Migration) -> Result<(), Error> {
    let failed = |source| Error::Failed {
        name: migration.name,
        source,
    };
    let record = format!(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version    int4 PRIMARY KEY,
             name       text NOT NULL,
             checksum   text NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now()
         );
         INSERT INTO schema_migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
        migration.version,
        migration.name,
        checksum(migration.sql)
    );
    if migration.sql.lines().next() == Some(NO_TRANSACTION) {
        client.batch_execute(migration.sql).await.map_err(failed)?;
        client.batch_execute(&record).await.map_err(failed)?;
    } else {
        let all = format!("BEGIN;\n{}\n;{record};\nCOMMIT", migration.sql);
        client.batch_execute(&all).await.map_err(failed)?;
    }
    tracing::info!(name = migration.name, "migration applied");
    Ok(())
}

fn checksum(sql: &str) -> String {
    hex::encode(&Sha256::digest(sql.as_bytes()))
}

async fn offers_extension(client: &Client) -> Result<bool, Error> {
    client
        .query_one_scalar(
            "SELECT EXISTS (SELECT FROM pg_available_extensions
                            WHERE name = 'timescaledb' AND installed_version IS NULL)",
            &[],
        )
        .await
        .map_err(Error::Database)
}

/// In a session of its own: a server that has not preloaded the library ends the session that asks.
async fn create_extension(config: &tokio_postgres::Config) -> Result<(), Error> {
    let connection = Connection::open(config).await?;
    let created = connection
        .client
        .batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        .await;
    if let Err(refusal) = created {
        let reason = refusal
            .as_db_error()
            .map_or_else(|| refusal.to_string(), |e| e.to_string());
        tracing::warn!(
            reason,
            "TimescaleDB is not usable here; native partitions are used"
        );
    }
    Ok(())
}

/// A session and the task that moves its bytes; both end with it.
struct Connection {
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Connection {
    async fn open(config: &tokio_postgres::Config) -> Result<Self, Error> {
        let (client, connection) = config.connect(NoTls).await.map_err(Error::Connect)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "migration session ended");
            }
        });
        // Otherwise every IF NOT EXISTS that has nothing to do writes a notice.
        client
            .batch_execute("SET client_min_messages = warning; SET lock_timeout = '60s'")
            .await
            .map_err(Error::Connect)?;
        Ok(Self { client, task })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_hole_and_agree_with_the_names() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version).unwrap(), at + 1);
            assert!(
                migration
                    .name
                    .starts_with(&format!("V{:04}__", migration.version))
            );
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        names.sort();
        let embedded: Vec<_> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        assert_eq!(names, embedded);
    }

    #[test]
    fn a_changed_file_is_named() {
        let known = [AppliedRow {
            version: 2,
            checksum: checksum("something else"),
        }];
        let error = check_checksums(&known).unwrap_err();
        assert!(error.to_string().contains("V0002__metrics.sql"), "{error}");
    }
}
