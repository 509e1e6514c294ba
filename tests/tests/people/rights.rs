//! Every route, asked by everybody.

use super::{add, ask, sign_in, stack};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Engine;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    /// Answered to anybody, in its own words.
    Open,
    Viewer,
    Operator,
    Admin,
}

use Least::{Admin, Open, Operator, Viewer};

/// A route that is not here fails the test, and so does one that is here and not there.
const TABLE: [(&str, &str, Least); 52] = [
    ("GET", "/api/status", Open),
    ("HEAD", "/api/status", Open),
    ("GET", "/api/openapi.json", Open),
    ("HEAD", "/api/openapi.json", Open),
    ("GET", "/api/docs", Open),
    ("HEAD", "/api/docs", Open),
    ("POST", "/api/auth/login", Open),
    ("POST", "/api/auth/refresh", Open),
    ("POST", "/api/auth/logout", Open),
    // These judge by rules of their own, which other tests hold them to.
    ("POST", "/api/push", Open),
    ("POST", "/api/ingest", Open),
    ("POST", "/api/probe/heartbeat", Open),
    ("GET", "/api/auth/me", Viewer),
    ("HEAD", "/api/auth/me", Viewer),
    ("GET", "/api/metrics", Viewer),
    ("HEAD", "/api/metrics", Viewer),
    ("GET", "/api/metrics/series", Viewer),
    ("HEAD", "/api/metrics/series", Viewer),
    ("GET", "/api/metrics/aggregated", Viewer),
    ("HEAD", "/api/metrics/aggregated", Viewer),
    ("GET", "/api/metrics/cluster", Viewer),
    ("HEAD", "/api/metrics/cluster", Viewer),
    ("GET", "/api/export", Viewer),
    ("HEAD", "/api/export", Viewer),
    ("GET", "/api/ledger", Viewer),
    ("HEAD", "/api/ledger", Viewer),
    ("GET", "/api/batches/{id}", Viewer),
    ("HEAD", "/api/batches/{id}", Viewer),
    ("GET", "/api/nodes", Viewer),
    ("HEAD", "/api/nodes", Viewer),
    ("GET", "/api/nodes/{id}", Viewer),
    ("HEAD", "/api/nodes/{id}", Viewer),
    ("POST", "/api/nodes", Operator),
    ("PATCH", "/api/nodes/{id}", Operator),
    ("DELETE", "/api/nodes/{id}", Operator),
    ("GET", "/api/federation/status", Viewer),
    ("HEAD", "/api/federation/status", Viewer),
    ("GET", "/api/live", Viewer),
    ("HEAD", "/api/live", Viewer),
    ("GET", "/metrics", Viewer),
    ("HEAD", "/metrics", Viewer),
    ("GET", "/api/users", Admin),
    ("HEAD", "/api/users", Admin),
    ("POST", "/api/users", Admin),
    ("PATCH", "/api/users/{id}", Admin),
    ("DELETE", "/api/users/{id}", Admin),
    ("GET", "/api/keys", Admin),
    ("HEAD", "/api/keys", Admin),
    ("POST", "/api/keys", Admin),
    ("DELETE", "/api/keys/{id}", Admin),
    ("GET", "/api/audit", Admin),
    ("HEAD", "/api/audit", Admin),
];

/// Of an answer that may be a stream, or have no body: its first line is enough.
fn status(engine: &Engine, method: &str, path: &str, token: Option<&str>) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", engine.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\n");
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    stream.write_all((head + "Content-Length: 2\r\n\r\n{}").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("a status")?;
    Ok(status.parse()?)
}

#[test]
fn each_route_asks_for_its_role_and_no_less() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let document = ask(engine, "GET", "/api/openapi.json", &[], &json!(null))?.json()?;
    let paths = document["paths"].as_object().context("paths")?;
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(|item| item.keys());
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let listed = TABLE.map(|(method, path, _)| format!("{method} {path}"));
    let listed: BTreeSet<String> = listed.into_iter().collect();
    let differ: Vec<_> = described.symmetric_difference(&listed).collect();
    ensure!(differ.is_empty(), "in one of the two only: {differ:?}");

    for (name, role) in [("vera", "VIEWER"), ("otto", "OPERATOR")] {
        add(engine, name, role)?;
    }
    let access = |name| sign_in(engine, name).map(|browser| browser.access);
    let key = engine.command(&["key", "issue", "a"])?;
    let key = String::from_utf8(key.stdout)?.trim().to_owned();
    let everybody = [
        ("a probe", Open, key),
        (
            "the federation",
            Viewer,
            engine.federation_secret().to_owned(),
        ),
        ("a viewer", Viewer, access("vera")?),
        ("an operator", Operator, access("otto")?),
        ("an admin", Admin, access("root")?),
    ];
    crate::support::await_that("keys to be known", || {
        Ok(status(engine, "GET", "/api/nodes", Some(&everybody[0].2))? == 403)
    })?;
    for (method, template, least) in TABLE {
        let path = template.replace("{id}", "nobody");
        let found = status(engine, method, &path, None)?;
        if least == Open {
            // None of them opens to who sends nothing, and says nothing of an error of ours.
            ensure!(found < 500, "{method} {path}: {found}");
            continue;
        }
        ensure!(found == 401, "{method} {path} without a token: {found}");
        ensure!(
            status(engine, method, &path, Some("wrong"))? == 401,
            "{method} {path}"
        );
        for (who, right, token) in &everybody {
            let found = status(engine, method, &path, Some(token))?;
            let refused = found == 403;
            ensure!(
                refused == (*right < least),
                "{method} {path} by {who}: {found}"
            );
            // Files are made a few at a time, and these were asked for and not read.
            let busy = path == "/api/export" && found == 503;
            ensure!(
                found != 401 && (found < 500 || busy),
                "{method} {path} by {who}: {found}"
            );
        }
    }
    Ok(())
}
