//! The record of who changed what, and what is found when somebody changes the record.

use super::{PASSWORD, add, login, sign_in, stack};
use crate::support::Stack;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// The exit code and what was printed.
fn verify(stack: &Stack, more: &[&str]) -> Result<(i32, String)> {
    let output = stack
        .engine
        .command(&[&["audit", "verify"], more].concat())?;
    let code = output.status.code().context("an exit code")?;
    Ok((code, String::from_utf8(output.stdout)?))
}

#[test]
fn concurrent_writers_make_one_chain() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    let before: u64 = stack.sql("SELECT count(*) FROM audit_log")?.parse()?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let root = &root;
                scope.spawn(move || -> Result<()> {
                    for n in 0..4 {
                        let name = format!("u{writer}-{n}");
                        let body = json!({"name": name, "password": PASSWORD, "role": "VIEWER"});
                        let added = root.asks("POST", "/api/users", &body)?;
                        ensure!(added.status == 201, "{added:?}");
                        let body = json!({"node_id": format!("n{writer}-{n}")});
                        ensure!(root.asks("POST", "/api/keys", &body)?.status == 201);
                    }
                    Ok(())
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap())
    })?;
    let after: u64 = stack.sql("SELECT count(*) FROM audit_log")?.parse()?;
    ensure!(
        after == before + 48,
        "one entry for each change: {before}, {after}"
    );
    let (code, told) = verify(&stack, &[])?;
    ensure!(
        code == 0 && told.starts_with(&format!("{after} entries; the last is {after}:")),
        "{told}"
    );

    // No change without an entry: what cannot be recorded is not done.
    stack.sql("ALTER TABLE audit_log RENAME TO moved")?;
    let body = json!({"name": "unseen", "password": PASSWORD, "role": "ADMIN"});
    ensure!(root.asks("POST", "/api/users", &body)?.status == 503);
    ensure!(login(engine, "root", PASSWORD)?.status == 503);
    stack.sql("ALTER TABLE moved RENAME TO audit_log")?;
    ensure!(stack.sql("SELECT count(*) FROM users WHERE name = 'unseen'")? == "0");
    ensure!(login(engine, "root", PASSWORD)?.status == 200);
    ensure!(verify(&stack, &[])?.0 == 0);
    Ok(())
}

/// What somebody may do to the table, and what is told of it.
fn tamperings(last: i64) -> Vec<(&'static str, String, String)> {
    let after = last + 1;
    let copy = |id: i64| {
        format!(
            "INSERT INTO audit_log SELECT {id}, at, actor, action, detail, prev, hash
             FROM audit_log WHERE id = 4"
        )
    };
    vec![
        (
            "actor",
            "UPDATE audit_log SET actor = 'nobody' WHERE id = 4".to_owned(),
            "entry 4 was changed".to_owned(),
        ),
        (
            "time",
            "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 2".to_owned(),
            "entry 2 was changed".to_owned(),
        ),
        (
            "detail",
            "UPDATE audit_log SET detail = detail || '{\"role\": \"ADMIN\"}' WHERE id = 3"
                .to_owned(),
            "entry 3 was changed".to_owned(),
        ),
        (
            "removed",
            "DELETE FROM audit_log WHERE id = 4".to_owned(),
            "entry 4 was removed".to_owned(),
        ),
        (
            "the first",
            "DELETE FROM audit_log WHERE id = 1".to_owned(),
            "entry 1 was removed".to_owned(),
        ),
        (
            "the last",
            format!("DELETE FROM audit_log WHERE id >= {}", last - 1),
            format!("entries {} to {last} were removed", last - 1),
        ),
        (
            "inserted after",
            copy(after),
            format!("entry {after} was inserted"),
        ),
        (
            "inserted before",
            copy(0),
            "entry 0 was inserted".to_owned(),
        ),
        (
            "hashed anew",
            "UPDATE audit_log SET hash = sha256('x') WHERE id = 4".to_owned(),
            "entry 5 does not follow".to_owned(),
        ),
        (
            "the end",
            "DELETE FROM audit_head".to_owned(),
            "audit_head was removed".to_owned(),
        ),
    ]
}

#[test]
fn a_changed_removed_or_inserted_entry_is_named() -> Result<()> {
    let stack = stack()?;
    for n in 0..6 {
        add(&stack.engine, &format!("u{n}"), "VIEWER")?;
    }
    let last: i64 = stack.sql("SELECT max(id) FROM audit_log")?.parse()?;
    let (code, whole) = verify(&stack, &[])?;
    ensure!(code == 0, "{whole}");
    let known = whole
        .split("the last is ")
        .nth(1)
        .context("number and hash")?
        .trim()
        .to_owned();
    stack
        .sql("CREATE TABLE kept AS TABLE audit_log; CREATE TABLE kept_head AS TABLE audit_head")?;
    let restore = "TRUNCATE audit_log; INSERT INTO audit_log TABLE kept;
        UPDATE audit_head SET id = k.id, hash = k.hash FROM kept_head k";
    for (what, tampering, told) in tamperings(last) {
        stack.sql(&tampering)?;
        let (code, found) = verify(&stack, &[])?;
        ensure!(code == 2 && found.contains(&told), "{what}: {code} {found}");
        stack.sql("INSERT INTO audit_head TABLE kept_head ON CONFLICT DO NOTHING")?;
        stack.sql(restore)?;
        ensure!(
            verify(&stack, &["--expect", &known])?.0 == 0,
            "restored after {what}"
        );
    }
    let other = format!("{}:{}", last, "0".repeat(64));
    let (code, found) = verify(&stack, &["--expect", &other])?;
    ensure!(code == 2 && found.contains("was made anew"), "{found}");
    Ok(())
}

#[test]
fn administrators_read_it_page_by_page() -> Result<()> {
    let stack = stack()?;
    for n in 0..4 {
        add(&stack.engine, &format!("u{n}"), "VIEWER")?;
    }
    let root = sign_in(&stack.engine, "root")?;
    let (mut entries, mut cursor) = (Vec::<Value>::new(), String::new());
    for _ in 0..10 {
        let page = root
            .asks("GET", &format!("/api/audit?limit=3{cursor}"), &json!(null))?
            .json()?;
        entries.extend(page["data"].as_array().context("a page")?.iter().cloned());
        let Some(next) = page["meta"]["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let ids: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry["id"].as_i64())
        .collect();
    let last: i64 = stack.sql("SELECT max(id) FROM audit_log")?.parse()?;
    ensure!(ids == (1..=last).rev().collect::<Vec<_>>(), "{ids:?}");
    ensure!(
        entries[0]["action"] == "login" && entries[0]["actor"] == "user:root",
        "{}",
        entries[0]
    );
    let first = entries.last().context("an entry")?;
    ensure!(
        first["actor"] == "command" && first["detail"] == json!({"name": "root", "role": "ADMIN"}),
        "{first}"
    );
    let bad = root.asks("GET", "/api/audit?limit=0", &json!(null))?;
    ensure!(bad.status == 422, "{bad:?}");
    Ok(())
}
