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

fn limiter() -> RateLimiter {
    limiter_of(10.0, 3.0)
}

#[test]
fn a_burst_passes_and_then_the_rate_rules() {
    let (limiter, probe) = (limiter(), NodeKey(1));
    for remaining in [2, 1, 0] {
        let (quota, taken) = limiter.take_at(probe, S);
        assert_eq!((quota.remaining, taken), (remaining, Ok(())));
    }
    let (_, refused) = limiter.take_at(probe, S);
    assert_eq!(refused, Err(Duration::from_millis(100)));
    assert_eq!(limiter.take_at(probe, S + S / 10).1, Ok(()));
    assert!(limiter.take_at(probe, S + S / 10).1.is_err());
}

#[test]
fn a_refused_request_costs_nothing_and_probes_do_not_share() {
    let limiter = limiter();
    for _ in 0..50 {
        let _ignored: Result<(), Duration> = limiter.take_at(NodeKey(1), S).1;
    }
    assert_eq!(limiter.take_at(NodeKey(1), S + S / 10).1, Ok(()));
    assert_eq!(limiter.take_at(NodeKey(65), S).1, Ok(()));
}

#[test]
fn idle_buckets_are_swept_also_while_nobody_takes_their_reports() {
    let limiter = limiter();
    for probe in 0..200_000 {
        let _ignored: Result<(), Duration> = limiter
            .take_at(NodeKey(probe * 64), probe.cast_unsigned() * S)
            .1;
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
        let _ignored = limiter.take_at(probe, S + at_ms * MS);
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
    let _ignored = limiter.take_at(probe, S);
    let [report] = limiter.reports_at(9, 3 * S)[..] else {
        panic!("one report");
    };
    assert_eq!(report.cost, Duration::ZERO);
}

#[test]
fn what_others_admitted_counts_from_when_it_was_asked_for() {
    let (limiter, probe) = (limiter(), NodeKey(1));
    assert!(limiter.take_at(probe, limiter.now_ns()).1.is_ok());
    let (asked, _) = limiter.reports(9);
    assert!(limiter.take_at(probe, limiter.now_ns()).1.is_ok());
    // Two requests of others, one of this engine's, and one more while the question was under way.
    limiter.learn(asked, probe, Duration::from_secs(30));
    let wait = limiter.take_at(probe, limiter.now_ns()).1.unwrap_err();
    // The most that is believed are eight bursts of 0.3 s each.
    assert!(wait > Duration::from_millis(2_000) && wait < Duration::from_millis(2_400));
    limiter.learn(asked, probe, Duration::ZERO);
    assert!(
        limiter.take_at(probe, limiter.now_ns()).1.is_err(),
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
