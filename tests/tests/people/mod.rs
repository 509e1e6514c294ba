//! People sign in, and may do what their role says as long as they are who they were.

mod audit;
mod hostile;
mod nodes;
mod rights;
mod sessions;
mod users;

use crate::support::client::{Answer, exchange};
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Engine;
use serde_json::{Value, json};

const KEY_SECRET: (&str, &str) = ("API_KEY_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
const PASSWORD: &str = "a long walk to the sea";
/// As a browser sends it from the engine's own page.
const OUR_PAGE: &str = "Sec-Fetch-Site: same-origin";

/// Outside development, where nobody is let in unknown.
fn stack() -> Result<Stack> {
    with_users(&[("ENV", "staging"), KEY_SECRET])
}

fn with_users(env: &[(&str, &str)]) -> Result<Stack> {
    let stack = Stack::with(env)?;
    // Tokens of users count from the first list on.
    add(&stack.engine, "root", "ADMIN")?;
    await_that("the list of users", || {
        Ok(sign_in(&stack.engine, "root")?
            .asks("GET", "/api/auth/me", &json!(null))?
            .status
            == 200)
    })?;
    Ok(stack)
}

/// By the command, as an operator does it.
fn add(engine: &Engine, name: &str, role: &str) -> Result<()> {
    let arguments = ["user", "add", name, "--role", role];
    let output = engine.command_with_input(&arguments, format!("{PASSWORD}\n").as_bytes())?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn ask(engine: &Engine, method: &str, path: &str, fields: &[&str], body: &Value) -> Result<Answer> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: fiber.example\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    let length = body.len();
    let rest = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    exchange(engine, (head + &rest).as_bytes())
}

fn login(engine: &Engine, name: &str, password: &str) -> Result<Answer> {
    let body = json!({"name": name, "password": password});
    ask(engine, "POST", "/api/auth/login", &[OUR_PAGE], &body)
}

/// What a browser keeps.
#[derive(Clone)]
struct Browser<'e> {
    engine: &'e Engine,
    access: String,
    refresh: String,
}

fn sign_in<'e>(engine: &'e Engine, name: &str) -> Result<Browser<'e>> {
    browser(engine, &login(engine, name, PASSWORD)?)
}

fn browser<'e>(engine: &'e Engine, answer: &Answer) -> Result<Browser<'e>> {
    ensure!(answer.status == 200, "{answer:?}");
    Ok(Browser {
        engine,
        access: cookie(answer, "fiber_access")?,
        refresh: cookie(answer, "fiber_refresh")?,
    })
}

fn cookie(answer: &Answer, name: &str) -> Result<String> {
    let line = set_cookie(answer, name)?;
    let value = line.split(';').next().and_then(|pair| pair.split_once('='));
    Ok(value.context("a cookie has a value")?.1.to_owned())
}

/// The whole field.
fn set_cookie<'a>(answer: &'a Answer, name: &str) -> Result<&'a str> {
    let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
    let mut cookies = fields.filter(|(field, _)| field.eq_ignore_ascii_case("set-cookie"));
    let cookie = cookies.find(|(_, value)| value.starts_with(&format!("{name}=")));
    Ok(cookie
        .with_context(|| format!("{name} is not in {}", answer.head))?
        .1)
}

impl Browser<'_> {
    fn asks(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let cookie = format!("Cookie: fiber_access={}", self.access);
        ask(self.engine, method, path, &[&cookie, OUR_PAGE], body)
    }

    fn refreshes(&self) -> Result<Answer> {
        let cookie = format!("Cookie: fiber_refresh={}", self.refresh);
        ask(
            self.engine,
            "POST",
            "/api/auth/refresh",
            &[&cookie, OUR_PAGE],
            &json!(null),
        )
    }

    fn me(&self) -> Result<u16> {
        Ok(self.asks("GET", "/api/auth/me", &json!(null))?.status)
    }
}

fn with_token(
    engine: &Engine,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> Result<Answer> {
    let field = format!("Authorization: Bearer {token}");
    ask(engine, method, path, &[&field], body)
}
