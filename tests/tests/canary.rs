//! Secrets go in by every way there is, good and bad; nothing that comes out holds one.

use crate::support::client::{Answer, exchange, sample};
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::path::Path;
use std::time::Duration;

const CURRENT: &str = "canary-current-5b1f7c0e9a2d4836bb";
const PREVIOUS: &str = "canary-previous-0c4d8e2f6a1b3957cc";
const SIGNS_KEYS: &str = "canary-keys-9f3e1d7c5b2a4860dd";
const PASSWORD: &str = "canary-password-2e8b4d6f1a3c5970ee";
/// Typed into the field for the name; it could be somebody's name.
const IN_THE_NAME: &str = "canary-in-the-name-7b5d3f1e9c2a";
/// A secret with a slip of the hand is nearly the secret.
const WRONG: &str = "canary-current-5b1f7c0e9a2d4836bx";
const BATCH: &str = "018f0000-0000-7000-8000-00000000000c";

/// What came out, by where.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn take(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    fn folder(&mut self, path: &Path) -> Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                self.folder(&path)?;
            } else {
                self.take(&path.display().to_string(), std::fs::read(&path)?);
            }
        }
        Ok(())
    }

    fn find(&self, secret: &str) -> Option<&str> {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            secret.to_owned(),
            hex,
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        let holds = |bytes: &[u8]| {
            let in_bytes = |form: &String| memchr::memmem::find(bytes, form.as_bytes()).is_some();
            forms.iter().any(in_bytes)
        };
        let found = self.0.iter().find(|(_, bytes)| holds(bytes));
        found.map(|(place, _)| place.as_str())
    }
}

