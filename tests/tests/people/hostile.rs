//! Guesses, forgeries, and tokens where they do not belong.

use super::{
    KEY_SECRET, OUR_PAGE, PASSWORD, add, ask, browser, cookie, login, sign_in, stack, with_token,
};
use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::hmac;
use fiber_contract::{UnixMicros, hex};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

fn mac(key: &[u8], text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hex::encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// As the engine derives it; written down a second time, so that a change of it shows.
fn derived(secret: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let purpose = b"fiberstack access token of a user, version 1";
    hmac::sign(&key, purpose).as_ref().to_vec()
}

/// What a forger may try who holds a viewer's token, and the status that each gets.
fn forgeries(
    access: &str,
    root_id: &str,
    federation: &str,
) -> Result<Vec<(&'static str, String, u16)>> {
    let (text, signature) = access.rsplit_once('.').context("a signature")?;
    let parts: Vec<&str> = text.split('.').collect();
    let [_, user, session, epoch, _] = parts[..] else {
        anyhow::bail!("{text}");
    };
    let in_s = |s: i64| UnixMicros::now().0 / 1_000_000 + s;
    let of = |user: &str, epoch: &str, for_s: i64| {
        format!("fu1.{user}.{session}.{epoch}.{}", in_s(for_s))
    };
    let right = derived(KEY_SECRET.1);
    let signed = |key: &[u8], text: &str| format!("{text}.{}", mac(key, text));
    let admin = of(root_id, "1", 60);
    let claims = json!({"sub": "root", "role": "ADMIN", "exp": in_s(60)});
    let secret = EncodingKey::from_secret(KEY_SECRET.1.as_bytes());
    let hs256 = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret)?;
    let later = of(user, epoch, 999_999);
    let none = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiQURNSU4ifQ.";
    Ok(vec![
        (
            "what the engine would sign",
            signed(&right, &of(user, epoch, 60)),
            200,
        ),
        ("expired", signed(&right, &of(user, epoch, -1)), 401),
        ("of a password ago", signed(&right, &of(user, "0", 60)), 401),
        ("of nobody", signed(&right, &of(session, "1", 60)), 401),
        ("another's id", format!("{admin}.{signature}"), 401),
        ("a later end", format!("{later}.{signature}"), 401),
        (
            "by the secret itself",
            signed(KEY_SECRET.1.as_bytes(), &admin),
            401,
        ),
        (
            "by the federation's",
            signed(federation.as_bytes(), &admin),
            401,
        ),
        (
            "by its derivation",
            signed(&derived(federation), &admin),
            401,
        ),
        (
            "a key by the tokens' key",
            signed(&right, &format!("fk1.{user}.0.a")),
            401,
        ),
        ("no signature", admin.clone(), 401),
        ("an empty one", format!("{admin}."), 401),
        ("HS256 with the secret", hs256, 401),
        ("no algorithm", none.to_owned(), 401),
        ("upper case", access.to_uppercase(), 401),
    ])
}

#[test]
fn a_forged_an_expired_and_a_transplanted_token_are_none() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "vera", "VIEWER")?;
    let access = sign_in(engine, "vera")?.access;
    let id = "SELECT replace(user_id::text, '-', '') FROM users WHERE name = 'root'";
    let secret = engine.federation_secret();
    for (what, token, expect) in forgeries(&access, &stack.sql(id)?, secret)? {
        let answer = with_token(engine, "GET", "/api/nodes", &token, &json!(null))?;
        ensure!(answer.status == expect, "{what}: {answer:?}");
        let field = format!("Cookie: fiber_access={token}");
        let answer = ask(engine, "GET", "/api/nodes", &[&field], &json!(null))?;
        ensure!(answer.status == expect, "{what} as a cookie: {answer:?}");
    }
    // The other way round: a token's signature makes no key.
    let key = "fk1.00000000000040008000000000000001.0.a";
    let posing = format!("{key}.{}", mac(&derived(KEY_SECRET.1), key));
    let sample = crate::support::client::sample("a", 1);
    ensure!(with_token(engine, "POST", "/api/push", &posing, &sample)?.status == 401);
    Ok(())
}

