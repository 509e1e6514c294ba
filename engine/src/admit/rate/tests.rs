use super::*;

const S: u64 = 1_000_000_000;
const MS: u64 = S / 1_000;

fn limiter_of(ingest_rate: f64, ingest_burst: f64) -> RateLimiter {
    let limits = RateLimit {
        global_rate: 5.0,
        ingest_rate,
        ingest_burst,
        stranger_rate: 1.0,
    };
    RateLimiter::new(limits, TrustedProxies::default(), Sharing::through_redis())
}

/// One request that is answered at once.
fn take(limiter: &RateLimiter, probe: NodeKey, now_ns: u64) -> (Quota, Result<(), OverLimit>) {
    let (quota, taken) = limiter.take_at(probe, 1, false, now_ns);
    (quota, taken.map(drop))
}

fn limiter() -> RateLimiter {
    limiter_of(10.0, 3.0)
}

#[test]
fn a_burst_passes_and_then_the_rate_rules() {
    let (limiter, probe) = (limiter(), NodeKey(1));
    for remaining in [2, 1, 0] {
        let (quota, taken) = take(&limiter, probe, S);
        assert_eq!((quota.remaining, taken), (remaining, Ok(())));
    }
    let (_, refused) = take(&limiter, probe, S);
    assert_eq!(refused, Err(OverLimit::Quota(Duration::from_millis(100))));
    assert_eq!(take(&limiter, probe, S + S / 10).1, Ok(()));
    assert!(take(&limiter, probe, S + S / 10).1.is_err());
}

#[test]
fn a_refused_request_costs_nothing_and_probes_do_not_share() {
    let limiter = limiter();
    for _ in 0..50 {
        let _ignored = take(&limiter, NodeKey(1), S).1;
    }
    assert_eq!(take(&limiter, NodeKey(1), S + S / 10).1, Ok(()));
    assert_eq!(take(&limiter, NodeKey(65), S).1, Ok(()));
}

#[test]
fn idle_buckets_are_swept_also_while_nobody_takes_their_reports() {
    let limiter = limiter();
    for probe in 0..200_000 {
        let _ignored = take(&limiter, NodeKey(probe * 64), probe.cast_unsigned() * S);
    }
    let shard = limiter.probes[0].lock().unwrap();
    assert!(shard.buckets.len() <= SHARD_BUCKETS_SWEEP);
    assert!(shard.unreported.len() <= SHARD_BUCKETS_SWEEP);
}

#[test]
fn a_report_is_made_once_and_says_what_was_admitted() {
    let (limiter, probe) = (limiter(), NodeKey(7));
    for at_ms in [0, 10, 20, 30] {
        // The fourth is refused, and nothing of it is told.
        let _ignored = take(&limiter, probe, S + at_ms * MS);
    }
    let expect = Report {
        probe,
        cost: Duration::from_millis(300),
        age: Duration::from_millis(50),
        own_ahead: Duration::from_millis(250),
    };
    assert_eq!(limiter.reports_at(9, S + 50 * MS), [expect]);
    assert_eq!(limiter.reports_at(9, S + 50 * MS), []);
}

#[test]
fn what_waited_for_redis_too_long_is_forgiven() {
    let (limiter, probe) = (limiter(), NodeKey(7));
    let _ignored = take(&limiter, probe, S);
    let [report] = limiter.reports_at(9, 3 * S)[..] else {
        panic!("one report");
    };
    assert_eq!(report.cost, Duration::ZERO);
}

