//! Signing in, going on and signing out.

use super::{
    OUR_PAGE, PASSWORD, add, ask, browser, cookie, login, set_cookie, sign_in, stack, with_token,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

#[test]
fn a_wrong_password_and_a_name_that_nobody_has_are_one_answer() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "Ama@Example.org", "OPERATOR")?;
    ensure!(ask(engine, "GET", "/api/auth/me", &[], &json!(null))?.status == 401);
    ensure!(ask(engine, "GET", "/api/nodes", &[], &json!(null))?.status == 401);

    // A name that nobody has, a wrong password: one answer.
    let strip = |answer: super::Answer| -> Result<Value> {
        ensure!(answer.status == 401, "{answer:?}");
        let mut body = answer.json()?;
        body["trace_id"] = json!(null);
        Ok(body)
    };
    let wrong = strip(login(engine, "ama@example.org", "a long walk to the seA")?)?;
    ensure!(wrong == strip(login(engine, "nobody", PASSWORD)?)?);
    ensure!(wrong == strip(login(engine, "'; DROP TABLE users", PASSWORD)?)?);
    ensure!(wrong == strip(login(engine, "ama@example.org", &"x".repeat(5_000))?)?);
    Ok(())
}

#[test]
fn a_person_signs_in_and_out() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "Ama@Example.org", "OPERATOR")?;
    let answer = login(engine, "AMA@example.org", PASSWORD)?;
    ensure!(answer.status == 200, "{answer:?}");
    for (name, path) in [("fiber_access", "/"), ("fiber_refresh", "/api/auth")] {
        let field = set_cookie(&answer, name)?;
        for part in [
            &format!("; Path={path};"),
            "; HttpOnly",
            "; SameSite=Strict",
            "; Secure",
        ] {
            ensure!(field.contains(part), "{field} has no {part}");
        }
    }
    let session = answer.json()?["data"].clone();
    ensure!(
        (590..=600).contains(&session["expires_in_s"].as_u64().unwrap_or(0)),
        "{session}"
    );
    ensure!(
        session["me"] == json!({"name": "ama@example.org", "role": "OPERATOR", "anonymous": false})
    );
    let ama = browser(engine, &answer)?;
    ensure!(session["access_token"] == json!(ama.access));

    let me = ama.asks("GET", "/api/auth/me", &json!(null))?;
    ensure!(me.json()?["data"] == session["me"], "{me:?}");
    ensure!(ama.asks("GET", "/api/nodes", &json!(null))?.status == 200);
    ensure!(with_token(engine, "GET", "/api/nodes", &ama.access, &json!(null))?.status == 200);

    // Out, and nothing of it is left.
    let again = sign_in(engine, "ama@example.org")?;
    let cookies = format!(
        "Cookie: fiber_access={}; fiber_refresh={}",
        ama.access, ama.refresh
    );
    let out = ask(
        engine,
        "POST",
        "/api/auth/logout",
        &[&cookies, OUR_PAGE],
        &json!(null),
    )?;
    ensure!(
        out.status == 204 && cookie(&out, "fiber_access")?.is_empty(),
        "{out:?}"
    );
    ensure!(set_cookie(&out, "fiber_refresh")?.contains("Max-Age=0"));
    ensure!(ama.me()? == 401 && ama.refreshes()?.status == 401);
    ensure!(with_token(engine, "GET", "/api/nodes", &ama.access, &json!(null))?.status == 401);
    ensure!(again.me()? == 200, "another browser of the same user");
    let out = ask(
        engine,
        "POST",
        "/api/auth/logout",
        &[OUR_PAGE],
        &json!(null),
    )?;
    ensure!(out.status == 204, "who is not signed in: {out:?}");
    Ok(())
}

#[test]
fn each_kind_of_token_is_good_for_its_own_use_only() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let ama = sign_in(engine, "root")?;
    let federation = engine.federation_secret().to_owned();
    for (path, field) in [
        (
            "/api/nodes",
            format!("Authorization: Bearer {}", ama.refresh),
        ),
        (
            "/api/nodes",
            format!("Cookie: fiber_access={}", ama.refresh),
        ),
        ("/api/nodes", format!("Cookie: fiber_access={federation}")),
        (
            "/api/nodes",
            format!("Cookie: fiber_refresh={}", ama.access),
        ),
        (
            "/api/nodes",
            format!("Cookie: fiber_access={0}; fiber_access={0}", ama.access),
        ),
        ("/api/nodes", format!("Authorization: Basic {}", ama.access)),
    ] {
        let answer = ask(engine, "GET", path, &[&field], &json!(null))?;
        ensure!(answer.status == 401, "{field}: {answer:?}");
    }
    let crossed = format!("Cookie: fiber_refresh={}", ama.access);
    let answer = ask(
        engine,
        "POST",
        "/api/auth/refresh",
        &[&crossed, OUR_PAGE],
        &json!(null),
    )?;
    ensure!(answer.status == 401, "{answer:?}");
    // A bad token beside a good cookie is not overlooked.
    let fields = [
        "Authorization: Bearer x",
        &format!("Cookie: fiber_access={}", ama.access),
    ];
    ensure!(ask(engine, "GET", "/api/nodes", &fields, &json!(null))?.status == 401);
    Ok(())
}

