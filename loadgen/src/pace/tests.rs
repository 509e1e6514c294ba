#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers of a test"
)]

use super::*;
use hdrhistogram::Histogram;

const TEN_S: Duration = Duration::from_secs(10);

fn schedule(curve: &str, rate: f64, batch: u32, duration: Duration) -> Schedule {
    Schedule::new(&curve.parse().unwrap(), rate, batch, duration).unwrap()
}

fn plans(schedule: &Schedule, probes: u32, lanes: u32) -> Vec<LanePlan> {
    (0..lanes)
        .map(|lane| {
            LanePlan::new(LaneSchedule {
                schedule: schedule.clone(),
                probes,
                lanes,
                lane,
            })
        })
        .collect()
}

const CURVES: [&str; 7] = [
    "constant",
    "ramp",
    "ramp:from=900,over=4",
    "spike:times=5,at=2,for=3",
    "diurnal:swing=0.9,period=5",
    "storm:at=2,for=3",
    "points:0=10,3=2000,5=0,10=500",
];

#[test]
fn lanes_share_every_schedule_without_gap_or_overlap_and_in_order() {
    for curve in CURVES {
        for (probes, lanes) in [(1, 1), (10, 10), (10, 3), (1_000, 7)] {
            let schedule = schedule(curve, 5_000.0, 2, Duration::from_secs(10));
            let mut seen = vec![false; usize::try_from(schedule.requests()).unwrap()];
            for plan in plans(&schedule, probes, lanes) {
                let mut last = Duration::ZERO;
                for planned in plan {
                    for round in 0..u64::from(planned.rounds) {
                        let k = planned.k + round * u64::from(probes);
                        assert_eq!(k % u64::from(probes), u64::from(planned.probe));
                        assert_eq!(k / u64::from(probes), planned.round + round);
                        assert!(
                            !std::mem::replace(&mut seen[k as usize], true),
                            "{curve} {k}"
                        );
                    }
                    assert!(planned.due >= last, "{curve}");
                    last = planned.due;
                }
            }
            assert!(
                seen.into_iter().all(|sent| sent),
                "{curve} {probes} {lanes}"
            );
        }
    }
}

/// Requests due in each second, from the moments themselves.
fn per_second(schedule: &Schedule) -> Vec<f64> {
    let mut counts = vec![0.0; 10];
    for plan in plans(schedule, 100, 100) {
        for planned in plan {
            let at = (planned.due.as_secs_f64() + 1e-9) as usize;
            counts[at.min(9)] += f64::from(planned.rounds);
        }
    }
    counts
}

fn near(got: &[f64], expect: &[f64], tolerance: f64) {
    for (at, (got, expect)) in got.iter().zip(expect).enumerate() {
        assert!(
            (got - expect).abs() <= tolerance,
            "second {at}: {got}, not {expect}"
        );
    }
}

#[test]
fn each_curve_sends_what_the_area_under_its_rate_says() {
    let of = |curve| per_second(&schedule(curve, 1_000.0, 1, TEN_S));
    near(&of("constant"), &[1_000.0; 10], 1.0);
    let ramp: Vec<_> = (0..10).map(|s| 50.0 + 100.0 * f64::from(s)).collect();
    near(&of("ramp"), &ramp, 1.0);
    near(
        &of("ramp:from=2000,over=2"),
        &[1_750.0, 1_250.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0],
        1.0,
    );
    let spike = [1e3, 1e3, 5e3, 5e3, 5e3, 1e3, 1e3, 1e3, 1e3, 1e3];
    near(&of("spike:times=5,at=2,for=3"), &spike, 1.0);
    // Two days of five seconds each: the mean is the rate, the trough at the start.
    let days = of("diurnal:swing=0.9,period=5");
    let total: f64 = days.iter().sum();
    assert!((total - 10_000.0).abs() < 10.0, "{total}");
    assert!(days[0] < 400.0 && days[2] > 1_700.0 && days[5] < 400.0 && days[7] > 1_700.0);
    near(
        &of("points:0=0,5=1000,5=0,9=0,9=70"),
        &[100.0, 300.0, 500.0, 700.0, 900.0, 0.0],
        1.0,
    );
}

