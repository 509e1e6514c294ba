//! P2: the database was away and comes back; how fast is the journal emptied?

use super::{Bench, micros_each};
use crate::pairs::{Pairs, Side, Spread};
use crate::report::{Labels, Section, pairs_table, put, ratio_headline, ratio_values};
use crate::rig::{Rig, Stack, send_rows};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Database;
use std::time::{Duration, Instant};

const LABELS: Labels = Labels {
    a: "engine",
    b: "COPY",
    unit: "rows/s",
};
const HOPE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
/// Each stops and starts the database twice over, so fewer than elsewhere.
const PAIRS_MAX: usize = 3;

pub(super) fn run(bench: &mut Bench) -> Result<Section> {
    let rows = bench.size.rows;
    let count = bench.size.pairs.min(PAIRS_MAX);
    let mut pairs = Pairs::default();
    let mut back_s = Vec::new();
    for pair in 0..count {
        let mut engine_first = pair % 2 == 0;
        for _ in 0..2 {
            if engine_first {
                let drained = drain(bench.rig_mut()?, rows)?;
                pairs.a.push(drained.side);
                back_s.push(drained.until_first_commit_s);
            } else {
                pairs.b.push(bench.files()?.measure(bench.rig()?)?);
            }
            engine_first = !engine_first;
        }
    }
    let back = Spread::of(back_s);
    let mut text = format!(
        "Engine: it took all rows while the database was stopped. From the first of them committed \
         to the last. COPY as in P1.\n\n{}",
        pairs_table(&pairs, LABELS)
    );
    put(
        &mut text,
        format_args!(
            "From the database taking connections to the first commit: {:.2} s ({:.2}–{:.2}).\n",
            back.median, back.least, back.most
        ),
    );
    Ok(Section {
        id: "P2",
        title: "backlog drained from the journal ÷ psql COPY BINARY",
        target: "0.90",
        headline: ratio_headline(&pairs),
        values: ratio_values(&pairs, 0.90),
        text,
    })
}

struct Drained {
    side: Side,
    until_first_commit_s: f64,
}

fn drain(rig: &mut Rig, rows: u64) -> Result<Drained> {
    let mut stack = rig.stack(&[])?;
    stack.engine.terminate(HOPE)?;
    rig.postgres.stop()?;
    stack.engine.restart()?;
    send_rows(stack.fleet(), rows)?;
    rig.postgres.start()?;
    let (engine_before, database_before) = (stack.engine_cpu_s(), rig.cpu_s());
    let seen = watch(&stack.database, rows)?;
    let cpu_s = [
        ("engine", stack.engine_cpu_s() - engine_before),
        ("database", rig.cpu_s() - database_before),
    ];
    let side = Side {
        rate: seen.rate,
        cpu_us_each: micros_each(&cpu_s, rows as f64),
        rss_peak_bytes: stack.memory().rss_peak_bytes,
    };
    stack.expect_rows(rows)?;
    let Stack { engine, database } = stack;
    drop(engine);
    rig.drop_database(&database)?;
    Ok(Drained {
        side,
        until_first_commit_s: seen.until_first_commit_s,
    })
}

struct Seen {
    rate: f64,
    until_first_commit_s: f64,
}

/// Follows the count of committed rows, which a rollup tells without reading the table.
fn watch(database: &Database, rows: u64) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&database.conninfo(), tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let count = client
            .prepare("SELECT coalesce(sum(count), 0)::int8 FROM rollup_1d")
            .await?;
        let mut first: Option<(Instant, u64)> = None;
        loop {
            ensure!(began.elapsed() < HOPE, "the backlog is not drained");
            let seen: i64 = client.query_one(&count, &[]).await?.get(0);
            let (now, seen) = (Instant::now(), u64::try_from(seen)?);
            if seen > 0 && first.is_none() {
                first = Some((now, seen));
            }
            if seen >= rows {
                connection.abort();
                let (first_at, first_rows) = first.context("a row was seen")?;
                // A backlog of one transaction has no second commit to measure to.
                let (from, drained) = if first_rows < rows {
                    (first_at, rows - first_rows)
                } else {
                    (began, rows)
                };
                return Ok(Seen {
                    rate: drained as f64 / now.duration_since(from).as_secs_f64(),
                    until_first_commit_s: first_at.duration_since(began).as_secs_f64(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    })
}
