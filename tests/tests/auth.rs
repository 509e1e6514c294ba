//! Who may push and read, and who may not any more.

use crate::support::client::{Answer, Connection, exchange, sample};
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use fiber_contract::UnixMicros;
use fiber_local::servers::Engine;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::time::Duration;

const KEY_SECRET: (&str, &str) = ("API_KEY_SECRET", "7d7fbbd2f0b5f3b3e2a4a5d5c0d1e2f3");

fn request(method: &str, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn push_with(engine: &Engine, token: &str, body: &Value) -> Result<Answer> {
    exchange(engine, &request("POST", "/api/push", token, body))
}

/// What a command printed; an error if it failed.
fn run(engine: &Engine, arguments: &[&str]) -> Result<String> {
    let output = engine.command(arguments)?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn id_of(key: &str) -> Result<&str> {
    key.split('.').nth(1).context("a key names its id")
}

#[test]
fn a_key_pushes_for_its_own_node_until_it_is_revoked() -> Result<()> {
    let stack = Stack::with(&[KEY_SECRET])?;
    let engine = &stack.engine;
    let first = run(engine, &["key", "issue", "accra-01"])?;
    let second = run(engine, &["key", "issue", "accra-01", "--days", "1"])?;
    let third = engine.command(&["key", "issue", "accra-01"])?;
    ensure!(!third.status.success(), "a third live key was issued");
    ensure!(String::from_utf8(third.stderr)?.contains("two live keys"));

    // A list of revoked keys may not be known in the first moment.
    await_that("keys to be known", || {
        let answer = push_with(engine, &first, &sample("accra-01", 1))?;
        ensure!([202, 503].contains(&answer.status), "{answer:?}");
        Ok(answer.status == 202)
    })?;
    ensure!(push_with(engine, &second, &sample("accra-01", 2))?.status == 202);

    // Another node's sample is refused, also hidden between one's own, and nothing is stored of it.
    let hidden = json!({"node_id": "accra-01",
        "metrics": [sample("accra-01", 3), sample("tamale-01", 3), sample("accra-01", 4)]});
    for body in [&sample("accra-02", 3), &sample("accra-0", 3), &hidden] {
        let refused = push_with(engine, &first, body)?;
        ensure!(refused.status == 403, "{refused:?}");
        ensure!(refused.json()?["code"] == "FORBIDDEN", "{refused:?}");
    }
    stack.await_rows(2)?;

    // A key reads nothing, and is no key with a byte changed.
    for path in ["/api/nodes", "/api/metrics", "/metrics"] {
        let answer = exchange(engine, &request("GET", path, &first, &json!(null)))?;
        ensure!(answer.status == 403, "{path}: {answer:?}");
    }
    let node = first.replace("accra-01", "accra-02");
    for forged in [&node, &first[..first.len() - 1], &first.to_uppercase()] {
        let answer = push_with(engine, forged, &sample("accra-02", 3))?;
        ensure!(answer.status == 401, "{forged}: {answer:?}");
    }

    // On a connection that has been good all the time.
    let mut connection = Connection::open(engine)?;
    let mut again = || {
        connection.send(&request(
            "POST",
            "/api/push",
            &first,
            &sample("accra-01", 5),
        ))?;
        connection.answer()
    };
    ensure!(again()?.status == 202);
    run(engine, &["key", "revoke", id_of(&first)?])?;
    await_that("the revocation", || Ok(again()?.status == 401))?;
    ensure!(push_with(engine, &second, &sample("accra-01", 6))?.status == 202);
    let list = run(engine, &["key", "list", "accra-01"])?;
    ensure!(
        list.lines().count() == 2 && list.contains(id_of(&first)?),
        "{list}"
    );
    ensure!(!list.contains(&first) && !list.contains(&second), "{list}");

    // Room for a third now.
    run(engine, &["key", "issue", "accra-01"])?;
    Ok(())
}

#[test]
fn a_revoked_key_stays_so_over_a_start_without_the_database() -> Result<()> {
    let mut stack = Stack::with(&[KEY_SECRET])?;
    let good = run(&stack.engine, &["key", "issue", "a"])?;
    let bad = run(&stack.engine, &["key", "issue", "a"])?;
    run(&stack.engine, &["key", "revoke", id_of(&bad)?])?;
    let status = |stack: &Stack, key: &str| {
        push_with(&stack.engine, key, &sample("a", 1)).map(|answer| answer.status)
    };
    await_that("the revocation", || Ok(status(&stack, &bad)? == 401))?;

    // Nobody listens on this port.
    stack.engine.terminate(Duration::from_secs(30))?;
    stack.engine.set_env("DB_PORT", "1");
    stack.engine.restart()?;
    ensure!(status(&stack, &good)? == 202);
    ensure!(status(&stack, &bad)? == 401);

    // A new machine that knows no list: a probe is told to come again, and keeps its samples.
    stack.engine.terminate(Duration::from_secs(30))?;
    std::fs::remove_file(stack.engine.data_dir().join("revoked-keys"))?;
    stack.engine.restart()?;
    for key in [&good, &bad] {
        let answer = push_with(&stack.engine, key, &sample("a", 1))?;
        ensure!(answer.status == 503 && answer.header("retry-after").is_some());
    }
    Ok(())
}

fn pem(tag: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {tag}-----\n{body}\n-----END {tag}-----\n")
}

/// The engine's binary brings its own cryptography; the unit tests have another.
#[test]
fn tokens_of_an_issuer_have_the_role_that_they_name() -> Result<()> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let rsa_private: Pkcs8V1Der<'_> = rsa.as_der()?;
    let rsa_public: PublicKeyX509Der<'_> = rsa.public_key().as_der()?;
    let ec_public: PublicKeyX509Der<'_> = ec.public_key().as_der()?;
    let rsa_pem = pem("PUBLIC KEY", rsa_public.as_ref());
    let public = rsa_pem.clone() + &pem("PUBLIC KEY", ec_public.as_ref());
    let issuers = [
        (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(pem("PRIVATE KEY", rsa_private.as_ref()).as_bytes())?,
        ),
        (
            Algorithm::ES256,
            EncodingKey::from_ec_der(ec.to_pkcs8v1()?.as_ref()),
        ),
    ];
    let forger = (
        Algorithm::HS256,
        EncodingKey::from_secret(rsa_pem.as_bytes()),
    );
    let stack = Stack::with(&[("ENV", "staging"), ("JWT_PUBLIC_KEY", &public)])?;
    let token = |(algorithm, key): &(Algorithm, EncodingKey), role: &str, for_s: i64| {
        let exp = UnixMicros::now().0 / 1_000_000 + for_s;
        let claims = json!({"sub": "job", "role": role, "exp": exp});
        jsonwebtoken::encode(&Header::new(*algorithm), &claims, key)
    };
    let status = |method: &str, path: &str, token: &str| {
        let request = request(method, path, token, &sample("a", 1));
        exchange(&stack.engine, &request).map(|answer| answer.status)
    };
    for issuer in &issuers {
        for (role, for_s, read, pushed) in [
            ("VIEWER", 60, 200, 403),
            ("OPERATOR", 60, 200, 202),
            ("ADMIN", 60, 200, 202),
            ("NOBODY", 60, 403, 403),
            ("ADMIN", -60, 401, 401),
        ] {
            let token = token(issuer, role, for_s)?;
            let found = (
                status("GET", "/api/nodes", &token)?,
                status("POST", "/api/push", &token)?,
            );
            ensure!(
                found == (read, pushed),
                "{:?} {role} {for_s}: {found:?}",
                issuer.0
            );
        }
    }
    let forged = token(&forger, "ADMIN", 60)?;
    ensure!(status("GET", "/api/nodes", &forged)? == 401);
    ensure!(status("POST", "/api/push", &forged)? == 401);
    Ok(())
}
