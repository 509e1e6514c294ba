//! A push becomes a row, on both drivers, whatever the request looks like on the wire.

use crate::support::client::{Connection, exchange, get, post, push, sample};
use crate::support::{DRIVERS, Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::json;

#[test]
fn a_push_is_a_row_with_its_values() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut lost = sample("accra-01", 0);
        lost["latency_ms"] = json!(null);
        lost["packet_loss"] = json!(100);
        lost["uptime_pct"] = json!(0);
        lost["target_host"] = json!("example.net");
        lost["metadata"] = json!({"city": "Accra", "lat": 5.56, "lng": -0.2, "note": "é\"\\"});
        let answer = push(&stack.engine, &lost)?;
        ensure!(answer.status == 202, "{driver}: {answer:?}");
        let body = answer.json()?;
        ensure!(
            body["message"] == "Queued 1 metrics" && body["data"]["accepted"] == 1,
            "{body}"
        );
        stack.await_rows(1)?;
        let row = stack.sql(
            "SELECT concat_ws(',', node_id, target_host, probe_type, latency_ms IS NULL, packet_loss,
                metadata->>'note') FROM samples",
        )?;
        ensure!(row == "accra-01,example.net,ping,t,100,é\"\\", "{row}");
        let place = stack.sql("SELECT concat_ws(',', city, lat, lng, country) FROM nodes")?;
        ensure!(place == "Accra,5.56,-0.2,GH", "{place}");
        let status = get(&stack.engine, "/api/status")?;
        let expect = if driver == "uring" {
            "io_uring"
        } else {
            "epoll"
        };
        ensure!(status["driver"] == expect, "{status}");
    }
    Ok(())
}

#[test]
fn a_batch_is_taken_for_its_good_members() -> Result<()> {
    let stack = Stack::start()?;
    let mut bad = sample("n1", 10);
    bad["country"] = json!("Ghana");
    let body = json!({"node_id": "n1", "metrics": [sample("n1", 30), bad, sample("n2", 20)]});
    let id = "X-Batch-ID: 0190a7a0-0000-7000-8000-000000000001";
    let request = post(
        &stack.engine,
        "/api/ingest",
        &[id, "X-Region-ID: west"],
        body.to_string().as_bytes(),
    );
    let answer = exchange(&stack.engine, &request)?;
    let data = &answer.json()?["data"];
    ensure!(
        answer.status == 202 && data["accepted"] == 2 && data["rejected"] == 1,
        "{data}"
    );
    ensure!(
        data["errors"][0]["index"] == 1 && data["errors"][0]["field"] == "country",
        "{data}"
    );
    ensure!(data["source_region"] == "west", "{data}");
    stack.await_rows(2)?;
    let receipt =
        stack.sql("SELECT accepted || ',' || rejected || ',' || source_region FROM batches")?;
    ensure!(receipt == "2,1,west", "{receipt}");
    Ok(())
}

/// One request in two reads at every byte, pipelined pairs, and chunks: the same rows.
#[test]
fn framing_does_not_change_what_is_stored() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut connection = Connection::open(&stack.engine)?;
        let mut sent = 0;
        let mut next = || {
            sent += 1;
            sample("n", 60_000 - sent).to_string()
        };
        let length = post(&stack.engine, "/api/push", &[], next().as_bytes()).len();
        for split in (1..length).step_by(7) {
            connection.send_split(
                &post(&stack.engine, "/api/push", &[], next().as_bytes()),
                split,
            )?;
            ensure!(
                connection.answer()?.status == 202,
                "{driver}: split at {split}"
            );
        }
        let pair: Vec<u8> = (0..2)
            .flat_map(|_| post(&stack.engine, "/api/push", &[], next().as_bytes()))
            .collect();
        connection.send(&pair)?;
        for _ in 0..2 {
            ensure!(connection.answer()?.status == 202, "{driver}: pipelined");
        }
        let body = next();
        let (first, second) = body.split_at(20);
        let chunked = format!(
            "POST /api/push HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n{:x};a=b\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nT: x\r\n\r\n",
            stack.engine.federation_secret(),
            first.len(),
            second.len(),
        );
        connection.send(chunked.as_bytes())?;
        ensure!(connection.answer()?.status == 202, "{driver}: chunked");
        // The first body was only measured.
        stack.await_rows(u64::try_from(sent - 1)?)?;
    }
    Ok(())
}

