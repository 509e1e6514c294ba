use super::*;
use Outcome::{Acked, Refused, Unknown};

fn entries(bad: &[(u32, Bad)], samples: u32) -> Vec<Entry> {
    (0..samples)
        .map(|at| {
            let entry = Entry::new(0, i64::from(at), 0, Unknown);
            if bad.iter().any(|(index, _)| *index == at) {
                entry.bad()
            } else {
                entry
            }
        })
        .collect()
}

fn names(members: &[(u32, &str)]) -> Vec<Told> {
    let told = members.iter();
    told.map(|(index, field)| Told {
        index: *index,
        field: (*field).to_owned(),
    })
    .collect()
}

/// acked, refused, unknown; of the bad: refused, misnamed, accepted, unknown.
fn check(fate: &Fate, bad: &[(u32, Bad)], expect: [u64; 7], outcomes: &[Outcome]) {
    let samples = u32::try_from(outcomes.len()).unwrap();
    let mut entries = entries(bad, samples);
    let s = fate.settle(samples, bad, &mut entries);
    let p = s.planted;
    let got = [
        s.acked,
        s.refused,
        s.unknown,
        p.bad_refused,
        p.bad_misnamed,
        p.bad_accepted,
        p.bad_unknown,
    ];
    assert_eq!(got, expect, "{fate:?} {bad:?}");
    let got: Vec<_> = entries.iter().map(|entry| entry.outcome()).collect();
    assert_eq!(got, outcomes, "{fate:?} {bad:?}");
    let planted = entries.iter().filter(|entry| entry.is_bad()).count();
    assert_eq!(
        planted,
        bad.len(),
        "an outcome does not hide what was planted"
    );
}

const BAD: [(u32, Bad); 2] = [(1, Bad::LossTooHigh), (3, Bad::Future)];

#[test]
fn planted_samples_are_refused_by_their_field_and_nothing_else_is_touched() {
    let acked = |told, unnamed| Fate::Acked {
        told: names(told),
        unnamed,
    };
    let right = [Acked, Refused, Acked, Refused];
    check(
        &acked(&[(1, "packet_loss"), (3, "timestamp")], 0),
        &BAD,
        [2, 0, 0, 2, 0, 0, 0],
        &right,
    );
    // Another field than the broken one.
    check(
        &acked(&[(1, "latency_ms"), (3, "timestamp")], 0),
        &BAD,
        [2, 0, 0, 1, 1, 0, 0],
        &right,
    );
    // A bad one that is taken is acked, and told.
    check(
        &acked(&[(3, "timestamp")], 0),
        &BAD,
        [3, 0, 0, 1, 0, 1, 0],
        &[Acked, Acked, Acked, Refused],
    );
    // A good one that is refused.
    check(
        &acked(&[(0, "region"), (1, "packet_loss"), (3, "timestamp")], 0),
        &BAD,
        [1, 1, 0, 2, 0, 0, 0],
        &[Refused, Refused, Acked, Refused],
    );
}

#[test]
fn refusals_without_a_name_are_the_planted_ones_or_nobody_knows() {
    let unnamed = |told, unnamed| Fate::Acked {
        told: names(told),
        unnamed,
    };
    check(
        &unnamed(&[(1, "packet_loss")], 1),
        &BAD,
        [2, 0, 0, 2, 0, 0, 0],
        &[Acked, Refused, Acked, Refused],
    );
    check(
        &unnamed(&[(1, "packet_loss")], 2),
        &BAD,
        [0, 0, 2, 0, 0, 0, 2],
        &[Unknown; 4],
    );
    check(
        &unnamed(&[(0, "region")], 1),
        &BAD,
        [0, 0, 2, 0, 0, 0, 2],
        &[Unknown; 4],
    );
}

#[test]
fn a_request_that_is_refused_whole_may_be_about_its_samples_or_not() {
    let all_bad = [(0, Bad::TooOld), (1, Bad::NegativeLatency)];
    let told = names(&[(0, "timestamp"), (1, "latency_ms")]);
    check(
        &Fate::Refused { told },
        &all_bad,
        [0, 0, 0, 2, 0, 0, 0],
        &[Refused; 2],
    );
    check(
        &Fate::Refused { told: Vec::new() },
        &BAD,
        [0, 2, 0, 0, 0, 0, 2],
        &[Refused; 4],
    );
    check(&Fate::Unknown, &BAD, [0, 0, 2, 0, 0, 0, 2], &[Unknown; 4]);
}

#[test]
fn only_a_readable_ack_is_one() {
    let ack = |rejected: u32, errors: &str| {
        format!(
            r#"{{"status":"accepted","message":"m","data":{{"batch_id":"b","source_region":null,"queued":4,"accepted":{},"duplicates":0,"rejected":{rejected},"errors":{errors}}}}}"#,
            4 - rejected
        )
    };
    let read = |body: &str| match judge(202, None, body.as_bytes(), false) {
        Try::Done(Fate::Acked { told, unnamed }) => Some((told.len(), unnamed)),
        Try::Done(Fate::Unknown) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&ack(0, "[]")), Some((0, 0)));
    let one = r#"[{"index":1,"field":"f","reason":"r"}]"#;
    assert_eq!(read(&ack(1, one)), Some((1, 0)));
    assert_eq!(read(&ack(3, one)), Some((1, 2)));
    assert_eq!(read(r#"{"data":{"rejected":"0"}}"#), None);
    assert_eq!(read("ok"), None);
    assert!(matches!(
        judge(204, None, b"", true),
        Try::Done(Fate::Acked { .. })
    ));
    assert!(matches!(
        judge(204, None, b"", false),
        Try::Done(Fate::Refused { .. })
    ));
}
