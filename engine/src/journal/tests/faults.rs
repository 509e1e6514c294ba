//! Every call of a life fails in turn, in every way.

use super::rig::{Attempt, Model, Rig, records};
use crate::journal::{CommitFailed, OnDamage, OpenError, Refused};
use crate::model::GroupSeq;
use crate::testing::disk::{FakeDisk, Fault};
use crate::testing::random::Random;

/// Opens, fills several segments, frees some, and returns when done or dead.
fn live(disk: &FakeDisk, model: &mut Model, fault: Option<Fault>) -> Result<(), OpenError> {
    let mut random = Random::new(7);
    let mut rig = Rig::open(disk, OnDamage::Refuse)?;
    for step in 0..40_u64 {
        if step % 10 == 5 {
            rig.tidy();
            model.released = GroupSeq(rig.durable().0 / 2);
            rig.release(model.released);
        }
        let records = records(&mut random, &mut model.made, 1_500);
        let was_poisoned = rig.is_poisoned();
        match rig.append(&records) {
            Attempt::Acked(seq) => {
                assert!(!was_poisoned, "acknowledged after a failure");
                model.acked(seq, records);
            }
            Attempt::Failed(CommitFailed::Poisoned) => {
                assert!(rig.is_poisoned());
                model.attempted.push(records);
            }
            Attempt::Failed(CommitFailed::NoSpace) => {
                assert_eq!(fault, Some(Fault::NoSpace));
                model.attempted.push(records);
                // It was one call: the next look finds space, and the journal goes on.
                rig.retry_space();
                assert_eq!(rig.opened.appender.has_room(100), Ok(()));
            }
            Attempt::Refused(refused) => {
                assert_eq!(refused, Refused::Poisoned);
                assert!(rig.is_poisoned());
            }
        }
    }
    let synced = matches!(disk.failed(), Some("sync" | "sync_dir"));
    match fault {
        None | Some(Fault::Short) => assert!(!rig.is_poisoned()),
        // A spare that cannot be synced is thrown away, so a sync may fail without harm.
        Some(Fault::NoSpace) => assert!(synced || !rig.is_poisoned()),
        Some(Fault::Io) => {}
    }
    Ok(())
}

fn calls_of_a_life() -> u64 {
    let disk = FakeDisk::new(3);
    live(&disk, &mut Model::default(), None).unwrap();
    disk.calls()
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost_and_nothing_is_acknowledged_after() {
    let calls = calls_of_a_life();
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        for fault in [Fault::Io, Fault::NoSpace, Fault::Short] {
            for power in [false, true] {
                let disk = FakeDisk::new(call);
                let mut model = Model::default();
                disk.fail_call(call, fault);
                let lived = live(&disk, &mut model, Some(fault));
                assert!(
                    lived.is_ok() || fault != Fault::Short,
                    "call {call}: {lived:?}"
                );
                if power {
                    disk.lose_power();
                } else {
                    disk.kill();
                }
                let rig = Rig::open(&disk, OnDamage::Refuse);
                let rig = rig.unwrap_or_else(|error| panic!("call {call} {fault:?}: {error}"));
                model.check(&rig.read().unwrap());
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let disk = FakeDisk::new(1);
    let mut model = Model::default();
    let mut random = Random::new(1);
    let mut rig = Rig::open(&disk, OnDamage::Refuse).unwrap();
    let mut append = |rig: &mut Rig, model: &mut Model| {
        let records = records(&mut random, &mut model.made, 1_500);
        let attempt = rig.append(&records);
        if let Attempt::Acked(seq) = attempt {
            model.acked(seq, records);
        } else {
            model.attempted.push(records);
        }
        attempt
    };
    append(&mut rig, &mut model);
    disk.set_full(true);
    let failed = append(&mut rig, &mut model);
    assert_eq!(failed, Attempt::Failed(CommitFailed::NoSpace));
    assert_eq!(
        append(&mut rig, &mut model),
        Attempt::Refused(Refused::Full)
    );
    rig.retry_space();
    assert_eq!(
        append(&mut rig, &mut model),
        Attempt::Refused(Refused::Full)
    );
    disk.set_full(false);
    rig.retry_space();
    assert!(matches!(append(&mut rig, &mut model), Attempt::Acked(_)));
    drop(rig);
    disk.lose_power();
    model.check(&Rig::open(&disk, OnDamage::Refuse).unwrap().read().unwrap());
}

#[test]
fn a_full_journal_refuses_until_groups_are_released() {
    let disk = FakeDisk::new(1);
    let mut random = Random::new(1);
    let mut made = 0;
    let mut rig = Rig::open(&disk, OnDamage::Refuse).unwrap();
    let mut refused = false;
    for _ in 0..200 {
        let records = records(&mut random, &mut made, 1_500);
        match rig.append(&records) {
            Attempt::Acked(_) => {}
            Attempt::Failed(CommitFailed::NoSpace) | Attempt::Refused(Refused::Full) => {
                refused = true;
                break;
            }
            other => panic!("{other:?}"),
        }
        rig.tidy();
    }
    assert!(refused);
    let segments = disk
        .names()
        .iter()
        .filter(|name| name.ends_with(".seg"))
        .count() as u64;
    assert_eq!(segments, super::rig::SEGMENTS_MAX);
    let before = rig.read().unwrap();
    rig.release(GroupSeq(rig.durable().0 - 3));
    rig.tidy();
    assert!(matches!(
        rig.append(&vec![vec![1; 2_000]]),
        Attempt::Acked(_)
    ));
    let oldest = rig.opened.feed.oldest_available();
    assert!(oldest > GroupSeq(1) && oldest <= GroupSeq(before.len() as u64 - 2));
    let gone = rig.read_from(GroupSeq(1));
    assert!(matches!(gone, Err(OpenError::Gone { .. })), "{gone:?}");
}
