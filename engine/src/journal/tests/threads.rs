//! Both threads, on a real folder and on the fake disk.

use crate::journal::{
    CommitFailed, Feed, OnDamage, OpenError, Options, Refused, Running, State, inspect, open,
    open_dir,
};
use crate::limits::{JOURNAL_AGE_MAX_DEFAULT, SEALED_GROUPS_MAX};
use crate::model::GroupSeq;
use crate::testing::disk::{FakeDisk, Fault};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 64 * 1024;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.join("journal"),
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 64 * SEGMENT_BYTES,
        age_max: JOURNAL_AGE_MAX_DEFAULT,
        on_damage: OnDamage::Refuse,
    }
}

fn start(dir: &TempDir) -> Running {
    open_dir(&options(dir.path())).unwrap().start().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future)
}

fn record(n: u32) -> Vec<u8> {
    let len = usize::try_from(n * 37 % 2_000).unwrap();
    let mut record = n.to_le_bytes().to_vec();
    record.resize(4 + len, u8::try_from(n % 251).unwrap());
    record
}

async fn read(feed: &mut Feed, records: u32) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    let mut last = None;
    while read.len() < records as usize {
        let group = feed.next().await.unwrap();
        assert!(last.is_none_or(|last: GroupSeq| last.next() == group.seq));
        last = Some(group.seq);
        read.extend(group.records.iter().map(|record| record.to_vec()));
    }
    read
}

#[test]
fn what_was_acknowledged_comes_out_now_and_after_a_restart() {
    const RECORDS: u32 = 500;
    let dir = TempDir::new().unwrap();
    let expected: Vec<_> = (0..RECORDS).map(record).collect();
    let Running {
        appender,
        mut feed,
        stats,
        threads,
    } = start(&dir);
    let journal = feed.journal_id();
    block_on(async {
        for record in &expected {
            appender
                .try_append(record.clone(), 1)
                .unwrap()
                .await
                .unwrap()
                .unwrap();
        }
        assert_eq!(read(&mut feed, RECORDS).await, expected);
    });
    assert_eq!(stats.samples_written(), u64::from(RECORDS));
    assert!(stats.segments() > 2);
    drop(feed);
    threads.stop();
    assert_eq!(
        appender.try_append(vec![1], 1).unwrap_err(),
        Refused::Stopping
    );

    let Running {
        mut feed,
        stats,
        threads,
        ..
    } = start(&dir);
    assert_eq!(feed.journal_id(), journal);
    block_on(async {
        assert_eq!(read(&mut feed, RECORDS).await, expected);
        let middle = GroupSeq(stats.durable_seq().0 / 2);
        feed.seek_after(middle);
        assert_eq!(feed.next().await.unwrap().seq, middle.next());
        feed.seek_after(stats.durable_seq());
        assert!(feed.try_next().await.unwrap().is_none());
        feed.seek_after(stats.durable_seq().next());
        assert!(matches!(
            feed.try_next().await,
            Err(OpenError::Behind { .. })
        ));
    });
    drop(feed);
    threads.stop();
}

#[test]
fn a_second_engine_on_the_same_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    let running = start(&dir);
    let second = open_dir(&options(dir.path()));
    assert!(
        matches!(second, Err(OpenError::Locked { .. })),
        "{second:?}"
    );
    running.stop();
}

fn start_fake(disk: &FakeDisk) -> Running {
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        ..options(Path::new("/fake"))
    };
    open(&options, disk.mount()).unwrap().start().unwrap()
}

/// Until the other thread is at rest: its syncs must not be the ones that a test holds.
fn wait_for_spare(disk: &FakeDisk) {
    // Of the first segment: file, header and last look; of the id; of the spare: file and zeros.
    const SYNCS: u64 = 7;
    while disk.syncs() < SYNCS {
        std::thread::yield_now();
    }
}

