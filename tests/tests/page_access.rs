//! Signing in, what a role may see and do, users and keys, in the browser.

use crate::support::client::{exchange, sample};
use crate::support::{Stack, await_that, dashboard};
use anyhow::{Context as _, Result, ensure};
use fiber_tests::browser::{Browser, with_browser};
use fiber_tests::stage::add_user;
use serde_json::{Value, json};

const KEY_SECRET: (&str, &str) = ("API_KEY_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0");

/// Outside development, where nobody is let in unknown.
fn stack() -> Result<Stack> {
    let stack = dashboard::stack(&[("ENV", "staging"), KEY_SECRET])?;
    await_that("the tables", || {
        Ok(stack.sql("SELECT to_regclass('audit_head') IS NOT NULL")? == "t")
    })?;
    for (name, role) in [("ama", "ADMIN"), ("kofi", "VIEWER")] {
        add_user(&stack.engine, name, role, dashboard::PASSWORD)?;
    }
    Ok(stack)
}

async fn sign_in(browser: &Browser, name: &str, password: &str) -> Result<()> {
    browser.fill("input[name=username]", name).await?;
    browser.fill("input[name=password]", password).await?;
    browser.click(".sign-in button[type=submit]").await
}

#[test]
fn one_signs_in_goes_back_to_the_page_and_sees_what_the_role_may() -> Result<()> {
    let stack = stack()?;
    let url = stack.engine.url();
    with_browser(async |browser| {
        browser.goto(&format!("{url}/nodes?sort=p95")).await?;
        let way_in = "/sign-in?next=%2Fnodes%3Fsort%3Dp95";
        browser.until_at(way_in).await?;
        sign_in(browser, "kofi", "a wrong password").await?;
        let trace = "document.querySelector('.problem .notice-trace')";
        browser
            .until_true("the refusal and its trace", trace)
            .await?;
        sign_in(browser, "kofi", dashboard::PASSWORD).await?;
        browser.until_at("/nodes?sort=p95").await?;
        browser
            .until_true("live", "document.querySelector('.link.live')")
            .await?;
        browser.until_text("kofi").await?;
        browser.click(".menu summary").await?;
        browser.until_text("VIEWER").await?;
        let links = "return document.querySelectorAll('.menu a').length";
        ensure!(
            browser.eval(links).await? == 0,
            "a viewer is offered an admin's pages"
        );
        browser.goto(&format!("{url}/users")).await?;
        browser
            .until_text("This page is for the role ADMIN")
            .await?;
        going_on_and_leaving(browser, &url).await
    })
}

/// An access token that ran out is replaced without a word; after signing out nothing is shown.
async fn going_on_and_leaving(browser: &Browser, url: &str) -> Result<()> {
    browser.client.delete_cookie("fiber_access").await?;
    // WebDriver's own command takes no cookie of an address without a name.
    let ran_out = json!({ "name": "fiber_access", "value": "ran.out.ago", "url": url });
    browser.devtools("Network.setCookie", ran_out).await?;
    browser.goto(&format!("{url}/ledger")).await?;
    browser.until_text("By node and hour").await?;
    browser.until_text("kofi").await?;
    browser.until_at("/ledger").await?;
    browser.click(".menu summary").await?;
    browser.click(".menu button").await?;
    let way_in = "location.pathname === '/sign-in'";
    browser.until_true("the way in", way_in).await?;
    browser.goto(&format!("{url}/ledger")).await?;
    browser.until_at("/sign-in?next=%2Fledger").await?;
    browser.check_alive().await
}

#[test]
fn an_admin_manages_users_and_keys() -> Result<()> {
    let stack = stack()?;
    let url = stack.engine.url();
    with_browser(async |browser| {
        browser.goto(&format!("{url}/users")).await?;
        browser.until_at("/sign-in?next=%2Fusers").await?;
        sign_in(browser, "ama", dashboard::PASSWORD).await?;
        browser.until_text("may sign in").await?;
        users(browser).await?;
        browser.click(".menu summary").await?;
        browser.click(".menu a[href='/keys']").await?;
        keys(browser, &stack).await?;
        browser.check_alive().await
    })
}

const ROWS: &str =
    "return [...document.querySelectorAll('.figures tbody tr')].map(row => row.innerText)";

fn rows_hold(rows: &Value, words: &[&str]) -> bool {
    rows.as_array().into_iter().flatten().any(|row| {
        let row = row.as_str().unwrap_or_default();
        words.iter().all(|word| row.contains(word))
    })
}

async fn press_in_row(browser: &Browser, name: &str, css: &str) -> Result<()> {
    let script = format!(
        "[...document.querySelectorAll('.figures tbody tr')]
            .find(row => row.innerText.startsWith({name:?})).querySelector({css:?}).click()"
    );
    browser.eval(&script).await.map(drop)
}

async fn users(browser: &Browser) -> Result<()> {
    browser.fill(".add input[type=text]", "esi").await?;
    let password = ".add input[type=password]";
    browser.fill(password, "another long password").await?;
    browser.click(".add button").await?;
    browser
        .until("the new user", ROWS, |rows| {
            rows_hold(rows, &["esi", "may sign in"])
        })
        .await?;
    press_in_row(browser, "esi", "td.acts > button").await?;
    browser
        .until("disabled", ROWS, |rows| {
            rows_hold(rows, &["esi", "disabled"])
        })
        .await?;
    // Asked first, done second.
    press_in_row(browser, "esi", ".confirm button").await?;
    browser.until_text("Remove esi?").await?;
    press_in_row(browser, "esi", ".confirm .danger").await?;
    browser
        .until("the user to be gone", ROWS, |rows| {
            rows_hold(rows, &["ama"]) && !rows_hold(rows, &["esi"])
        })
        .await
        .map(drop)
}

async fn keys(browser: &Browser, stack: &Stack) -> Result<()> {
    browser.until_at("/keys").await?;
    browser.fill(".add input[type=text]", "keyed-01").await?;
    browser.click(".add button").await?;
    let issued = "return document.querySelector('.issued')?.textContent ?? ''";
    let key = browser
        .until("the key", issued, |key| {
            key.as_str().is_some_and(|key| key.len() > 20)
        })
        .await?;
    let key = key.as_str().context("a key")?.to_owned();
    let pushed = push_with(stack, &key)?;
    ensure!(
        pushed == 202,
        "a push with the key that was shown was answered {pushed}"
    );
    browser.until_text("valid").await?;
    browser.click(".told .button:not(.primary)").await?;
    let gone = "!document.querySelector('.issued')";
    browser.until_true("the key to be gone", gone).await?;
    browser.click(".confirm button").await?;
    browser.until_text("Revoke keyed-01's key?").await?;
    browser.click(".confirm .danger").await?;
    browser
        .until("revoked", ROWS, |rows| {
            rows_hold(rows, &["keyed-01", "revoked"])
        })
        .await?;
    await_that("the key to be refused", || {
        Ok(push_with(stack, &key)? == 401)
    })
}

fn push_with(stack: &Stack, key: &str) -> Result<u16> {
    let body = sample("keyed-01", 0).to_string();
    let length = body.len();
    let request = format!(
        "POST /api/push HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    Ok(exchange(&stack.engine, request.as_bytes())?.status)
}
