//! gzip (RFC 1952): one member, or a few behind one another.

use super::{Fault, PARTS_MAX, STEP_SENT_BYTES, Steps};
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Plain bytes of a step.
const STEP_BYTES: usize = 64 * 1024;
/// Of every member: magic, method, flags, time, extra flags, system.
const HEADER_BYTES: usize = 10;
/// CRC-32 and length of what is plain.
const TRAILER_BYTES: usize = 8;

pub(super) struct Members<'b> {
    sent: &'b [u8],
    members: usize,
    inflate: Decompress,
    crc: Crc,
    within: bool,
}

impl<'b> Members<'b> {
    pub(super) fn new(sent: &'b [u8]) -> Self {
        Self {
            sent,
            members: 0,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            within: false,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<&'b [u8], Fault> {
        let (taken, rest) = self.sent.split_at_checked(bytes).ok_or(Fault::Broken)?;
        self.sent = rest;
        Ok(taken)
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.members += 1;
        if self.members > PARTS_MAX {
            return Err(Fault::Broken);
        }
        let header = self.take(HEADER_BYTES)?;
        let flags = header[3];
        // Magic, deflate, and none of the bits that mean nothing.
        if header[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
            return Err(Fault::Broken);
        }
        if flags & 0x04 != 0 {
            let length = self.take(2)?;
            self.take(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        }
        // A name and a comment, each with a zero at its end.
        for flag in [0x08, 0x10] {
            if flags & flag != 0 {
                let end = memchr::memchr(0, self.sent).ok_or(Fault::Broken)?;
                self.take(end + 1)?;
            }
        }
        // A checksum of the header: of no use, as the data has its own.
        if flags & 0x02 != 0 {
            self.take(2)?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        self.within = true;
        Ok(())
    }

    fn end(&mut self) -> Result<bool, Fault> {
        let trailer = self.take(TRAILER_BYTES)?;
        let told = [self.crc.sum(), self.crc.amount()].map(u32::to_le_bytes);
        if trailer != told.as_flattened() {
            return Err(Fault::Broken);
        }
        self.within = false;
        Ok(self.sent.is_empty())
    }
}

impl Steps for Members<'_> {
    fn step(&mut self, plain: &mut Vec<u8>) -> Result<bool, Fault> {
        if !self.within {
            self.begin()?;
        }
        let start = plain.len();
        plain.resize(start + STEP_BYTES, 0);
        let (taken_before, made_before) = (self.inflate.total_in(), self.inflate.total_out());
        let some = &self.sent[..self.sent.len().min(STEP_SENT_BYTES)];
        let status = self
            .inflate
            .decompress(some, &mut plain[start..], FlushDecompress::None);
        let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let taken = count(self.inflate.total_in(), taken_before);
        let made = count(self.inflate.total_out(), made_before);
        plain.truncate(start + made);
        self.crc.update(&plain[start..]);
        self.sent = &self.sent[taken..];
        match status {
            Ok(Status::StreamEnd) => self.end(),
            // Without progress nothing more can come of it.
            Ok(Status::Ok | Status::BufError) if taken > 0 || made > 0 => Ok(false),
            Ok(_) | Err(_) => Err(Fault::Broken),
        }
    }

    fn held_bytes(&self) -> usize {
        0
    }
}
