//! Quotas: shared by engines through Redis, kept without it, and bound to whom they belong.

use crate::support::client::{Answer, Connection, exchange, get, ingest, post, push, sample};
use crate::support::{DRIVERS, Stack, await_that, shared};
use anyhow::{Result, ensure};
use fiber_local::servers::{Engine, Redis};
use std::thread;
use std::time::{Duration, Instant};

/// A lost Redis is noticed after 25 ms, a silent one after 75 ms; the rest is for a loaded machine.
const NOTICED: Duration = Duration::from_millis(150);

fn policy_is(engine: &Engine, policy: &str) -> Result<bool> {
    Ok(get(engine, "/api/status")?["rate_limit_policy"] == policy)
}

fn await_policy(engine: &Engine, policy: &str) -> Result<()> {
    await_that(&format!("the policy {policy}"), || {
        policy_is(engine, policy)
    })
}

/// Two engines on one database and one Redis.
fn two_engines(redis: &Redis, rate: &str, burst: &str) -> Result<[Stack; 2]> {
    let start = || {
        let stack = Stack::with(&[
            ("REDIS_URL", &redis.url()),
            ("RATE_LIMIT_INGEST_RATE", rate),
            ("RATE_LIMIT_INGEST_BURST", burst),
        ])?;
        await_policy(&stack.engine, "distributed")?;
        anyhow::Ok(stack)
    };
    Ok([start()?, start()?])
}

/// How many of the pushes were admitted, and whether all answers said `distributed`.
fn greedy(engine: &Engine, until: Instant) -> Result<(u32, u32, bool)> {
    let mut connection = Connection::open(engine)?;
    let (mut admitted, mut sent, mut shared) = (0, 0, true);
    while Instant::now() < until {
        let body = sample("greedy", 0).to_string();
        connection.send(&post(engine, "/api/push", &[], body.as_bytes()))?;
        let answer = connection.answer()?;
        ensure!([202, 429].contains(&answer.status), "{answer:?}");
        sent += 1;
        admitted += u32::from(answer.status == 202);
        shared &= answer.header("x-ratelimit-policy") == Some("distributed");
    }
    Ok((admitted, sent, shared))
}

/// Each alone would admit the whole quota.
#[test]
fn two_engines_together_admit_one_quota() -> Result<()> {
    const RATE: f64 = 40.0;
    const BURST: f64 = 20.0;
    let redis = Redis::start_private()?;
    let [one, two] = two_engines(&redis, "40", "20")?;
    let start = Instant::now();
    let until = start + Duration::from_secs(4);
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(|| greedy(&two.engine, until));
        let first = greedy(&one.engine, until);
        (first, other.join())
    });
    let (first, second) = (first?, second.expect("no panic")?);
    let quota = BURST + RATE * start.elapsed().as_secs_f64();
    // One burst more, if all of it comes before the first exchange. When this machine was too busy for
    // an exchange in 50 ms, the engines counted alone for a moment; apart they would take it twice.
    let overshoot = if first.2 && second.2 {
        BURST
    } else {
        0.5 * quota
    };
    let admitted = f64::from(first.0 + second.0);
    ensure!(
        admitted <= quota + overshoot,
        "{admitted} of {} and {} pushes, the quota is {quota:.0}",
        first.1,
        second.1
    );
    // A quota, not a wall: what it allows gets through if it was asked for.
    let asked = f64::from(first.1.min(second.1));
    ensure!(
        admitted >= 0.5 * quota.min(asked),
        "only {admitted} of {quota:.0}"
    );
    Ok(())
}