#[test]
fn everything_that_arrives_during_one_flush_joins_the_next() {
    const APPENDS: usize = 500;
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        feed,
        stats,
        threads,
    } = start_fake(&disk);
    // The spare's sync must not be the one that is held.
    wait_for_spare(&disk);
    disk.hold_syncs(true);
    let first = appender.try_append(vec![0; 10], 1).unwrap();
    disk.wait_for_held_sync();
    let joined: Vec<_> = (0..APPENDS)
        .map(|_| appender.try_append(vec![1; 20], 1).unwrap())
        .collect();
    disk.hold_syncs(false);
    block_on(async {
        let first = first.await.unwrap().unwrap();
        for pending in joined {
            assert_eq!(pending.await.unwrap().unwrap(), first.next());
        }
    });
    assert_eq!(stats.commit_latency().count(), 2);
    assert_eq!(stats.records_written(), APPENDS as u64 + 1);
    drop(feed);
    threads.stop();
    assert_eq!(stats.queued_bytes(), 0);
}

#[test]
fn stopping_commits_what_is_queued() {
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        feed,
        threads,
        ..
    } = start_fake(&disk);
    disk.hold_syncs(true);
    let pendings: Vec<_> = (0..200)
        .map(|_| appender.try_append(vec![1; 900], 1).unwrap())
        .collect();
    disk.wait_for_held_sync();
    drop(feed);
    let stop = std::thread::spawn(move || threads.stop());
    while appender.has_room(1) != Err(Refused::Stopping) {
        std::thread::yield_now();
    }
    disk.hold_syncs(false);
    stop.join().unwrap();
    for mut pending in pendings {
        assert!(pending.try_recv().unwrap().unwrap().is_ok());
    }
}

#[test]
fn a_failed_fsync_is_told_to_everybody_and_for_ever() {
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        feed,
        stats,
        threads,
    } = start_fake(&disk);
    wait_for_spare(&disk);
    disk.hold_syncs(true);
    let first = appender.try_append(vec![0; 10], 1).unwrap();
    disk.wait_for_held_sync();
    let second = appender.try_append(vec![0; 10], 1).unwrap();
    // The held sync is the next call.
    disk.fail_call(0, Fault::Io);
    disk.hold_syncs(false);
    block_on(async {
        threads.poisoned().await;
        assert_eq!(first.await.unwrap(), Err(CommitFailed::Poisoned));
        assert_eq!(second.await.unwrap(), Err(CommitFailed::Poisoned));
    });
    assert_eq!(
        appender.try_append(vec![0], 1).unwrap_err(),
        Refused::Poisoned
    );
    assert_eq!(stats.state(), State::Poisoned);
    assert_eq!(stats.durable_seq(), GroupSeq::ZERO);
    drop(feed);
    threads.stop();
}

#[test]
fn a_journal_that_waits_too_long_refuses_until_it_is_released() {
    let folder = TempDir::new().unwrap();
    let young = open_dir(&options(folder.path())).unwrap().start().unwrap();
    block_on(async {
        let taken = young.appender.try_append(vec![1; 100], 1).unwrap();
        assert_eq!(taken.await.unwrap(), Ok(GroupSeq(1)));
        // Holding a group is no reason to refuse; holding it for long is.
        assert_eq!(young.appender.has_room(1), Ok(()));
    });
    drop(young.feed);
    young.threads.stop();

    let old = open_dir(&Options {
        age_max: Duration::ZERO,
        ..options(folder.path())
    });
    let Running {
        appender,
        feed,
        stats,
        threads,
    } = old.unwrap().start().unwrap();
    assert_eq!(stats.state(), State::Aged);
    assert_eq!(appender.has_room(1), Err(Refused::Aged));
    assert_eq!(
        appender.try_append(vec![1; 100], 1).unwrap_err(),
        Refused::Aged
    );
    feed.release(GroupSeq(1));
    assert_eq!(stats.state(), State::Ok);
    assert_eq!(appender.has_room(1), Ok(()));
    drop(feed);
    threads.stop();
}

#[test]
fn a_full_disk_is_tried_again_by_itself() {
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        feed,
        stats,
        threads,
    } = start_fake(&disk);
    disk.set_full(true);
    block_on(async {
        let failed = appender.try_append(vec![1; 100], 1).unwrap().await.unwrap();
        assert_eq!(failed, Err(CommitFailed::NoSpace));
        assert_eq!(appender.has_room(1), Err(Refused::Full));
        assert_eq!(stats.state(), State::NoSpace);
        disk.set_full(false);
        while appender.has_room(1).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            appender.try_append(vec![1; 100], 1).unwrap().await.unwrap(),
            Ok(GroupSeq(1))
        );
    });
    drop(feed);
    threads.stop();
}

