//! Both threads on a real folder.

use crate::journal::{Feed, OnDamage, OpenError, Options, Refused, Running, open_dir};
use crate::model::GroupSeq;
use std::path::Path;
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 64 * 1024;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.join("journal"),
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 64 * SEGMENT_BYTES,
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
