//! Each byte of a small journal flipped, each length of each file, each file missing: the journal
//! opens, or refuses with the reason and can be told to go on without what is lost.

use super::rig::{Attempt, Records, Rig, options};
use crate::journal::{Damage, OnDamage, OpenError, Options};
use crate::model::GroupSeq;
use crate::testing::disk::FakeDisk;
use std::collections::BTreeMap;
use std::ops::Range;

const SEGMENT_BYTES: u64 = 5 * 1024;
const SEGMENTS: u64 = 3;

fn small(on_damage: OnDamage) -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 16 * SEGMENT_BYTES,
        ..options(on_damage)
    }
}

struct Small {
    disk: FakeDisk,
    groups: BTreeMap<GroupSeq, Records>,
    /// Sequences of each segment.
    segments: Vec<(String, Range<u64>)>,
}

/// Three segments of a few groups each; the last has room left.
fn build() -> Small {
    let disk = FakeDisk::new(1);
    let mut rig = Rig::open_with(&disk, &small(OnDamage::Refuse)).unwrap();
    let mut groups = BTreeMap::new();
    for n in 0..11_u8 {
        let records = vec![vec![n + 1; 90 + usize::from(n % 3)], vec![n + 1; 60]];
        let Attempt::Acked(seq) = rig.append(&records) else {
            panic!("nothing fails here")
        };
        groups.insert(seq, records);
    }
    let list = rig.opened.shared.segments().clone();
    assert_eq!(list.len() as u64, SEGMENTS);
    let end = rig.durable().0 + 1;
    let firsts: Vec<_> = list
        .iter()
        .map(|segment| segment.first_seq.0)
        .chain([end])
        .collect();
    let name = |number| crate::journal::segment::file_name(number);
    let segments = list
        .iter()
        .zip(firsts.windows(2))
        .map(|(segment, firsts)| (name(segment.number), firsts[0]..firsts[1]))
        .collect();
    drop(rig);
    Small {
        disk,
        groups,
        segments,
    }
}

/// Opens a journal of which something was taken, and returns the groups that are missing.
fn check(what: &str, small_journal: &Small, disk: &FakeDisk) -> Vec<GroupSeq> {
    let (mut rig, damages) = match Rig::open_with(disk, &small(OnDamage::Refuse)) {
        Ok(rig) => (rig, Vec::new()),
        Err(OpenError::Damaged { damages }) => {
            assert!(!damages.is_empty(), "{what}");
            let rig = Rig::open_with(disk, &small(OnDamage::Quarantine));
            (
                rig.unwrap_or_else(|error| panic!("{what}: {error}")),
                damages,
            )
        }
        Err(error) => panic!("{what}: {error}"),
    };
    let found = rig.read().unwrap();
    for (seq, records) in &found {
        assert_eq!(
            small_journal.groups.get(seq),
            Some(records),
            "{what}: group {seq}"
        );
    }
    let missing: Vec<_> = small_journal
        .groups
        .keys()
        .filter(|seq| !found.contains_key(seq))
        .copied()
        .collect();
    if damages.is_empty() {
        let kept = small_journal.groups.keys().take(found.len());
        assert!(kept.eq(found.keys()), "{what}: not a prefix");
    } else {
        let told = |seq: &GroupSeq| damages.iter().any(|damage| tells(damage, *seq));
        assert!(
            missing.iter().all(told),
            "{what}: {missing:?} lost, told {damages:?}"
        );
    }
    goes_on(what, &mut rig, small_journal, found);
    let durable = rig.durable();
    drop(rig);
    let again = Rig::open_with(disk, &small(OnDamage::Refuse));
    let again = again.unwrap_or_else(|error| panic!("{what}, the second time: {error}"));
    assert_eq!(again.durable(), durable, "{what}: something is cut again");
    missing
}

fn tells(damage: &Damage, seq: GroupSeq) -> bool {
    damage
        .lost
        .is_some_and(|(from, through)| (from..=through).contains(&seq))
}

/// New groups get sequences that no group had, and are there after a restart.
fn goes_on(what: &str, rig: &mut Rig, small: &Small, mut found: BTreeMap<GroupSeq, Records>) {
    for n in 0..8_u8 {
        let records = vec![vec![100 + n; 200]];
        let Attempt::Acked(seq) = rig.append(&records) else {
            panic!("{what}: does not go on")
        };
        assert!(!found.contains_key(&seq), "{what}: {seq} given twice");
        let reused = small.groups.contains_key(&seq);
        assert!(
            !reused || what.contains("missing"),
            "{what}: {seq} given to another group"
        );
        found.insert(seq, records);
    }
    assert_eq!(rig.read().unwrap(), found, "{what}");
}

/// Every `n`th place; all of them with `FIBER_TEST_FULL`.
fn every(n: usize) -> usize {
    if std::env::var_os("FIBER_TEST_FULL").is_some() {
        1
    } else {
        n
    }
}

#[test]
fn any_flipped_byte_costs_at_most_the_group_it_is_in() {
    let small = build();
    let mut quarantined = 0;
    for name in small.disk.names() {
        let Some(good) = small.disk.read(&name) else {
            continue;
        };
        let interesting = |at: &usize| *at < 64 || *at >= 4096 || at.is_multiple_of(every(97));
        for at in (0..good.len()).filter(interesting) {
            let bits = [0xff, 1 << (at % 8)];
            for bit in bits {
                let disk = small.disk.copy();
                let mut bad = good.clone();
                bad[at] ^= bit;
                disk.plant(&name, &bad);
                let missing = check(&format!("{name} byte {at} ^ {bit:#x}"), &small, &disk);
                assert!(missing.len() <= 1, "{name} byte {at}: {missing:?}");
                quarantined +=
                    u32::from(disk.names().iter().any(|name| name.ends_with(".damaged")));
            }
        }
    }
    assert!(quarantined > 1_000, "{quarantined}");
}