#[test]
fn after_an_outage_all_of_it_is_due_in_the_moment_it_ends() {
    let schedule = schedule("storm:at=2,for=3", 1_000.0, 1, TEN_S);
    let counts = per_second(&schedule);
    near(
        &counts,
        &[1e3, 1e3, 0.0, 0.0, 0.0, 4e3, 1e3, 1e3, 1e3, 1e3],
        1.0,
    );
    for (second, count) in counts.iter().enumerate() {
        let said = schedule.due_between(second as f64, second as f64 + 1.0);
        assert!(
            (said - count).abs() <= 1.0,
            "second {second}: {said}, not {count}"
        );
    }
    for plan in plans(&schedule, 100, 30) {
        let sends: Vec<_> = plan.collect();
        let lost: Vec<_> = sends
            .iter()
            .filter(|send| send.link_lost.is_some())
            .collect();
        assert_eq!(lost.len(), 1, "every lane loses its link once");
        assert_eq!(lost[0].due, Duration::from_secs(5));
        assert_eq!(lost[0].link_lost, Some(Duration::from_secs(2)));
        assert!(
            lost[0].rounds == 30,
            "a probe's backlog is one body: {}",
            lost[0].rounds
        );
    }
}

#[test]
fn a_backlog_goes_in_bodies_of_at_most_five_hundred_samples() {
    let schedule = schedule("storm:at=1,for=8", 1_000.0, 1, TEN_S);
    let plan = plans(&schedule, 4, 2).remove(0);
    let rounds: Vec<_> = plan
        .filter(|p| p.rounds > 1)
        .map(|p| (p.probe, p.rounds))
        .collect();
    assert_eq!(
        rounds,
        [
            (0, 500),
            (0, 500),
            (0, 500),
            (0, 500),
            (2, 500),
            (2, 500),
            (2, 500),
            (2, 500)
        ]
    );
}

#[test]
fn a_lane_that_has_nothing_to_send_meanwhile_loses_its_link_all_the_same() {
    let schedule = schedule("storm:at=2.1,for=0.5", 10.0, 1, TEN_S);
    let plan = plans(&schedule, 50, 50).remove(40);
    let sends: Vec<_> = plan.collect();
    assert_eq!(sends[0].link_lost, Some(Duration::from_secs_f64(2.1)));
    assert!(sends[0].due > Duration::from_secs(3));
}

#[test]
fn samples_of_a_probe_never_share_a_timestamp() {
    for curve in CURVES {
        for (rate, probes, batch) in [(1e6, 10, 500), (300.0, 60, 1), (333_333.3, 7, 13)] {
            let schedule = schedule(curve, rate, batch, TEN_S);
            assert!(schedule.sample_spacing_us(probes) >= 1.0);
            let mut last = i64::MIN;
            for round in 0..20_000 / u64::from(batch) {
                let k = round * u64::from(probes) + u64::from(probes) - 1;
                let times = schedule.sample_times(probes, k);
                for member in 0..batch {
                    let at = times.offset_us(member);
                    assert!(
                        at > last,
                        "{curve} {rate} {probes} {batch}: {at} after {last}"
                    );
                    last = at;
                }
            }
        }
    }
}

/// One connection at 1000/s to a server that answers at once, but stops for 1.0 s.
#[test]
fn a_stall_of_one_second_is_in_the_corrected_latencies_with_its_whole_length() {
    let schedule = Schedule::constant(1_000.0, 1, TEN_S);
    let (stall_from, stall_to) = (Duration::from_secs(4), Duration::from_secs(5));
    let mut corrected = Histogram::<u64>::new(3).unwrap();
    let mut raw = Histogram::<u64>::new(3).unwrap();
    let mut free_at = Duration::ZERO;
    for k in 0..schedule.requests() {
        let intended = schedule.offset(k);
        let start = intended.max(free_at);
        let mut end = start + Duration::from_micros(100);
        if (stall_from..stall_to).contains(&start) {
            end = stall_to + Duration::from_micros(100);
        }
        free_at = end;
        corrected
            .record((end - intended).as_micros() as u64)
            .unwrap();
        raw.record((end - start).as_micros() as u64).unwrap();
    }
    // A thousand sends fell into the stall, and waited 1.0 s … 0 s: of ten thousand, that
    // puts the 99th percentile at about 0.9 s. (The queue behind it drains at 10 k/s, which
    // adds a little.) The closed-loop view sees one slow request.
    let p99 = corrected.value_at_quantile(0.99) as f64 / 1e6;
    assert!((p99 - 0.9).abs() < 0.05, "{p99}");
    assert!(raw.value_at_quantile(0.99) < 200);
    assert!(raw.max() > 990_000);
}