#[test]
fn a_reader_that_falls_behind_reads_from_disk_in_order() {
    const GROUPS: usize = 3 * SEALED_GROUPS_MAX;
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        mut feed,
        stats,
        threads,
    } = start_fake(&disk);
    block_on(async {
        let mut expected = GroupSeq(1);
        for round in 0..3 {
            for _ in 0..GROUPS {
                let record = vec![1; 100];
                appender
                    .try_append(record, 1)
                    .unwrap()
                    .await
                    .unwrap()
                    .unwrap();
            }
            // Two thirds of what is there: the next round begins in the middle.
            for _ in 0..GROUPS * 2 / 3 {
                let group = feed.next().await.unwrap();
                assert_eq!(group.seq, expected, "round {round}");
                expected = expected.next();
            }
            feed.release(GroupSeq(expected.0 - 1));
        }
        assert!(stats.groups_not_handed_over() > 0);
        while expected <= stats.durable_seq() {
            assert_eq!(feed.next().await.unwrap().seq, expected);
            expected = expected.next();
        }
        assert!(feed.try_next().await.unwrap().is_none());
        feed.seek_after(GroupSeq::ZERO);
        feed.release(stats.durable_seq());
        while feed.oldest_available() == GroupSeq(1) {
            tokio::task::yield_now().await;
        }
        assert!(matches!(feed.next().await, Err(OpenError::Gone { .. })));
    });
    assert_eq!(stats.oldest_unreleased_at(), None);
    drop(feed);
    threads.stop();
}

#[test]
fn a_dropped_call_loses_no_group() {
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        mut feed,
        threads,
        ..
    } = start_fake(&disk);
    block_on(async {
        for _ in 0..SEALED_GROUPS_MAX + 50 {
            appender
                .try_append(vec![1; 10], 1)
                .unwrap()
                .await
                .unwrap()
                .unwrap();
        }
        for seq in 1..=(SEALED_GROUPS_MAX as u64 + 50) {
            // Poll once and drop, as a timeout does; then ask again.
            let polled = futures_util::FutureExt::now_or_never(feed.next());
            let group = match polled {
                Some(group) => group.unwrap(),
                None => feed.next().await.unwrap(),
            };
            assert_eq!(group.seq, GroupSeq(seq));
        }
    });
    drop(feed);
    threads.stop();
}

#[test]
fn inspection_tells_what_is_there_and_touches_nothing() {
    let dir = TempDir::new().unwrap();
    let Running {
        appender,
        feed,
        threads,
        ..
    } = start(&dir);
    block_on(async {
        for n in 0..3 {
            appender
                .try_append(record(n), 4)
                .unwrap()
                .await
                .unwrap()
                .unwrap();
        }
    });
    drop(feed);
    threads.stop();
    let journal = dir.path().join("journal");
    let mut text = Vec::new();
    assert!(inspect(&journal, true, &mut text).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("1 segments, 3 groups, 3 records, 12 samples"),
        "{text}"
    );
    let segment = journal.join("0000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 50] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let mut text = Vec::new();
    assert!(!inspect(&journal, false, &mut text).unwrap());
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("groups 1 to 1 lost")
    );
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}

#[test]
fn a_reader_that_never_waits_sees_every_group_once_and_no_error() {
    const GROUPS: u64 = 20_000;
    let disk = FakeDisk::new(1);
    let Running {
        appender,
        mut feed,
        threads,
        ..
    } = start_fake(&disk);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                for _ in 0..GROUPS {
                    while appender.has_room(100) == Err(Refused::Full) {
                        std::thread::yield_now();
                    }
                    appender
                        .try_append(vec![1; 100], 1)
                        .unwrap()
                        .await
                        .unwrap()
                        .unwrap();
                }
            });
        });
        block_on(async {
            let mut expected = GroupSeq(1);
            while expected <= GroupSeq(GROUPS) {
                if let Some(group) = feed.try_next().await.unwrap() {
                    assert_eq!(group.seq, expected);
                    feed.release(expected);
                    expected = expected.next();
                }
            }
        });
    });
    drop(feed);
    threads.stop();
}