#[test]
fn a_used_refresh_token_ends_the_session_and_two_tabs_do_not() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let first = sign_in(engine, "root")?;
    let elsewhere = sign_in(engine, "root")?;

    // Tabs that refresh at once with the same token, and go on with what each got.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..6).map(|_| scope.spawn(|| first.refreshes())).collect();
        tabs.into_iter()
            .map(|tab| tab.join().unwrap())
            .collect::<Result<_>>()
    })?;
    let tabs: Vec<_> = answers
        .iter()
        .map(|answer| browser(engine, answer))
        .collect::<Result<_>>()?;
    for tab in &tabs {
        ensure!(tab.me()? == 200 && tab.refresh != first.refresh);
    }
    let one = browser(engine, &tabs[0].refreshes()?)?;
    let other = browser(engine, &tabs[1].refreshes()?)?;
    ensure!(one.me()? == 200 && other.me()? == 200);
    ensure!(first.me()? == 200, "the first access token has its time");

    // An hour later the one that was left over is as used as any: somebody has a copy.
    stack.sql("UPDATE login_sessions SET rotated_at = rotated_at - interval '1 hour'")?;
    let stolen = tabs[2].refreshes()?;
    ensure!(stolen.status == 401 && set_cookie(&stolen, "fiber_access")?.contains("Max-Age=0"));
    for tab in [&first, &tabs[0], &one, &other] {
        ensure!(
            tab.me()? == 401 && tab.refreshes()?.status == 401,
            "the family ends"
        );
    }
    ensure!(
        elsewhere.me()? == 200 && elsewhere.refreshes()?.status == 200,
        "and no other"
    );
    let why = stack.sql("SELECT ended_why FROM login_sessions WHERE ended_at IS NOT NULL")?;
    ensure!(why == "reused", "{why}");

    // Two generations ago is a theft at once.
    let second = browser(engine, &sign_in(engine, "root")?.refreshes()?)?;
    let third = browser(engine, &second.refreshes()?)?;
    let fourth = browser(engine, &third.refreshes()?)?;
    ensure!(second.refreshes()?.status == 401);
    ensure!(fourth.me()? == 401 && fourth.refreshes()?.status == 401);

    // Only digests are kept, and a session has an end.
    let stored = stack.sql("SELECT string_agg(t::text, '') FROM refresh_tokens t")?;
    ensure!(!stored.contains(&fourth.refresh[4..]) && !stored.is_empty());
    let last = sign_in(engine, "root")?;
    stack.sql("UPDATE login_sessions SET expires_at = now() WHERE ended_at IS NULL")?;
    ensure!(last.refreshes()?.status == 401);
    for bad in ["fr1.00", "", "x"] {
        let cookie = format!("Cookie: fiber_refresh={bad}");
        let answer = ask(
            engine,
            "POST",
            "/api/auth/refresh",
            &[&cookie, OUR_PAGE],
            &json!(null),
        )?;
        ensure!(answer.status == 401, "{bad:?}: {answer:?}");
    }
    Ok(())
}

#[test]
fn another_sites_page_can_do_nothing() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    let root = sign_in(engine, "root")?;
    let cookies = format!(
        "Cookie: fiber_access={}; fiber_refresh={}",
        root.access, root.refresh
    );
    let new = json!({"name": "mallory", "password": PASSWORD, "role": "ADMIN"});
    let signs_in = json!({"name": "root", "password": PASSWORD});
    for page in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: https://evil.example",
        "Origin: null",
        "X-Nothing: no word of where it comes from",
    ] {
        for (method, path, body) in [
            ("POST", "/api/users", &new),
            ("DELETE", "/api/users/root", &json!(null)),
            ("POST", "/api/auth/refresh", &json!(null)),
            ("POST", "/api/auth/logout", &json!(null)),
            ("POST", "/api/auth/login", &signs_in),
        ] {
            let answer = ask(engine, method, path, &[&cookies, page], body)?;
            ensure!(answer.status == 403, "{method} {path} {page}: {answer:?}");
            ensure!(set_cookie(&answer, "fiber_access").is_err());
        }
    }
    ensure!(root.me()? == 200 && stack.sql("SELECT count(*) FROM users")? == "1");
    // A form cannot say that it is JSON.
    let form = "POST /api/auth/login HTTP/1.1\r\nHost: e\r\nContent-Type: text/plain\r\n\
                Content-Length: 2\r\n\r\n{}";
    ensure!(crate::support::client::exchange(engine, form.as_bytes())?.status == 415);
    // Through a proxy and from our own page, by name.
    let ours = [
        "Origin: https://ops.example",
        "X-Forwarded-Host: ops.example",
        &cookies,
    ];
    ensure!(ask(engine, "POST", "/api/auth/refresh", &ours, &json!(null))?.status == 200);
    Ok(())
}
