//! Store-and-forward: what a probe measured and has not handed over yet.
//!
//! One file, written by appending only.
//!
//! ```text
//! header  magic 8 · version 4 · crc 4
//! record  length 4 · crc 4 · kind 1 · seq 8 · payload          little-endian; crc32c over kind…payload
//!   1 sample   payload: time µs 8 · the sample's JSON
//!   2 batch    payload: last seq 8 · uuid 16 · node id         seq is the first of the batch
//!   3 settled  no payload: everything up to seq is done
//!   4 dropped  no payload: this one sample is done
//! ```
//!
//! * **Append before send.** A sample is in the file before anything is sent, so `kill -9` at any
//!   moment loses at most the record being written. Power loss may take what the kernel had not
//!   written yet: [`Spool::sync`] is called every few seconds, not for each sample, because flash
//!   in a probe wears out faster than its power fails.
//! * **A batch is remembered before its first try**: its id and its extent. After a crash the same
//!   id goes out with the same bytes, and the engine answers "already processed" instead of
//!   counting twice. Ack records are not synced; repeating an acked batch is harmless for the same
//!   reason.
//! * **Open** cuts a torn tail. Damage in the middle is stepped over: the next intact record is
//!   searched byte by byte, and only what the damage touched is gone.
//! * **Bounds**: bytes and age. The oldest samples fall out first, and are counted.
//! * Once everything is settled, or most of the file is, it is rewritten beside and renamed.
//!
//! Not here: sending, and the order of live data before backlog (it is oldest first).

mod record;
mod rewrite;

use fiber_contract::UnixMicros;
use record::{Kind, Record, Scan};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} the spool {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{0} is not a spool: its header is of another kind or version")]
    NotASpool(PathBuf),
    #[error("{0} is in use by another probe")]
    InUse(PathBuf),
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes_max: u64,
    pub age_max: Duration,
}

impl Default for Limits {
    /// Three days of six targets at 10 s are 155,000 samples of some 300 bytes: 47 MB.
    fn default() -> Self {
        Self {
            bytes_max: 64 * 1024 * 1024,
            age_max: Duration::from_secs(3 * 86_400),
        }
    }
}

/// What `open` found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    pub waiting: usize,
    /// Cut from the end: a record that was being written.
    pub torn_bytes: u64,
    /// Stepped over in the middle.
    pub damaged_bytes: u64,
}

/// A sample's number in the spool; later samples have higher ones, for the life of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: Seq,
    time: UnixMicros,
    /// Of the JSON in the file.
    offset: u64,
    len: u32,
}

/// A batch that was or is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Extent {
    id: Uuid,
    first: Seq,
    last: Seq,
    node_id: String,
}

/// Samples to send under one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: Uuid,
    pub seqs: Vec<Seq>,
    /// The whole request body.
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Everything behind this is nobody's.
    file_bytes: u64,
    live: VecDeque<Slot>,
    live_bytes: u64,
    next: Seq,
    open_batch: Option<Extent>,
    limits: Limits,
    dirty: bool,
    dropped: u64,
}

/// Every sample that a spool's file still shows, settled or not, in the order of its making. For
/// whoever accounts for a probe from outside; the probe may run meanwhile.
pub fn every_sample(path: &Path) -> Result<Vec<(Seq, Vec<u8>)>, Error> {
    const TIME_BYTES: usize = 8;
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    if !record::is_header(&bytes) {
        return Err(Error::NotASpool(path.to_path_buf()));
    }
    Ok(Scan::new(&bytes)
        .filter(|found| found.record.kind == Kind::Sample)
        .filter_map(|found| {
            let json = found.record.payload.get(TIME_BYTES..)?;
            Some((found.record.seq, json.to_vec()))
        })
        .collect())
}

/// Below this the file is left alone: rewriting costs more than it frees.
const REWRITE_BYTES_MIN: u64 = 256 * 1024;

