//! Without a database: what is kept, how long, and within which bytes. That answers follow the table is
//! tested against the real one (`tests/tests/kept_buckets.rs`).

use super::step::Builder;
use super::{Buckets, Group, Stamps, Step, Window, runs};
use crate::limits::KEPT_BUCKETS_BYTES_MAX;
use crate::model::NodeKey;
use crate::publish::notify::StoredSample;
use crate::publish::rollup::Bucket;
use fiber_contract::UnixMicros;

fn minute(number: i64) -> UnixMicros {
    UnixMicros::from_secs(number * 60)
}

fn window(group: Group<'_>, minutes: std::ops::Range<i64>) -> Window<'_> {
    Window {
        group,
        level: 0,
        from: minute(minutes.start),
        to: minute(minutes.end),
        series: 1,
    }
}

fn bucket(node: i64, latency_ms: f32) -> Bucket {
    let mut bucket = Bucket::new(NodeKey(node));
    bucket.add(&StoredSample {
        time: UnixMicros(0),
        latency_ms: Some(latency_ms),
        uptime_pct: 100.0,
        packet_loss: 0.0,
    });
    bucket
}

fn step(group: Group<'_>, number: i64, nodes: &[i64]) -> Step {
    let mut builder = Builder::new(minute(number), group);
    for node in nodes {
        let mut bucket = bucket(*node, 10.0);
        let sketch = std::mem::take(&mut bucket.sketch).to_bytes();
        builder.push(bucket, &sketch);
    }
    builder.finish()
}

fn stamps(minutes: std::ops::Range<i64>, stamp: i64) -> Stamps {
    minutes.map(|number| (minute(number), stamp)).collect()
}

/// Which minutes have to be read.
fn missing(kept: &Buckets, window: &Window<'_>, stamps: &Stamps) -> Vec<i64> {
    let steps = kept.get(window, stamps);
    steps
        .iter()
        .filter(|(_, step)| step.is_none())
        .map(|(start, _)| start.0 / 60_000_000)
        .collect()
}

#[test]
fn what_has_its_mark_is_not_read_again_and_the_rest_is() {
    let kept = Buckets::default();
    let window = window(Group::EachNode, 0..5);
    let mut marks = stamps(0..4, 7);
    assert_eq!(missing(&kept, &window, &marks), [0, 1, 2, 3, 4]);
    let steps = (0..5).map(|number| step(window.group, number, &[1, 2]));
    kept.keep(&window, &marks, steps.collect());
    assert_eq!(missing(&kept, &window, &marks), Vec::<i64>::new());
    // A late sample, and the first mark of a minute that had none.
    marks.extend([(minute(1), 8), (minute(4), 9)]);
    assert_eq!(missing(&kept, &window, &marks), [1, 4]);
    // Lost in a crash of the database: the mark of before is another one, too.
    marks.remove(&minute(2));
    assert_eq!(missing(&kept, &window, &marks), [1, 2, 4]);
}

#[test]
fn groups_do_not_share() {
    let kept = Buckets::default();
    let marks = stamps(0..1, 7);
    let groups = [
        Group::EachNode,
        Group::Fleet,
        Group::Series(&[1, 2]),
        Group::Series(&[1, 2, 3]),
    ];
    for (before, group) in groups.iter().enumerate() {
        let window = window(*group, 0..1);
        assert_eq!(
            missing(&kept, &window, &marks),
            [0],
            "{group:?} after {before}"
        );
        kept.keep(&window, &marks, vec![step(*group, 0, &[1])]);
    }
    let reordered = window(Group::Series(&[2, 1]), 0..1);
    assert_eq!(missing(&kept, &reordered, &marks), Vec::<i64>::new());
}

#[test]
fn a_step_gives_back_what_it_was_made_of() {
    let each: Vec<_> = step(Group::EachNode, 3, &[5, 2, 5]).buckets().collect();
    assert_eq!(each, [bucket(2, 10.0), bucket(5, 10.0), bucket(5, 10.0)]);
    let all: Vec<_> = step(Group::Fleet, 3, &[5, 2, 5]).buckets().collect();
    let mut sum = Bucket::new(NodeKey(0));
    (0..3).for_each(|_| sum.merge(&bucket(0, 10.0)));
    assert_eq!(all, [sum]);
    assert_eq!(step(Group::Fleet, 3, &[]).buckets().count(), 0);
}

#[test]
fn the_room_is_bounded_and_the_oldest_question_leaves_first() {
    let kept = Buckets::default();
    let nodes: Vec<i64> = (0..10_000).collect();
    let old = window(Group::Fleet, 0..2);
    kept.get(&old, &Stamps::new());
    kept.keep(
        &old,
        &Stamps::new(),
        vec![step(old.group, 0, &[1]), step(old.group, 1, &[1])],
    );
    for number in 0..100 {
        let window = window(Group::EachNode, number..number + 1);
        kept.get(&window, &Stamps::new());
        kept.keep(
            &window,
            &Stamps::new(),
            vec![step(window.group, number, &nodes)],
        );
        assert!(kept.bytes() <= KEPT_BUCKETS_BYTES_MAX);
    }
    assert_eq!(missing(&kept, &old, &Stamps::new()), [0, 1]);
    let newest = window(Group::EachNode, 95..100);
    assert_eq!(missing(&kept, &newest, &Stamps::new()), Vec::<i64>::new());
}

#[test]
fn neighbours_are_read_together_within_the_memory_of_a_question() {
    let of = |minutes: &[i64], series: usize| {
        let missing: Vec<_> = minutes.iter().copied().map(minute).collect();
        let window = Window {
            series,
            ..window(Group::EachNode, 0..1_000)
        };
        runs(&missing, &window)
            .into_iter()
            .map(|(from, to)| (from.0 / 60_000_000, to.0 / 60_000_000))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[], 10), []);
    assert_eq!(of(&[3, 4, 5, 9], 10), [(3, 6), (9, 10)]);
    assert_eq!(of(&[1, 3, 5, 7, 9], 10), [(1, 10)]);
    assert_eq!(of(&[0, 1, 2, 3, 4], 10_000), [(0, 2), (2, 4), (4, 5)]);
    assert_eq!(of(&[0, 1], 10_000_000), [(0, 1), (1, 2)]);
}
