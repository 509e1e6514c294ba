//! A journal without threads on a fake disk, and the model that it is held against.

use crate::journal::tidy::Tidy;
use crate::journal::writer::{Entry, Message};
use crate::journal::{
    Appender, CommitFailed, Feed, Group, OnDamage, OpenError, Opened, Options, Refused, Stats,
    cursor, open,
};
use crate::limits::JOURNAL_AGE_MAX_DEFAULT;
use crate::model::GroupSeq;
use crate::testing::disk::FakeDisk;
use crate::testing::random::Random;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) const SEGMENT_BYTES: u64 = 12 * 1024;
pub(crate) const SEGMENTS_MAX: u64 = 6;

pub(crate) fn options(on_damage: OnDamage) -> Options {
    let bytes_max = SEGMENTS_MAX * SEGMENT_BYTES;
    Options {
        dir: PathBuf::from("/fake"),
        segment_bytes: SEGMENT_BYTES,
        bytes_max,
        age_max: JOURNAL_AGE_MAX_DEFAULT,
        on_damage,
    }
}

pub(crate) type Records = Vec<Vec<u8>>;

/// What one attempt to write a group came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Acked(GroupSeq),
    Failed(CommitFailed),
    Refused(Refused),
}

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) opened: Opened,
    tidy: Tidy,
}

impl Rig {
    pub(crate) fn open(disk: &FakeDisk, on_damage: OnDamage) -> Result<Self, OpenError> {
        Self::open_with(disk, &options(on_damage))
    }

    pub(crate) fn open_with(disk: &FakeDisk, options: &Options) -> Result<Self, OpenError> {
        let opened = open(options, disk.mount())?;
        let tidy = Tidy::new(std::sync::Arc::clone(&opened.shared));
        Ok(Self { opened, tidy })
    }

    /// Through the appender, as one group, without a thread.
    pub(crate) fn append(&mut self, records: &Records) -> Attempt {
        let mut pendings = Vec::new();
        let mut refused = None;
        for record in records {
            match self.opened.appender.try_append(record.clone(), 1) {
                Ok(pending) => pendings.push(pending),
                Err(error) => refused = Some(error),
            }
        }
        let mut entries = self.queued();
        if let Some(refused) = refused {
            let bytes: usize = entries
                .iter()
                .map(|e| crate::journal::group::record_bytes(&e.record))
                .sum();
            let queued = &self.opened.shared.stats.queued_bytes;
            queued.fetch_sub(bytes as u64, std::sync::atomic::Ordering::AcqRel);
            return Attempt::Refused(refused);
        }
        self.opened.writer.commit(&mut entries);
        let mut answers = pendings
            .into_iter()
            .map(|mut pending| pending.try_recv().unwrap().unwrap());
        let first = answers.next().unwrap();
        assert!(
            answers.all(|answer| answer == first),
            "one group, one answer"
        );
        match first {
            Ok(seq) => Attempt::Acked(seq),
            Err(failed) => Attempt::Failed(failed),
        }
    }

    fn queued(&self) -> Vec<Entry> {
        let entry = |message| match message {
            Message::Append(entry) => entry,
            Message::Stop => unreachable!("never sent here"),
        };
        self.opened.queue.try_iter().map(entry).collect()
    }

    /// What others appended, as one group.
    pub(crate) fn commit_queued(&mut self) {
        let mut entries = self.queued();
        if !entries.is_empty() {
            self.opened.writer.commit(&mut entries);
        }
    }

    pub(crate) fn appender(&self) -> Appender {
        self.opened.appender.clone()
    }

    /// A second way out of the journal; one at a time, as they share the hand-off.
    pub(crate) fn feed(&self) -> Feed {
        Feed::new(Arc::clone(&self.opened.shared), self.opened.tidy.clone())
    }

    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.opened.shared.stats)
    }

    pub(crate) fn tidy(&self) -> bool {
        self.tidy.once()
    }

    pub(crate) fn retry_space(&mut self) {
        self.opened.writer.retry_space();
    }

    pub(crate) fn release(&self, through: GroupSeq) {
        self.opened.shared.release(through);
    }

    pub(crate) fn durable(&self) -> GroupSeq {
        self.opened.shared.stats.durable_seq()
    }

    pub(crate) fn released(&self) -> GroupSeq {
        self.opened.shared.stats.released_seq()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.opened.shared.stats.is_poisoned()
    }

    /// Every group on disk from `from` on.
    pub(crate) fn read_from(&self, from: GroupSeq) -> Result<Vec<Group>, OpenError> {
        cursor::read_all(&self.opened.shared, from)
    }

    /// What is released need not be there.
    pub(crate) fn read(&self) -> Result<BTreeMap<GroupSeq, Records>, OpenError> {
        let groups = self.read_from(self.released().next())?;
        let mut read = BTreeMap::new();
        let mut last = GroupSeq::ZERO;
        for group in groups {
            assert!(group.seq > last, "in order");
            last = group.seq;
            let records: Records = group.records.iter().map(|record| record.to_vec()).collect();
            assert_eq!(group.samples as usize, records.len());
            read.insert(group.seq, records);
        }
        Ok(read)
    }
}

/// A group's worth of records, none of which is ever made again. Many end in zeros, which a
/// preallocated file has already.
pub(crate) fn records(random: &mut Random, made: &mut u64, bytes_max: usize) -> Records {
    let count = 1 + random.below(4);
    (0..count)
        .map(|_| {
            *made += 1;
            let mut record = made.to_le_bytes().to_vec();
            let fill = u8::try_from(random.below(3)).unwrap();
            record.resize(8 + random.below(bytes_max / count), fill);
            record
        })
        .collect()
}

/// What has to be true whatever happened.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) made: u64,
    /// Acknowledged, or seen after a restart: for ever.
    pub(crate) known: BTreeMap<GroupSeq, Records>,
    /// Answered with failure or not at all; each may have become durable all the same.
    pub(crate) attempted: Vec<Records>,
    pub(crate) released: GroupSeq,
}

impl Model {
    pub(crate) fn acked(&mut self, seq: GroupSeq, records: Records) {
        let last = self
            .known
            .last_key_value()
            .map_or(GroupSeq::ZERO, |(seq, _)| *seq);
        assert!(seq > last, "sequence {seq} was given before");
        self.known.insert(seq, records);
    }

    /// After a restart: nothing acknowledged is gone, nothing is there that was never appended.
    pub(crate) fn check(&mut self, found: &BTreeMap<GroupSeq, Records>) {
        for (seq, records) in self.known.range(self.released.next()..) {
            assert_eq!(found.get(seq), Some(records), "group {seq} was durable");
        }
        for (seq, records) in found {
            if let Some(known) = self.known.get(seq) {
                assert_eq!(known, records, "group {seq} changed");
                continue;
            }
            let attempt = self.attempted.iter().position(|attempt| attempt == records);
            let attempt = attempt.unwrap_or_else(|| panic!("group {seq} was never appended"));
            let records = self.attempted.swap_remove(attempt);
            self.acked(*seq, records);
        }
    }
}