impl Spool {
    pub fn open(path: &Path, limits: Limits) -> Result<(Self, Recovery), Error> {
        let io = |action| {
            move |source| Error::Io {
                action,
                path: path.to_path_buf(),
                source,
            }
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open"))?;
        file.try_lock()
            .map_err(|_| Error::InUse(path.to_path_buf()))?;
        let bytes = std::fs::read(path).map_err(io("read"))?;
        let mut spool = Self {
            path: path.to_path_buf(),
            file_bytes: record::HEADER_BYTES,
            live: VecDeque::new(),
            live_bytes: 0,
            next: Seq(1),
            open_batch: None,
            limits,
            dirty: true,
            dropped: 0,
            file: file.try_clone().map_err(io("open"))?,
        };
        let mut recovery = Recovery::default();
        if record::is_header(&bytes) {
            for found in Scan::new(&bytes) {
                recovery.damaged_bytes += found.damage_before;
                spool.file_bytes = found.end;
                spool.take_up(&found.record, found.payload_offset);
            }
            recovery.torn_bytes = bytes.len() as u64 - spool.file_bytes;
            file.set_len(spool.file_bytes)
                .map_err(io("cut the torn end of"))?;
        } else if record::is_torn_header(&bytes) {
            recovery.torn_bytes = bytes.len() as u64;
            file.set_len(0).map_err(io("empty"))?;
            file.seek(SeekFrom::Start(0)).map_err(io("empty"))?;
            file.write_all(&record::header()).map_err(io("begin"))?;
        } else {
            return Err(Error::NotASpool(path.to_path_buf()));
        }
        spool.forget_gone_batch();
        recovery.waiting = spool.live.len();
        Ok((spool, recovery))
    }

    /// Samples not settled yet.
    pub fn waiting(&self) -> usize {
        self.live.len()
    }

    pub fn oldest(&self) -> Option<UnixMicros> {
        self.live.front().map(|slot| slot.time)
    }

    /// Samples that fell out of the bounds since the spool was opened.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Stores a sample. On return it survives the end of this process.
    pub fn append(&mut self, time: UnixMicros, json: &[u8]) -> Result<Seq, Error> {
        self.enforce_limits(UnixMicros::now(), json.len() as u64)?;
        let seq = self.next;
        let mut payload = time.0.to_le_bytes().to_vec();
        payload.extend_from_slice(json);
        let offset = self.write(Kind::Sample, seq, &payload)?;
        self.take_up(
            &Record {
                kind: Kind::Sample,
                seq,
                payload: &payload,
            },
            offset,
        );
        Ok(seq)
    }

    /// The batch that was begun and not settled, else the oldest samples under a new id.
    pub fn next_batch(
        &mut self,
        samples_max: usize,
        node_id: &str,
    ) -> Result<Option<Batch>, Error> {
        self.enforce_limits(UnixMicros::now(), 0)?;
        if self.open_batch.is_none() {
            let Some(first) = self.live.front().map(|slot| slot.seq) else {
                return Ok(None);
            };
            let last = self
                .live
                .iter()
                .take(samples_max.max(1))
                .next_back()
                .map_or(first, |s| s.seq);
            self.begin(first, last, node_id)?;
        }
        let Some(extent) = &self.open_batch else {
            return Ok(None);
        };
        self.load(extent).map(Some)
    }

    /// Done with all samples of the batch: stored, or refused for good.
    pub fn settle(&mut self, batch: &Batch) -> Result<(), Error> {
        let Some(last) = batch.seqs.last() else {
            return Ok(());
        };
        self.write(Kind::Settled, *last, &[])?;
        self.forget(|slot| slot.seq <= *last);
        self.forget_gone_batch();
        self.rewrite_if_mostly_settled()
    }

    /// Done with some samples of the batch; the others go out again under another id.
    pub fn drop_samples(&mut self, batch: &Batch, seqs: &[Seq]) -> Result<(), Error> {
        for seq in seqs {
            self.write(Kind::Dropped, *seq, &[])?;
        }
        self.forget(|slot| seqs.contains(&slot.seq));
        self.renew(batch, batch.seqs.len())
    }

    /// Sends the first `samples_max` of the batch again under another id.
    pub fn renew(&mut self, batch: &Batch, samples_max: usize) -> Result<(), Error> {
        let Some(extent) = self.open_batch.take() else {
            return Ok(());
        };
        let inside = |slot: &&Slot| slot.seq >= extent.first && slot.seq <= extent.last;
        let mut members = self.live.iter().filter(inside).take(samples_max.max(1));
        let Some(first) = members.next().map(|slot| slot.seq) else {
            return Ok(());
        };
        let last = members.last().map_or(first, |slot| slot.seq);
        tracing::debug!(batch = %batch.id, first = first.0, last = last.0, "the batch gets a new id");
        self.begin(first, last, &extent.node_id)
    }

    /// Everything appended so far is on the medium on return.
    pub fn sync(&mut self) -> Result<(), Error> {
        if self.dirty {
            self.file
                .sync_data()
                .map_err(|source| self.io("sync", source))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn begin(&mut self, first: Seq, last: Seq, node_id: &str) -> Result<(), Error> {
        let extent = Extent {
            id: Uuid::now_v7(),
            first,
            last,
            node_id: node_id.to_owned(),
        };
        self.write(Kind::Batch, first, &extent.payload())?;
        self.open_batch = Some(extent);
        Ok(())
    }

    fn load(&self, extent: &Extent) -> Result<Batch, Error> {
        let node_id = serde_json::Value::from(extent.node_id.as_str());
        let mut body = format!("{{\"node_id\":{node_id},\"metrics\":[").into_bytes();
        let mut seqs = Vec::new();
        for slot in self
            .live
            .iter()
            .filter(|s| s.seq >= extent.first && s.seq <= extent.last)
        {
            if !seqs.is_empty() {
                body.push(b',');
            }
            let start = body.len();
            body.resize(start + slot.len as usize, 0);
            self.file
                .read_exact_at(&mut body[start..], slot.offset)
                .map_err(|source| self.io("read from", source))?;
            seqs.push(slot.seq);
        }
        body.extend_from_slice(b"]}");
        Ok(Batch {
            id: extent.id,
            seqs,
            body,
        })
    }

    /// Applies a record to what is in memory; the same for new ones and for those of `open`.
    fn take_up(&mut self, record: &Record<'_>, payload_offset: u64) {
        match record.kind {
            Kind::Sample => {
                let Some((time, json)) = record.payload.split_first_chunk::<8>() else {
                    return;
                };
                let slot = Slot {
                    seq: record.seq,
                    time: UnixMicros(i64::from_le_bytes(*time)),
                    offset: payload_offset + 8,
                    len: u32::try_from(json.len()).unwrap_or(u32::MAX),
                };
                self.live_bytes += slot.bytes();
                self.live.push_back(slot);
            }
            Kind::Batch => self.open_batch = Extent::read(record),
            Kind::Settled => self.forget(|slot| slot.seq <= record.seq),
            Kind::Dropped => self.forget(|slot| slot.seq == record.seq),
        }
        self.next = self.next.max(Seq(record.seq.0.saturating_add(1)));
    }

    fn forget(&mut self, mut gone: impl FnMut(&Slot) -> bool) {
        self.live.retain(|slot| !gone(slot));
        self.live_bytes = self.live.iter().map(Slot::bytes).sum();
    }

    /// A batch without a single sample left is over.
    fn forget_gone_batch(&mut self) {
        let is_left = |extent: &Extent| {
            self.live
                .iter()
                .any(|slot| slot.seq >= extent.first && slot.seq <= extent.last)
        };
        if !self.open_batch.as_ref().is_some_and(is_left) {
            self.open_batch = None;
        }
    }

    fn enforce_limits(&mut self, now: UnixMicros, coming_bytes: u64) -> Result<(), Error> {
        let age_us = i64::try_from(self.limits.age_max.as_micros()).unwrap_or(i64::MAX);
        let cutoff = UnixMicros(now.0.saturating_sub(age_us));
        let mut gone = None;
        let mut count = 0;
        let mut bytes = self.live_bytes + coming_bytes;
        for slot in &self.live {
            if slot.time >= cutoff && bytes <= self.limits.bytes_max {
                break;
            }
            bytes -= slot.bytes();
            count += 1;
            gone = Some(slot.seq);
        }
        let Some(gone) = gone else { return Ok(()) };
        tracing::warn!(
            samples = count,
            "the spool is full: its oldest samples are dropped"
        );
        self.dropped += count;
        self.write(Kind::Settled, gone, &[])?;
        self.forget(|slot| slot.seq <= gone);
        // The batch under way lost members: under its id it would be another body.
        if self
            .open_batch
            .as_ref()
            .is_some_and(|extent| extent.first <= gone)
        {
            self.open_batch = None;
        }
        self.rewrite_if_mostly_settled()
    }

    /// Appends a record and returns where its payload lies.
    fn write(&mut self, kind: Kind, seq: Seq, payload: &[u8]) -> Result<u64, Error> {
        let bytes = record::encode(kind, seq, payload);
        if let Err(source) = self.file.write_all_at(&bytes, self.file_bytes) {
            // Half a record must not lie under the next one; what cannot be cut, open will.
            if let Err(error) = self.file.set_len(self.file_bytes) {
                tracing::error!(%error, "cannot cut a half-written record");
            }
            return Err(self.io("append to", source));
        }
        let payload_offset = self.file_bytes + record::RECORD_HEAD_BYTES;
        self.file_bytes += bytes.len() as u64;
        self.dirty = true;
        Ok(payload_offset)
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

impl Slot {
    fn bytes(&self) -> u64 {
        record::RECORD_HEAD_BYTES + 8 + u64::from(self.len)
    }
}

impl Extent {
    fn payload(&self) -> Vec<u8> {
        let mut payload = self.last.0.to_le_bytes().to_vec();
        payload.extend_from_slice(self.id.as_bytes());
        payload.extend_from_slice(self.node_id.as_bytes());
        payload
    }

    fn read(record: &Record<'_>) -> Option<Self> {
        let (last, rest) = record.payload.split_first_chunk::<8>()?;
        let (id, node_id) = rest.split_first_chunk::<16>()?;
        Some(Self {
            id: Uuid::from_bytes(*id),
            first: record.seq,
            last: Seq(u64::from_le_bytes(*last)),
            node_id: String::from_utf8(node_id.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of a test")]
mod tests;