#[test]
fn what_others_admitted_counts_from_when_it_was_asked_for() {
    let (limiter, probe) = (limiter(), NodeKey(1));
    assert!(take(&limiter, probe, limiter.now_ns()).1.is_ok());
    let (asked, _) = limiter.reports(9);
    assert!(take(&limiter, probe, limiter.now_ns()).1.is_ok());
    // Two requests of others, one of this engine's, and one more while the question was under way.
    limiter.learn(asked, probe, Duration::from_secs(30));
    let Err(OverLimit::Quota(wait)) = take(&limiter, probe, limiter.now_ns()).1 else {
        panic!("refused");
    };
    // The most that is believed are eight bursts of 0.3 s each.
    assert!(wait > Duration::from_millis(2_000) && wait < Duration::from_millis(2_400));
    limiter.learn(asked, probe, Duration::ZERO);
    assert!(
        take(&limiter, probe, limiter.now_ns()).1.is_err(),
        "never back"
    );
}

#[test]
fn an_answer_for_a_probe_that_was_swept_makes_no_bucket() {
    let limiter = limiter();
    let (asked, _) = limiter.reports(9);
    limiter.learn(asked, NodeKey(5), Duration::from_millis(100));
    assert!(limiter.shard(NodeKey(5)).buckets.is_empty());
}

fn instance_of(global_rate: f64) -> RateLimiter {
    let limits = RateLimit {
        global_rate,
        ingest_rate: 1e6,
        ingest_burst: 1e6,
        stranger_rate: 1.0,
    };
    RateLimiter::new(limits, TrustedProxies::default(), Sharing::OFF)
}

/// Offers of one probe for a second, evenly; how many were admitted.
fn second_of(limiter: &RateLimiter, probe: NodeKey, offers: u64, from_ns: u64) -> u64 {
    let mut admitted = 0;
    for n in 0..offers {
        let now_ns = from_ns + n * (S / offers);
        limiter.offered(now_ns);
        admitted += u64::from(take(limiter, probe, now_ns).1.is_ok());
    }
    admitted
}

#[test]
fn an_overloaded_instance_gives_one_probe_a_fifth_and_an_idle_one_all() {
    let (limiter, greedy) = (instance_of(100.0), NodeKey(1));
    assert_eq!(second_of(&limiter, greedy, 90, S), 90, "less than it takes");
    // It takes half a second of more than it takes to be overloaded.
    second_of(&limiter, greedy, 400, 2 * S);
    let admitted = second_of(&limiter, greedy, 400, 3 * S);
    assert!((19..=21).contains(&admitted), "{admitted}");
    let modest: u64 = (0..40)
        .map(|n| second_of(&limiter, NodeKey(100 + n), 2, 3 * S))
        .sum();
    assert_eq!(modest, 80);
    assert_eq!(second_of(&limiter, greedy, 50, 9 * S), 50, "over");
}

#[test]
fn in_a_crowd_a_probe_has_a_fifth_of_the_bytes_until_they_are_answered() {
    let (limiter, greedy) = (instance_of(1e6), NodeKey(1));
    let fifth = crate::limits::BODIES_IN_FLIGHT_BYTES_MAX / PROBE_SHARE;
    let take = |bytes, crowded| limiter.take_at(greedy, bytes, crowded, S).1;
    let first = take(fifth - 10, true).unwrap();
    assert!(take(11, true).is_err());
    let more = take(11, false).unwrap();
    drop(first);
    let second = take(fifth - 11, true).unwrap();
    assert_eq!(
        take(1, true).unwrap_err(),
        OverLimit::Share(Duration::from_secs(1))
    );
    drop((more, second));
    assert!(take(2 * fifth, true).is_ok(), "one alone always fits");
}

#[test]
fn a_request_refused_for_its_probes_sake_leaves_the_instance_to_others() {
    let limiter = RateLimiter::new(
        RateLimit {
            global_rate: 2.0,
            ingest_rate: 1e-3,
            ingest_burst: 1.0,
            stranger_rate: 1.0,
        },
        TrustedProxies::default(),
        Sharing::OFF,
    );
    for nth in 0..20 {
        assert!(limiter.take_global().is_ok(), "{nth}");
        let (_, taken) = limiter.take(NodeKey(1), 1, false);
        assert_eq!(taken.is_ok(), nth == 0);
    }
}