/// A connection that asks for something else first goes to the query side, and may push there.
#[test]
fn a_push_after_a_query_on_one_connection_is_stored_too() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut connection = Connection::open(&stack.engine)?;
        connection.send(&post(
            &stack.engine,
            "/api/push",
            &[],
            sample("n", 3).to_string().as_bytes(),
        ))?;
        ensure!(connection.answer()?.status == 202);
        connection.send(b"GET /api/nodes/nobody HTTP/1.1\r\nHost: e\r\n\r\n")?;
        ensure!(connection.answer()?.status == 404);
        connection.send(&post(
            &stack.engine,
            "/api/push",
            &[],
            sample("n", 1).to_string().as_bytes(),
        ))?;
        let answer = connection.answer()?;
        ensure!(answer.status == 202, "{driver}: {answer:?}");
        ensure!(answer.header("x-ratelimit-policy").is_some(), "{answer:?}");
        stack.await_rows(2)?;
    }
    Ok(())
}

#[test]
fn committed_acks_wait_for_the_table() -> Result<()> {
    let stack = Stack::start()?;
    for nth in 1..=5 {
        let request = post(
            &stack.engine,
            "/api/push?ack=committed",
            &[],
            sample("n", 100 - nth).to_string().as_bytes(),
        );
        let answer = exchange(&stack.engine, &request)?;
        ensure!(answer.status == 202, "{answer:?}");
        ensure!(
            stack.rows()? == u64::try_from(nth)?,
            "the answer came before the row"
        );
    }
    Ok(())
}

/// Samples are taken before the database was ever there, and are stored once it is.
#[test]
fn an_engine_without_its_database_takes_samples_and_stores_them_later() -> Result<()> {
    let mut postgres = fiber_local::servers::Postgres::start_private()?;
    let database = postgres.database("late")?;
    postgres.stop()?;
    let stack = Stack::over(database, &[])?;
    for age in 0..5 {
        ensure!(push(&stack.engine, &sample("n", age))?.status == 202);
    }
    let status = get(&stack.engine, "/api/status")?;
    ensure!(
        status["status"] == "degraded" && status["etl"]["state"] == "waiting",
        "{status}"
    );
    postgres.start()?;
    stack.await_rows(5)?;
    await_that("a good status", || {
        Ok(get(&stack.engine, "/api/status")?["status"] == "ok")
    })
}

/// Managed services have no TimescaleDB: native partitions then.
#[test]
fn a_database_without_the_extension_works() -> Result<()> {
    // Who may not create anything in the database itself may not create the extension.
    let mut database = crate::support::shared().postgres.plain_database("plain")?;
    database.psql(
        "CREATE ROLE fiber_plain LOGIN PASSWORD 'plain';
         GRANT CREATE, USAGE ON SCHEMA public TO fiber_plain",
    )?;
    "fiber_plain".clone_into(&mut database.user);
    "plain".clone_into(&mut database.password);
    let stack = Stack::over(database, &[])?.with_tables()?;
    // Days apart, so that several partitions are used.
    for day in 0..6 {
        ensure!(push(&stack.engine, &sample("n", day * 86_400_000 + 60_000))?.status == 202);
    }
    stack.await_rows(6)?;
    ensure!(stack.sql("SELECT relkind FROM pg_class WHERE oid = 'metrics'::regclass")? == "p");
    ensure!(stack.sql("SELECT count(*) FROM rollup_1m")? == "6");
    Ok(())
}