/// What Redis forgets, each engine still knows of itself, and tells again.
#[test]
fn a_flushed_redis_gives_nobody_a_new_quota() -> Result<()> {
    let redis = Redis::start_private()?;
    let [one, two] = two_engines(&redis, "0.02", "40")?;
    for age in 0..40 {
        ensure!(push(&one.engine, &sample("n", age))?.status == 202);
    }
    ensure!(push(&one.engine, &sample("n", 50))?.status == 429);
    ensure!(redis.command("FLUSHALL")? == "+OK");
    ensure!(push(&one.engine, &sample("n", 51))?.status == 429);
    await_that("the bucket in Redis again", || {
        // Not the keys of the engines, which begin with "engine".
        Ok(redis.command("KEYS fiber:limit:{probe}:[0-9a-f][0-9a-f][0-9a-f]*")? == "*1")
    })?;
    // The other engine has never heard of this probe, and asks.
    let mut admitted = 0;
    while push(&two.engine, &sample("n", admitted))?.status == 202 {
        admitted += 1;
        ensure!(admitted < 30, "the flushed bucket was taken for a new one");
        thread::sleep(Duration::from_millis(20));
    }
    ensure!(policy_is(&one.engine, "distributed")?);
    Ok(())
}

/// Breaks Redis, sees the policy change with the next request, and mends it.
fn outage(
    break_it: impl FnOnce(&mut Redis) -> Result<()>,
    mend_it: impl FnOnce(&mut Redis) -> Result<()>,
) -> Result<()> {
    let mut redis = Redis::start_private()?;
    let stack = Stack::with(&[("REDIS_URL", &redis.url())])?;
    await_policy(&stack.engine, "distributed")?;
    let policy_of_push = |age| {
        let answer = push(&stack.engine, &sample("n", age))?;
        ensure!(answer.status == 202, "{answer:?}");
        Ok(answer.header("x-ratelimit-policy").unwrap_or("").to_owned())
    };
    break_it(&mut redis)?;
    policy_of_push(0)?;
    thread::sleep(NOTICED);
    let policy = policy_of_push(1)?;
    ensure!(policy == "local", "the second request said {policy:?}");
    for age in 2..20 {
        ensure!(policy_of_push(age)? == "local");
    }
    mend_it(&mut redis)?;
    let mut age = 20;
    await_that("a distributed answer", || {
        age += 1;
        Ok(policy_of_push(age)? == "distributed")
    })
}

#[test]
fn a_killed_redis_makes_the_policy_local_until_it_is_back() -> Result<()> {
    outage(Redis::kill, Redis::start)
}

#[test]
fn a_frozen_redis_makes_the_policy_local_until_it_goes_on() -> Result<()> {
    outage(|redis| redis.pause(), |redis| redis.resume())
}

/// A Redis that answers and takes no writes shares nothing.
#[test]
fn a_redis_that_takes_no_writes_counts_as_away() -> Result<()> {
    outage(
        |redis| {
            redis.command("CONFIG SET maxmemory 1").map(drop)?;
            redis
                .command("CONFIG SET maxmemory-policy noeviction")
                .map(drop)
        },
        |redis| redis.command("CONFIG SET maxmemory 0").map(drop),
    )
}

/// What somebody wrote into the keys stops no probe for longer than a few bursts.
#[test]
fn a_broken_key_in_redis_is_replaced() -> Result<()> {
    let redis = Redis::start_private()?;
    let stack = Stack::with(&[("REDIS_URL", &redis.url())])?;
    await_policy(&stack.engine, "distributed")?;
    ensure!(push(&stack.engine, &sample("n", 0))?.status == 202);
    let key = "fiber:limit:{probe}:0000000000000001";
    ensure!(redis.command(&format!("LPUSH {key} x"))?.starts_with(':'));
    for age in 1..10 {
        ensure!(push(&stack.engine, &sample("n", age))?.status == 202);
        thread::sleep(Duration::from_millis(30));
    }
    policy_is(&stack.engine, "distributed").map(drop)
}

const FIELDS: [&str; 4] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-policy",
];

fn tells_quota(answer: &Answer, expect: u16) -> Result<()> {
    ensure!(answer.status == expect, "{expect}: {answer:?}");
    for field in FIELDS {
        let value = answer.header(field).unwrap_or_default();
        let is_word = field.ends_with("policy");
        let good = if is_word {
            ["local", "distributed"].contains(&value)
        } else {
            value.parse::<u64>().is_ok()
        };
        ensure!(good, "{field}: {value:?} in {answer:?}");
    }
    Ok(())
}

