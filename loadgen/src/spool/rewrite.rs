//! Gives the space of settled samples back.

use super::{Error, REWRITE_BYTES_MIN, Slot, Spool};
use crate::spool::record::{self, Kind};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;

impl Spool {
    /// Rewrites the file when it is large and most of it is settled.
    pub(super) fn rewrite_if_mostly_settled(&mut self) -> Result<(), Error> {
        if self.file_bytes < REWRITE_BYTES_MIN || self.live_bytes * 2 > self.file_bytes {
            return Ok(());
        }
        let new_path = self.path.with_added_extension("new");
        let rewritten = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&new_path)
            .and_then(|file| self.copy_live(file))
            // The rename must not be on the medium before what it points to.
            .and_then(|(file, live, bytes)| {
                file.sync_all()?;
                std::fs::rename(&new_path, &self.path)?;
                if let Some(folder) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
                    File::open(folder)?.sync_all()?;
                }
                Ok((file, live, bytes))
            });
        let (file, live, bytes) = rewritten.map_err(|source| self.io("rewrite", source))?;
        (self.file, self.live, self.file_bytes) = (file, live, bytes);
        self.dirty = false;
        Ok(())
    }

    fn copy_live(&self, file: File) -> std::io::Result<(File, VecDeque<Slot>, u64)> {
        file.try_lock().map_err(std::io::Error::from)?;
        let mut out = BufWriter::new(&file);
        out.write_all(&record::header())?;
        let mut at = record::HEADER_BYTES;
        let mut put = |bytes: Vec<u8>| {
            let payload = at + record::RECORD_HEAD_BYTES;
            at += bytes.len() as u64;
            out.write_all(&bytes).map(|()| payload)
        };
        // Numbers go on from here even if no sample is left to show where they were.
        put(record::encode(
            Kind::Settled,
            super::Seq(self.settled_up_to()),
            &[],
        ))?;
        let mut live = VecDeque::with_capacity(self.live.len());
        for slot in &self.live {
            let mut payload = slot.time.0.to_le_bytes().to_vec();
            payload.resize(8 + slot.len as usize, 0);
            self.file.read_exact_at(&mut payload[8..], slot.offset)?;
            let offset = put(record::encode(Kind::Sample, slot.seq, &payload))? + 8;
            live.push_back(Slot { offset, ..*slot });
        }
        if let Some(extent) = &self.open_batch {
            put(record::encode(Kind::Batch, extent.first, &extent.payload()))?;
        }
        out.flush()?;
        drop(out);
        Ok((file, live, at))
    }

    /// Every number up to this one is settled.
    fn settled_up_to(&self) -> u64 {
        self.live.front().map_or(self.next.0, |slot| slot.seq.0) - 1
    }
}