#[test]
fn a_file_cut_anywhere_costs_only_its_own_groups() {
    let small = build();
    for (name, seqs) in &small.segments {
        let good = small.disk.read(name).unwrap();
        for len in
            (0..good.len()).filter(|len| *len < 80 || *len > 4080 || len.is_multiple_of(every(97)))
        {
            let disk = small.disk.copy();
            disk.plant(name, &good[..len]);
            let missing = check(&format!("{name} cut at {len}"), &small, &disk);
            assert!(
                missing.iter().all(|seq| seqs.contains(&seq.0)),
                "{name} {len}: {missing:?}"
            );
        }
    }
}

#[test]
fn a_range_overwritten_with_noise_or_zeros_costs_only_what_it_touched() {
    let small = build();
    for (name, seqs) in &small.segments {
        let good = small.disk.read(name).unwrap();
        for from in (0..good.len()).step_by(every(61)) {
            for (len, fill) in [(100, 0xa5), (700, 0xa5), (100, 0), (300, 0)] {
                let disk = small.disk.copy();
                let mut bad = good.clone();
                let to = (from + len).min(bad.len());
                bad[from..to].fill(fill);
                disk.plant(name, &bad);
                let what = format!("{name} {from}..{to} = {fill} (groups may be missing unseen)");
                let missing = check(&what, &small, &disk);
                assert!(
                    missing.iter().all(|seq| seqs.contains(&seq.0)),
                    "{what}: {missing:?}"
                );
            }
        }
    }
}

#[test]
fn a_missing_segment_costs_its_groups_and_a_missing_id_nothing() {
    let small = build();
    for (at, (name, seqs)) in small.segments.iter().enumerate() {
        let disk = small.disk.copy();
        disk.take_away(name);
        let all: Vec<_> = seqs.clone().map(GroupSeq).collect();
        if at == 0 {
            // Freed segments are missing too: a journal begins where its first file begins.
            let rig = Rig::open_with(&disk, &small_options()).unwrap();
            assert_eq!(rig.read().unwrap().len(), small.groups.len() - all.len());
            continue;
        }
        assert_eq!(check(&format!("{name} missing"), &small, &disk), all);
    }
    let disk = small.disk.copy();
    disk.take_away("journal.id");
    assert_eq!(check("no id", &small, &disk), []);
}

fn small_options() -> Options {
    small(OnDamage::Refuse)
}

#[test]
fn a_journal_of_which_nothing_can_be_told_begins_anew_under_another_id() {
    let small = build();
    let id = Rig::open_with(&small.disk, &small_options())
        .unwrap()
        .opened
        .journal_id();
    for (name, _) in &small.segments {
        small.disk.take_away(name);
    }
    let refused = Rig::open_with(&small.disk, &small_options());
    assert!(matches!(refused, Err(OpenError::Damaged { .. })));
    let rig = Rig::open_with(&small.disk, &self::small(OnDamage::Quarantine)).unwrap();
    assert_ne!(rig.opened.journal_id(), id);
    assert_eq!(rig.durable(), GroupSeq::ZERO);
}

#[test]
fn segments_of_another_journal_or_a_newer_engine_are_refused_by_name() {
    let (one, other) = (build(), FakeDisk::new(2));
    drop(Rig::open_with(&other, &small_options()).unwrap());
    let (name, _) = &one.segments[2];
    other.plant(name, &one.disk.read(name).unwrap());
    let refused = Rig::open_with(&other, &self::small(OnDamage::Quarantine));
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_crash_in_the_middle_of_quarantine_costs_nothing_more() {
    let small = build();
    let (name, _) = &small.segments[1];
    let mut bad = small.disk.read(name).unwrap();
    bad[4096 + 300] ^= 1;
    for call in 0..200 {
        for power in [false, true] {
            let disk = small.disk.copy();
            disk.plant(name, &bad);
            disk.fail_call(call, crate::testing::disk::Fault::Io);
            drop(Rig::open_with(&disk, &self::small(OnDamage::Quarantine)));
            if power {
                disk.lose_power();
            } else {
                disk.kill();
            }
            // Either nothing happened yet, or all of it.
            let mut rig = Rig::open_with(&disk, &self::small(OnDamage::Quarantine)).unwrap();
            let found = rig.read().unwrap();
            assert_eq!(found.len() + 1, small.groups.len(), "call {call}");
            assert!(
                found
                    .iter()
                    .all(|(seq, records)| small.groups[seq] == *records)
            );
            goes_on("after a crash", &mut rig, &small, found);
            let kept = disk.read(&format!("{name}.damaged"));
            assert_eq!(kept, Some(bad.clone()), "call {call}");
        }
    }
}

#[test]
fn two_decayed_groups_at_the_end_are_damage_and_not_a_torn_write() {
    let small = build();
    let (name, seqs) = &small.segments[2];
    let mut bad = small.disk.read(name).unwrap();
    let content = |seq: u64| {
        let fill = u8::try_from(seq).unwrap();
        bad.windows(20)
            .position(|window| window == [fill; 20])
            .unwrap()
    };
    let last = seqs.end - 1;
    for at in [content(last - 1), content(last)] {
        bad[at] ^= 1;
    }
    let disk = small.disk.copy();
    disk.plant(name, &bad);
    let Err(OpenError::Damaged { damages }) = Rig::open_with(&disk, &small_options()) else {
        panic!("opened as if nothing was lost");
    };
    assert_eq!(damages[0].lost, Some((GroupSeq(last - 1), GroupSeq(last))));
    assert_eq!(
        check("two at the end", &small, &disk),
        [GroupSeq(last - 1), GroupSeq(last)]
    );
}