/// Every route that looks at a token, with this one; all that is answered.
fn use_token(stack: &Stack, token: &str, seen: &mut Seen) -> Result<()> {
    let body = sample("a", 1).to_string();
    let bad = body.replace("12.5", "\"x\"");
    let batch = format!("X-Batch-ID: {BATCH}\r\n");
    let signed = "X-Fiber-Timestamp: 2026-01-31T10:20:30Z\r\nX-Fiber-Nonce: n\r\n";
    for (target, fields, body) in [
        ("POST /api/push", batch.as_str(), body.as_str()),
        ("POST /api/push", "", bad.as_str()),
        ("POST /api/push", "", "{"),
        ("POST /api/push", signed, body.as_str()),
        ("POST /api/ingest", "", body.as_str()),
        ("GET /api/nodes", "", ""),
        ("GET /api/status", "", ""),
        ("GET /api/metrics?limit=x", "", ""),
        ("GET /metrics", "", ""),
        ("GET /api/nothing", "", ""),
        (&format!("GET /api/batches/{BATCH}"), "", ""),
    ] {
        for scheme in ["Bearer", "Basic"] {
            let request = format!(
                "{target} HTTP/1.1\r\nHost: e\r\nAuthorization: {scheme} {token}\r\n{fields}\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = exchange(&stack.engine, request.as_bytes())?;
            seen.take(target, [answer.head.as_bytes(), &answer.body].concat());
        }
    }
    Ok(())
}

/// One request of the engine's own page.
fn ask(stack: &Stack, target: &str, fields: &str, body: &str) -> Result<Answer> {
    let request = format!(
        "{target} HTTP/1.1\r\nHost: e\r\nSec-Fetch-Site: same-origin\r\n{fields}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(&stack.engine, request.as_bytes())
}

fn login(stack: &Stack, name: &str, password: &str) -> Result<Answer> {
    let body = serde_json::json!({"name": name, "password": password});
    ask(stack, "POST /api/auth/login", "", &body.to_string())
}

/// The field that sends back the cookies of an answer, and what is secret in them.
fn cookies(answer: &Answer) -> Result<(String, Vec<String>)> {
    ensure!(answer.status == 200, "{answer:?}");
    let (mut pairs, mut secrets) = (Vec::new(), Vec::new());
    for line in answer.head.lines() {
        let field = line.to_ascii_lowercase();
        let Some(value) = field.strip_prefix("set-cookie: ") else {
            continue;
        };
        let pair = value.split(';').next().context("a cookie")?;
        secrets.push(pair.rsplit('.').next().context("a token")?.to_owned());
        pairs.push(pair.to_owned());
    }
    Ok((format!("Cookie: {}\r\n", pairs.join("; ")), secrets))
}

/// Signing in, right and wrong, and going on; answers the secrets that were given. Answers that give
/// tokens are not searched; their tokens are searched for.
fn people(stack: &Stack, seen: &mut Seen) -> Result<Vec<String>> {
    let engine = &stack.engine;
    let add = ["user", "add", "ama", "--role", "ADMIN"];
    let added = engine.command_with_input(&add, PASSWORD.as_bytes())?;
    ensure!(added.status.success(), "{added:?}");
    seen.take("user add", [added.stdout, added.stderr].concat());
    let passwd = ["user", "passwd", "ama"];
    let short = engine.command_with_input(&passwd, &PASSWORD.as_bytes()[..11])?;
    seen.take("user passwd", short.stderr);

    let (first, mut secrets) = cookies(&login(stack, "ama", PASSWORD)?)?;
    let (second, more) = cookies(&ask(stack, "POST /api/auth/refresh", &first, "")?)?;
    secrets.extend(more);
    // Users may not be known in the first moment.
    await_that("the list of users", || {
        Ok(ask(stack, "GET /api/auth/me", &second, "")?.status == 200)
    })?;
    let with = |password: &str, role: &str| {
        format!("{{\"name\":\"x\",\"password\":\"{password}\",\"role\":\"{role}\"}}")
    };
    for (target, fields, body) in [
        ("POST /api/users", &second, with(PASSWORD, "VIEWER")),
        ("POST /api/users", &second, with(PASSWORD, "VIEWER")),
        ("POST /api/users", &second, with(&PASSWORD[..8], PASSWORD)),
        ("POST /api/users", &second, format!("{PASSWORD}{{")),
        ("PATCH /api/users/x", &second, with(PASSWORD, "OPERATOR")),
        ("GET /api/users", &second, String::new()),
        ("GET /api/audit", &second, String::new()),
        ("GET /api/auth/me", &second, String::new()),
        ("GET /api/nodes", &first, String::new()),
        ("POST /api/auth/logout", &second, String::new()),
        ("POST /api/auth/refresh", &second, String::new()),
        ("POST /api/auth/refresh", &first, String::new()),
        ("GET /api/nodes", &second, String::new()),
    ] {
        let answer = ask(stack, target, fields, &body)?;
        ensure!(answer.status < 500, "{target}: {answer:?}");
        seen.take(target, [answer.head.as_bytes(), &answer.body].concat());
    }
    for (name, password) in [
        ("ama", "no password of anybody"),
        (IN_THE_NAME, PASSWORD),
        (PASSWORD, ""),
    ] {
        let answer = login(stack, name, password)?;
        ensure!(answer.status == 401, "{answer:?}");
        seen.take("login", [answer.head.as_bytes(), &answer.body].concat());
    }
    secrets.extend([PASSWORD.to_owned(), IN_THE_NAME.to_owned()]);
    Ok(secrets)
}

#[test]
fn no_secret_is_found_in_what_comes_out() -> Result<()> {
    let mut stack = Stack::with(&[
        ("RUST_LOG", "trace"),
        ("FEDERATION_SECRET", CURRENT),
        ("FEDERATION_SECRET_PREVIOUS", PREVIOUS),
        ("API_KEY_SECRET", SIGNS_KEYS),
    ])?;
    let mut seen = Seen::default();
    let issued = stack.engine.command(&["key", "issue", "a"])?;
    seen.take("key issue, standard error", issued.stderr);
    let key = String::from_utf8(issued.stdout)?.trim().to_owned();
    let signature = key.rsplit('.').next().context("a key has a signature")?;
    let forged = "eyJhbGciOiJub25lIn0.canary-claims-77aa55ee.canary-mac-1188bb22";
    for token in [
        CURRENT,
        PREVIOUS,
        WRONG,
        &key,
        &key[..key.len() - 1],
        forged,
    ] {
        use_token(&stack, token, &mut seen)?;
    }
    let of_people = people(&stack, &mut seen)?;
    await_that("the sample", || Ok(stack.rows()? == 1))?;
    for arguments in [&["check-config"][..], &["key", "list"], &["--help"]] {
        let output = stack.engine.command(arguments)?;
        seen.take(
            &format!("{arguments:?}"),
            [output.stdout, output.stderr].concat(),
        );
    }
    let pid = stack.engine.pid().context("the engine runs")?;
    seen.take("arguments", std::fs::read(format!("/proc/{pid}/cmdline"))?);
    let tables = "SELECT string_agg(query_to_xml(format('SELECT t::text FROM %I.%I t',
        schemaname, tablename), false, false, '')::text, '') FROM pg_tables
        WHERE schemaname = 'public'";
    seen.take("tables", stack.sql(tables)?);

    // Its complaints, with nobody on the database's port and with a bad configuration.
    stack.engine.terminate(Duration::from_secs(30))?;
    stack.engine.set_env("DB_PORT", "1");
    stack.engine.restart()?;
    use_token(&stack, WRONG, &mut seen)?;
    stack.engine.set_env("ENV", "prod");
    let mistakes = stack.engine.command(&["check-config"])?;
    ensure!(!mistakes.status.success(), "short secrets are refused");
    seen.take("mistakes", mistakes.stderr);
    seen.folder(stack.engine.home())?;

    // The search itself must be able to find something.
    ensure!(seen.find("Queued 1 metrics").is_some() && seen.find("probe_keys").is_some());
    ensure!(seen.find("login.failed").is_some());
    let database = &stack.database.password;
    let of_people = of_people.iter().map(String::as_str);
    let others = [CURRENT, PREVIOUS, SIGNS_KEYS, WRONG, signature, database];
    for secret in others.into_iter().chain(of_people) {
        ensure!(secret.len() >= 16, "too short to be searched for");
        if let Some(place) = seen.find(secret) {
            anyhow::bail!("{secret} is in {place}");
        }
    }
    for part in ["canary-claims-77aa55ee", "canary-mac-1188bb22"] {
        ensure!(
            seen.find(part).is_none(),
            "{part} is in {:?}",
            seen.find(part)
        );
    }
    Ok(())
}
