//! Users and keys, by administrators and by commands.

use super::{KEY_SECRET, PASSWORD, add, login, sign_in, stack, with_token, with_users};
use crate::support::await_that;
use crate::support::client::{Connection, sample};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

fn push(token: &str, age_ms: i64) -> Vec<u8> {
    let body = sample("a", age_ms).to_string();
    let length = body.len();
    format!(
        "POST /api/push HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn what_a_user_is_counts_at_once() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    let new = json!({"name": "kofi", "password": PASSWORD, "role": "OPERATOR"});
    let added = root.asks("POST", "/api/users", &new)?;
    ensure!(
        added.status == 201 && added.json()?["data"]["name"] == "kofi",
        "{added:?}"
    );
    ensure!(
        root.asks("POST", "/api/users", &new)?.status == 409,
        "twice"
    );
    let kofi = sign_in(engine, "kofi")?;

    // On a connection of the ingest cores, which remembers whom it has seen.
    let mut connection = Connection::open(engine)?;
    let mut pushes = |age_ms| -> Result<u16> {
        connection.send(&push(&kofi.access, age_ms))?;
        Ok(connection.answer()?.status)
    };
    ensure!(pushes(1)? == 202 && pushes(2)? == 202);
    let change = |body| root.asks("PATCH", "/api/users/kofi", &body);
    let changed = change(json!({"role": "VIEWER"}))?;
    ensure!(
        changed.status == 200 && changed.json()?["data"]["role"] == "VIEWER",
        "{changed:?}"
    );
    ensure!(pushes(3)? == 403 && kofi.me()? == 200);
    ensure!(change(json!({"role": "OPERATOR"}))?.status == 200 && pushes(4)? == 202);

    ensure!(change(json!({"disabled": true}))?.status == 200);
    ensure!(pushes(5)? == 401 && kofi.me()? == 401 && kofi.refreshes()?.status == 401);
    ensure!(login(engine, "kofi", PASSWORD)?.status == 401);
    ensure!(change(json!({"disabled": false}))?.status == 200);
    ensure!(
        kofi.me()? == 401 && kofi.refreshes()?.status == 401,
        "the past does not come back"
    );

    let kofi = sign_in(engine, "kofi")?;
    let other = "another long password";
    ensure!(change(json!({"password": other}))?.status == 200);
    ensure!(kofi.me()? == 401 && kofi.refreshes()?.status == 401);
    ensure!(login(engine, "kofi", PASSWORD)?.status == 401);
    ensure!(login(engine, "kofi", other)?.status == 200);
    let short = change(json!({"password": "short"}))?;
    ensure!(
        short.status == 422 && !short.json()?.to_string().contains("short"),
        "{short:?}"
    );

    Ok(())
}

#[test]
fn commands_count_within_seconds_and_removed_is_removed() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    add(engine, "esi", "VIEWER")?;
    let esi = sign_in(engine, "esi")?;
    ensure!(esi.me()? == 200);
    ensure!(
        engine
            .command(&["user", "disable", "esi"])?
            .status
            .success()
    );
    await_that("the end of esi", || Ok(esi.me()? == 401))?;
    ensure!(engine.command(&["user", "enable", "esi"])?.status.success());
    let esi = sign_in(engine, "esi")?;
    let file = engine.home().join("password");
    std::fs::write(&file, "and a third long one\n")?;
    let path = file.to_str().context("a path")?;
    let passwd = engine.command(&["user", "passwd", "esi", "--password-file", path])?;
    ensure!(passwd.status.success(), "{passwd:?}");
    await_that("the end of the session", || Ok(esi.me()? == 401))?;
    ensure!(login(engine, "esi", "and a third long one")?.status == 200);

    let removed = root.asks("DELETE", "/api/users/esi", &json!(null))?;
    ensure!(
        removed.status == 204 && removed.body.is_empty(),
        "{removed:?}"
    );
    ensure!(root.asks("DELETE", "/api/users/esi", &json!(null))?.status == 404);
    let list = root.asks("GET", "/api/users", &json!(null))?.json()?["data"].clone();
    let names: Vec<_> = list
        .as_array()
        .context("a list")?
        .iter()
        .map(|user| &user["name"])
        .collect();
    ensure!(names == ["root"], "{list}");
    ensure!(list[0]["last_login_at"].is_string() && !list.to_string().contains("argon2"));
    Ok(())
}

