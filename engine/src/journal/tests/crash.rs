//! Random lives of a journal with crashes of both kinds, against a model.

use super::rig::{Attempt, Model, Rig, records};
use crate::journal::OnDamage;
use crate::model::GroupSeq;
use crate::testing::disk::{FakeDisk, Fault};
use crate::testing::random::Random;

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let disk = FakeDisk::new(random.bits());
    let mut model = Model::default();
    for _life in 0..1 + random.below(6) {
        if random.one_in(6) {
            // Even recovery may fail, and the one after it has to cope.
            let fault = [Fault::Io, Fault::NoSpace, Fault::Short][random.below(3)];
            disk.fail_call(random.below(40) as u64, fault);
        }
        match Rig::open(&disk, OnDamage::Refuse) {
            Ok(rig) => one_life(rig, &disk, &mut random, &mut model),
            Err(error) => assert!(!error.to_string().contains("damaged"), "{error}"),
        }
        if random.one_in(2) {
            disk.lose_power();
        } else {
            disk.kill();
        }
    }
    let rig = Rig::open(&disk, OnDamage::Refuse).unwrap();
    model.check(&rig.read().unwrap());
    let through = rig.durable();
    drop(rig);
    disk.kill();
    let again = Rig::open(&disk, OnDamage::Refuse).unwrap().durable();
    assert_eq!(again, through, "a start leaves nothing for the next to cut");
}

fn one_life(mut rig: Rig, disk: &FakeDisk, random: &mut Random, model: &mut Model) {
    let Ok(found) = rig.read() else {
        // The planned fault hit the reading.
        return;
    };
    model.check(&found);
    // A new process is told by the database what it holds.
    rig.release(model.released);
    for _ in 0..random.below(30) {
        match random.below(12) {
            0 => {
                rig.tidy();
            }
            1 => {
                let through = GroupSeq(random.bits() % (rig.durable().0 + 1));
                model.released = model.released.max(through);
                rig.release(through);
            }
            2 => disk.set_full(random.one_in(2)),
            3 => rig.retry_space(),
            4 if random.one_in(4) => {
                let fault = [Fault::Io, Fault::NoSpace, Fault::Short][random.below(3)];
                disk.fail_call(random.below(10) as u64, fault);
            }
            _ => {
                let bytes_max = if random.one_in(5) { 7_000 } else { 900 };
                let records = records(random, &mut model.made, bytes_max);
                let poisoned = rig.is_poisoned();
                match rig.append(&records) {
                    Attempt::Acked(seq) => {
                        assert!(!poisoned, "acknowledged after a failure");
                        model.acked(seq, records);
                    }
                    Attempt::Failed(_) => model.attempted.push(records),
                    Attempt::Refused(_) => {}
                }
            }
        }
    }
    disk.set_full(false);
    if !rig.is_poisoned() && random.one_in(3) {
        // The planned fault may hit the reading, or a removed file be asked for.
        if let Ok(found) = rig.read() {
            model.check(&found);
        }
    }
}

/// Seeds whose lives were lost once, by bugs that were planted to see whether this would find them;
/// a seed that fails below belongs here.
#[test]
fn lives_that_were_lost_once() {
    for seed in SEEDS_THAT_FAILED {
        live(seed);
    }
}

const SEEDS_THAT_FAILED: [u64; 3] = [1, 40, 67];

#[test]
fn acknowledged_groups_survive_every_life() {
    let first = std::env::var("FIBER_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let count = std::env::var("FIBER_TEST_SCHEDULES")
        .ok()
        .and_then(|n| n.parse().ok());
    let (first, count): (u64, u64) = (first.unwrap_or(1), count.unwrap_or(2_000));
    for seed in first..first + count {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!("to run it again: FIBER_TEST_SEED={seed} FIBER_TEST_SCHEDULES=1");
            std::panic::resume_unwind(panic);
        }
    }
}
