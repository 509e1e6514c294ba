//! The database's machine is lost with its disk: what comes back from a base backup and the archived
//! log, how soon, and what is gone. The engine and its journal live on, and probes push all the time.

use super::{Bar, Context, Endpoint, Line, Target};
use anyhow::{Context as _, Result, bail, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use fiber_loadgen::verify::{Patience, settle_blocking};
use fiber_local::provision::server_programs;
use fiber_local::servers::{Database, Postgres};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const GATE: &str = "RTO RPO";
const RATE_S: f64 = 500.0;
/// A segment of the log is archived at least so often: the most that a lost disk takes.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CAUGHT_UP_HOPE: Duration = Duration::from_secs(300);

pub(super) fn database(context: &Context) -> Result<Vec<Line>> {
    let mut endpoint = Target::Fresh.endpoint()?;
    let mut servers = endpoint.servers.take().context("servers of its own")?;
    let site = Site::beside(&servers.postgres)?;
    site.archive(&mut servers.postgres)?;
    let (rows, batch) = if context.is_quick() {
        (50_000.0, 500)
    } else {
        (2_000_000.0, 500)
    };
    let before = fleet::run(Config {
        probes: 64,
        rate: Rate::PerSecond(rows),
        batch,
        duration: Duration::from_secs(1),
        drain: CAUGHT_UP_HOPE,
        ..endpoint.fleet()
    })?;
    endpoint.await_drained()?;
    site.back_up(&servers.database)?;
    let size = "SELECT pg_size_pretty(pg_database_size(current_database()))";
    let size = servers.database.psql(size)?;

    let run = fleet::start(Config {
        rate: Rate::PerSecond(RATE_S),
        duration: CAUGHT_UP_HOPE * 4,
        seed: 2,
        ..endpoint.fleet()
    })?;
    sleep(context.size.run.max(ARCHIVE_TIMEOUT * 2));
    servers.postgres.kill()?;
    fs::remove_dir_all(servers.postgres.data_dir()).context("lose the disk")?;
    let lost_at = Instant::now();
    site.restore(&servers.postgres)?;
    servers.postgres.start()?;
    while !is_caught_up(&endpoint) {
        if lost_at.elapsed() > CAUGHT_UP_HOPE {
            bail!("not caught up: {}", endpoint.get("/api/status")?);
        }
        sleep(Duration::from_millis(20));
    }
    let back_s = lost_at.elapsed().as_secs_f64();
    sleep(Duration::from_secs(2));
    run.stop();
    let during = run.wait()?;

    ensure!(
        during.samples.acked > 0,
        "nothing was acknowledged meanwhile"
    );
    let mut lines = vec![
        Line::new(GATE, "database lost with its disk: caught up after", "s")
            .user(Bar::below(900.0))
            .stretch(Bar::at_most(300.0))
            .measured(back_s)
            .note(format!("{size} from a base backup and archived log")),
    ];
    lines.extend(accounted(&endpoint, &[&before, &during])?);
    lines.push(
        Line::new(GATE, "pushes that failed meanwhile", "")
            .must(Bar::at_most(0.0))
            .count(super::ingest::failed(&during)),
    );
    Ok(lines)
}

fn accounted(endpoint: &Endpoint, reports: &[&Report]) -> Result<[Line; 2]> {
    let (mut lost, mut other, mut acked) = (0, 0, 0);
    for report in reports {
        let ledger = report.ledger.as_ref().context("the run kept a ledger")?;
        let db = endpoint.db.as_ref().context("a database of its own")?;
        let found = settle_blocking(ledger, db, PATIENCE, |_, _| {})?;
        lost += found.lost;
        other += found.duplicates + found.ghosts;
        acked += found.acked;
    }
    Ok([
        Line::new(GATE, "acknowledged samples lost with it, as seconds of the load", "s")
            .user(Bar::below(300.0))
            .stretch(Bar::at_most(0.0))
            .measured(lost as f64 / RATE_S)
            .note(format!(
                "{lost} of {acked}; the log is archived every {} s, and the journal frees what the database has flushed",
                ARCHIVE_TIMEOUT.as_secs()
            )),
        Line::new(GATE, "samples doubled or invented by it", "")
            .must(Bar::at_most(0.0))
            .count(other),
    ])
}

const PATIENCE: Patience = Patience {
    most: Duration::from_secs(60),
    stable_for: Duration::from_secs(10),
};

fn is_caught_up(endpoint: &Endpoint) -> bool {
    endpoint.get("/api/status").is_ok_and(|status| {
        status["database"]["state"] == "up"
            && status["etl"]["state"] == "running"
            && status["etl"]["lag_s"]
                .as_f64()
                .is_some_and(|lag_s| lag_s <= 1.0)
    })
}

/// Where backup and log are: beside the data, owned by the server's account.
struct Site {
    archive: PathBuf,
    backup: PathBuf,
    owner: (u32, u32),
}

impl Site {
    fn beside(postgres: &Postgres) -> Result<Self> {
        let data = postgres.data_dir();
        let owner = fs::metadata(&data)?;
        let site = Self {
            archive: data.with_file_name("archive"),
            backup: data.with_file_name("backup"),
            owner: (owner.uid(), owner.gid()),
        };
        fs::create_dir(&site.archive)?;
        chown(&site.archive, Some(site.owner.0), Some(site.owner.1))?;
        Ok(site)
    }

    fn archive(&self, postgres: &mut Postgres) -> Result<()> {
        let archive = self.archive.display();
        for setting in [
            "archive_mode = on".to_owned(),
            format!(
                "archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f.part && mv {archive}/%f.part {archive}/%f'"
            ),
            format!("archive_timeout = '{}s'", ARCHIVE_TIMEOUT.as_secs()),
        ] {
            postgres
                .admin()
                .psql(&format!("ALTER SYSTEM SET {setting}"))?;
        }
        postgres.stop()?;
        postgres.start()
    }

    fn back_up(&self, database: &Database) -> Result<()> {
        let output = Command::new(server_programs()?.postgres_tool("pg_basebackup"))
            .args([
                "-h",
                &database.host,
                "-p",
                &database.port.to_string(),
                "-U",
                &database.user,
            ])
            .args(["--wal-method=none", "--checkpoint=fast", "-D"])
            .arg(&self.backup)
            .env("PGPASSWORD", &database.password)
            .output()
            .context("run pg_basebackup")?;
        ensure!(
            output.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// What the playbook says: the copy back, the archive named, and the server ends its recovery by itself.
    fn restore(&self, postgres: &Postgres) -> Result<()> {
        let data = postgres.data_dir();
        let status = Command::new("cp")
            .arg("-a")
            .arg(&self.backup)
            .arg(&data)
            .status()?;
        ensure!(status.success(), "copy the backup back: {status}");
        fs::write(data.join("recovery.signal"), b"")?;
        let mut settings = fs::read_to_string(data.join("postgresql.auto.conf"))?;
        settings.push_str(&format!(
            "restore_command = 'cp {}/%f %p'\n",
            self.archive.display()
        ));
        fs::write(data.join("postgresql.auto.conf"), settings)?;
        give(&data, self.owner)
    }
}

fn give(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .with_context(|| format!("give {} to the server's account", path.display()))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), (uid, gid))?;
        }
    }
    Ok(())
}