#[test]
fn the_last_administrator_stays() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    for change in [json!({"role": "OPERATOR"}), json!({"disabled": true})] {
        ensure!(root.asks("PATCH", "/api/users/root", &change)?.status == 409);
    }
    ensure!(root.asks("DELETE", "/api/users/root", &json!(null))?.status == 409);
    ensure!(root.me()? == 200, "nothing was changed");

    // Two that take each other's right at the same time: one of them wins.
    add(engine, "ama", "ADMIN")?;
    let ama = sign_in(engine, "ama")?;
    let viewer = json!({"role": "VIEWER"});
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| root.asks("PATCH", "/api/users/ama", &viewer));
        let other = scope.spawn(|| ama.asks("PATCH", "/api/users/root", &viewer));
        (one.join().unwrap(), other.join().unwrap())
    });
    let mut statuses = [one?.status, other?.status];
    statuses.sort_unstable();
    // The loser was an administrator when it asked, or was none any more.
    ensure!(
        statuses[0] == 200 && [403, 409].contains(&statuses[1]),
        "{statuses:?}"
    );
    ensure!(stack.sql("SELECT count(*) FROM users WHERE role = 'ADMIN'")? == "1");
    // The machine's owner has the last word.
    let name = stack.sql("SELECT name FROM users WHERE role = 'ADMIN'")?;
    ensure!(engine.command(&["user", "remove", &name])?.status.success());
    Ok(())
}

#[test]
fn administrators_issue_and_revoke_keys() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    let issue = |body| root.asks("POST", "/api/keys", &body);
    let issued = issue(json!({"node_id": "accra-01", "expires_in_days": 30}))?;
    ensure!(issued.status == 201, "{issued:?}");
    let issued = issued.json()?["data"].clone();
    let key = issued["key"].as_str().context("a key")?;
    let id = issued["view"]["key_id"].as_str().context("an id")?;
    let body = |age_ms| sample("accra-01", age_ms);
    await_that("keys to be known", || {
        Ok(with_token(engine, "POST", "/api/push", key, &body(1))?.status == 202)
    })?;
    ensure!(issue(json!({"node_id": "a b"}))?.status == 422);
    ensure!(issue(json!({"node_id": "a", "expires_in_days": 0}))?.status == 422);
    ensure!(issue(json!({"node_id": "accra-01"}))?.status == 201);
    ensure!(
        issue(json!({"node_id": "accra-01"}))?.status == 409,
        "a third live one"
    );

    let revoked = root.asks("DELETE", &format!("/api/keys/{id}"), &json!(null))?;
    ensure!(revoked.status == 200 && revoked.json()?["data"]["revoked_at"].is_string());
    let after = with_token(engine, "POST", "/api/push", key, &body(2))?;
    ensure!(after.status == 401, "at once: {after:?}");
    ensure!(
        root.asks("DELETE", &format!("/api/keys/{id}"), &json!(null))?
            .status
            == 200
    );
    let none = "/api/keys/00000000-0000-4000-8000-000000000000";
    ensure!(root.asks("DELETE", none, &json!(null))?.status == 404);
    let list = root
        .asks("GET", "/api/keys?node_id=accra-01", &json!(null))?
        .json()?;
    ensure!(list["data"].as_array().map(Vec::len) == Some(2) && !list.to_string().contains(key));
    let entries = stack.sql("SELECT string_agg(action || ' ' || actor, ', ' ORDER BY id) FROM audit_log WHERE action LIKE 'key%'")?;
    ensure!(
        entries == "key.issued user:root, key.issued user:root, key.revoked user:root",
        "{entries}"
    );

    // Without the secret there are none.
    let stack = with_users(&[("ENV", "staging")])?;
    let refused =
        sign_in(&stack.engine, "root")?.asks("POST", "/api/keys", &json!({"node_id": "a"}))?;
    ensure!(
        refused.status == 409 && refused.json()?.to_string().contains(KEY_SECRET.0),
        "{refused:?}"
    );
    Ok(())
}