/// On the cores, and on a connection that the query side has.
#[test]
fn every_ingest_answer_tells_the_quota() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let engine = &stack.engine;
        let good = sample("n", 1).to_string();
        let mut bad = sample("n", 1);
        bad["latency_ms"] = "fast".into();
        let bad = bad.to_string();
        let with =
            |path: &str, fields: &[&str], body: &str| post(engine, path, fields, body.as_bytes());
        let no_token = "POST /api/push HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        let xml = String::from_utf8(with("/api/push", &[], &good))?
            .replace("application/json", "text/xml");
        let cases = [
            (with("/api/push", &[], &good), 202),
            (no_token.as_bytes().to_vec(), 401),
            (xml.into_bytes(), 415),
            (with("/api/push", &[], &bad), 422),
            (with("/api/push", &[], "{"), 400),
            (with("/api/ingest", &[], &good), 400),
        ];
        for first in ["", "GET /api/openapi.json HTTP/1.1\r\nHost: e\r\n\r\n"] {
            for (request, expect) in &cases {
                let mut connection = Connection::open(engine)?;
                if !first.is_empty() {
                    connection.send(first.as_bytes())?;
                    ensure!(connection.answer()?.status == 200);
                }
                connection.send(request)?;
                tells_quota(&connection.answer()?, *expect)?;
            }
        }
        let repeated = with(
            "/api/ingest",
            &["X-Batch-ID: 0190a7a0-0000-7000-9000-00000000beef"],
            &format!(r#"{{"node_id":"n","metrics":[{good}]}}"#),
        );
        for expect in [202, 200] {
            tells_quota(&exchange(engine, &repeated)?, expect)?;
        }
        tells_quota(&ingest(engine, "n", &[sample("n", 2)])?, 202)?;
    }
    Ok(())
}

/// With a bad token, from behind a proxy; `first` makes it a connection of the query side.
fn knock(engine: &Engine, target: &str, forwarded_for: &[&str]) -> Result<u16> {
    let mut head = format!(
        "{target} HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer guess\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\n"
    );
    for line in forwarded_for {
        head.push_str(&format!("X-Forwarded-For: {line}\r\n"));
    }
    let answer = exchange(engine, format!("{head}\r\n{{}}").as_bytes())?;
    if answer.status == 429 {
        let wait: u64 = answer.header("retry-after").unwrap_or("0").parse()?;
        ensure!(wait >= 1, "{answer:?}");
    }
    Ok(answer.status)
}

/// One stranger in 1,000 s, after a burst of two: 50 s worth of it.
const STRANGERS: (&str, &str) = ("RATE_LIMIT_STRANGER_RATE", "0.04");

#[test]
fn strangers_are_counted_by_the_last_hop_that_is_not_ours() -> Result<()> {
    for target in ["POST /api/push", "GET /api/nodes"] {
        let stack = Stack::with(&[
            STRANGERS,
            ("FIBER_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8"),
        ])?;
        let knock = |forwarded_for: &[&str]| knock(&stack.engine, target, forwarded_for);
        ensure!(knock(&["203.0.113.1"])? == 401);
        ensure!(knock(&["1.1.1.1, 203.0.113.1"])? == 401);
        // However it dresses up, it is the same one; and a hop of ours in between changes nothing.
        for lines in [
            &["203.0.113.1"][..],
            &["2.2.2.2, 203.0.113.1"],
            &["9.9.9.9", "203.0.113.1, 10.1.2.3"],
            &["junk, 203.0.113.1:4711"],
        ] {
            ensure!(knock(lines)? == 429, "{target} {lines:?}");
        }
        ensure!(
            knock(&["203.0.113.1, 203.0.113.2"])? == 401,
            "another client"
        );
        // A probe with a token is not their affair.
        let body = sample("n", 0).to_string();
        let good = post(
            &stack.engine,
            "/api/push",
            &["X-Forwarded-For: 203.0.113.1"],
            body.as_bytes(),
        );
        ensure!(exchange(&stack.engine, &good)?.status == 202);
    }
    Ok(())
}

#[test]
fn without_trusted_proxies_nobody_can_name_another_address() -> Result<()> {
    let stack = Stack::with(&[STRANGERS])?;
    let mut statuses = Vec::new();
    for hop in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        statuses.push(knock(&stack.engine, "POST /api/push", &[hop])?);
    }
    ensure!(statuses == [401, 401, 429], "{statuses:?}");
    Ok(())
}