#[test]
fn a_secret_that_is_replaced_lets_people_stay() -> Result<()> {
    let mut stack = stack()?;
    let access = sign_in(&stack.engine, "root")?.access;
    let refresh = sign_in(&stack.engine, "root")?.refresh;
    let mut restart = |current: &str, previous: &str| -> Result<u16> {
        stack.engine.terminate(std::time::Duration::from_secs(30))?;
        stack.engine.set_env("API_KEY_SECRET", current);
        stack.engine.set_env("API_KEY_SECRET_PREVIOUS", previous);
        stack.engine.restart()?;
        let mut status = 503;
        crate::support::await_that("the list of users", || {
            status = with_token(&stack.engine, "GET", "/api/nodes", &access, &json!(null))?.status;
            Ok(status != 503)
        })?;
        Ok(status)
    };
    ensure!(restart("the next secret of this engine", KEY_SECRET.1)? == 200);
    ensure!(restart("the next secret of this engine", "")? == 401);
    // The session itself is in the database.
    let field = format!("Cookie: fiber_refresh={refresh}");
    let answer = ask(
        &stack.engine,
        "POST",
        "/api/auth/refresh",
        &[&field, OUR_PAGE],
        &json!(null),
    )?;
    ensure!(browser(&stack.engine, &answer)?.me()? == 200);
    Ok(())
}

#[test]
fn guesses_are_slowed_down_and_told_nothing() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    for name in ["ama", "kofi"] {
        add(engine, name, "VIEWER")?;
    }
    for name in ["ama", "nobody"] {
        for guess in 0..5 {
            let answer = login(engine, name, &format!("a wrong guess, number {guess}"))?;
            ensure!(answer.status == 401, "{name} {guess}: {answer:?}");
        }
        // Also the right one, which the guesser must not learn to be right.
        let answer = login(engine, name, PASSWORD)?;
        ensure!(answer.status == 429, "{name}: {answer:?}");
        let wait: u64 = answer
            .header("retry-after")
            .context("Retry-After")?
            .parse()?;
        ensure!((1..=31).contains(&wait), "{wait}");
    }
    ensure!(
        sign_in(engine, "kofi")?.me()? == 200,
        "others are not held up"
    );
    let failed = stack.sql(
        "SELECT string_agg(DISTINCT actor || ' ' || detail::text, ' ') FROM audit_log
         WHERE action = 'login.failed'",
    )?;
    let expect =
        r#"nobody {"address": "127.0.0.1"} nobody {"name": "ama", "address": "127.0.0.1"}"#;
    ensure!(failed == expect, "{failed}");
    Ok(())
}

#[test]
fn a_session_that_was_planted_becomes_nobody_elses() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "mallory", "VIEWER")?;
    let mallory = sign_in(engine, "mallory")?;
    let planted = format!(
        "Cookie: fiber_access={}; fiber_refresh={}",
        mallory.access, mallory.refresh
    );
    let body = json!({"name": "root", "password": PASSWORD});
    let answer = ask(
        engine,
        "POST",
        "/api/auth/login",
        &[&planted, OUR_PAGE],
        &body,
    )?;
    let root = browser(engine, &answer)?;
    let session = |access: &str| access.split('.').nth(2).map(str::to_owned);
    ensure!(session(&root.access) != session(&mallory.access));
    let me = mallory.asks("GET", "/api/auth/me", &json!(null))?.json()?;
    ensure!(me["data"]["name"] == "mallory", "{me}");
    ensure!(cookie(&mallory.refreshes()?, "fiber_access")? != root.access);
    Ok(())
}

#[test]
fn development_lets_anybody_look_and_nobody_change() -> Result<()> {
    let stack = super::with_users(&[("ENV", "dev"), KEY_SECRET])?;
    let engine = &stack.engine;
    let me = ask(engine, "GET", "/api/auth/me", &[], &json!(null))?.json()?["data"].clone();
    ensure!(
        me == json!({"name": "anonymous", "role": "VIEWER", "anonymous": true}),
        "{me}"
    );
    for (method, path) in [
        ("GET", "/api/users"),
        ("POST", "/api/keys"),
        ("GET", "/api/audit"),
    ] {
        let answer = ask(engine, method, path, &[], &json!({}))?;
        ensure!(
            answer.status == 401,
            "so that the page offers to sign in: {answer:?}"
        );
    }
    // Who was signed in and has only the refresh token left is not taken for nobody.
    let root = sign_in(engine, "root")?;
    let field = format!("Cookie: fiber_refresh={}", root.refresh);
    ensure!(ask(engine, "GET", "/api/auth/me", &[&field], &json!(null))?.status == 401);
    let answer = root.refreshes()?;
    ensure!(
        !super::set_cookie(&answer, "fiber_access")?.contains("Secure"),
        "plain HTTP"
    );
    Ok(())
}