/// The cap of the instance is its own: another engine with the same Redis does not feel it.
#[test]
fn the_instances_cap_is_local() -> Result<()> {
    let start = || {
        Stack::with(&[
            ("REDIS_URL", &shared().redis.url()),
            ("RATE_LIMIT_GLOBAL_MAX", "3"),
        ])
    };
    let (one, two) = (start()?, start()?);
    // Twelve probes: one alone would be told that it has its share.
    let statuses = (0..12).map(|n| Ok(push(&one.engine, &sample(&format!("cap-{n}"), 0))?.status));
    let statuses = statuses.collect::<Result<Vec<_>>>()?;
    ensure!(
        statuses[0] == 202 && statuses.contains(&503),
        "{statuses:?}"
    );
    ensure!(push(&two.engine, &sample("cap-0", 0))?.status == 202);
    Ok(())
}

/// The greedy one takes what it can on eight connections; forty others want a third of what the instance
/// takes, together.
#[test]
fn a_greedy_probe_gets_a_fifth_of_an_overloaded_instance() -> Result<()> {
    const CAP: f64 = 50.0;
    let stack = Stack::with(&[("RATE_LIMIT_GLOBAL_MAX", "50")])?;
    let engine = &stack.engine;
    let start = Instant::now();
    let until = start + Duration::from_secs(5);
    let (greedy, modest) = thread::scope(|scope| {
        let greedy: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| count(engine, until, || "greedy".to_owned(), Duration::ZERO)))
            .collect();
        let modest: Vec<_> = (0..4)
            .map(|lane| {
                // Ten probes take turns on one connection.
                let mut turn = 0;
                let name = move || {
                    turn += 1;
                    format!("modest-{lane}-{}", turn % 10)
                };
                scope.spawn(move || count(engine, until, name, Duration::from_millis(250)))
            })
            .collect();
        let sum = |lanes: Vec<thread::ScopedJoinHandle<'_, Result<[u32; 2]>>>| -> Result<[u32; 2]> {
            lanes.into_iter().try_fold([0, 0], |sum, lane| {
                let [admitted, refused] = lane.join().expect("no panic")?;
                Ok([sum[0] + admitted, sum[1] + refused])
            })
        };
        (sum(greedy), sum(modest))
    });
    let (greedy, modest) = (greedy?, modest?);
    let offered_s = start.elapsed().as_secs_f64();
    // Until half a second's worth more was offered than the instance takes, nobody is overloaded.
    let most = CAP / 2.0 + CAP / 5.0 * (offered_s + 1.0);
    ensure!(
        f64::from(greedy[0]) <= most,
        "the greedy probe got {greedy:?} in {offered_s:.1} s, at most {most:.0} are its share"
    );
    ensure!(
        modest[1] == 0 && modest[0] > 0,
        "the modest ones got {modest:?}"
    );
    // Only an overload shows the share: the greedy one alone must have offered more than all.
    ensure!(
        f64::from(greedy[0] + greedy[1]) > 2.0 * CAP * offered_s,
        "{greedy:?}"
    );
    let refused = fiber_local::http::get(&format!("{}/metrics", engine.url()))?;
    let text = String::from_utf8(refused.body)?;
    ensure!(!text.contains("fiber_ingest_refused_by_share_total 0\n"));
    Ok(())
}

/// Pushes one after the other; how many were admitted, and refused.
fn count(
    engine: &Engine,
    until: Instant,
    mut name: impl FnMut() -> String,
    pause: Duration,
) -> Result<[u32; 2]> {
    let mut connection = Connection::open(engine)?;
    let mut counts = [0, 0];
    while Instant::now() < until {
        let body = sample(&name(), 0).to_string();
        connection.send(&post(engine, "/api/push", &[], body.as_bytes()))?;
        let status = connection.answer()?.status;
        ensure!([202, 429, 503].contains(&status), "{status}");
        counts[usize::from(status != 202)] += 1;
        thread::sleep(pause);
    }
    Ok(counts)
}
