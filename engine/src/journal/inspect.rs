//! `fiber-engine journal inspect <dir>`: what a journal holds, without touching it.

use super::group::Place;
use super::segment::{self, BadHeader, FORMAT_VERSION, Header};
use super::storage::{Disk, Storage};
use super::{record::Record, scan};
use crate::model::GroupSeq;
use std::io::{self, Write};
use std::path::Path;

/// Writes one line per segment, one per group when `groups` is set, and a sum. True when nothing
/// is damaged. A running engine's journal may be looked at: its last group may then look torn.
pub fn inspect(dir: &Path, groups: bool, out: &mut impl Write) -> io::Result<bool> {
    let disk = Disk::read_only(dir)?;
    let mut numbers: Vec<_> = disk
        .list()?
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let mut sum = Sum::default();
    let mut bytes = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        scan::read(&*disk.open(&segment::file_name(*number))?, &mut bytes)?;
        let is_last = at + 1 == numbers.len();
        inspect_segment(*number, &bytes, (groups, is_last), &mut sum, out)?;
    }
    sum.write(out, numbers.len())?;
    Ok(!sum.damaged)
}

fn inspect_segment(
    number: u64,
    bytes: &[u8],
    (groups, is_last): (bool, bool),
    sum: &mut Sum,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = segment::file_name(number);
    let Header {
        journal,
        first_seq,
        file_bytes,
        ..
    } = match scan::header(bytes) {
        Ok(header) => header,
        Err(error) => {
            sum.damaged = true;
            return match error {
                BadHeader::Damaged => writeln!(out, "{name}: the header is damaged"),
                BadHeader::Version(found) => {
                    writeln!(out, "{name}: format {found}, known is {FORMAT_VERSION}")
                }
            };
        }
    };
    if sum.expected.is_none() {
        writeln!(out, "journal {}, format {FORMAT_VERSION}", journal.0)?;
    }
    if let Some(expected) = sum.expected.filter(|expected| *expected != first_seq) {
        sum.damaged = true;
        writeln!(
            out,
            "damage: group {expected} should follow and {name} begins at {first_seq}"
        )?;
    }
    let mut lines = Ok(());
    let place = Place {
        journal,
        segment: number,
    };
    let found = scan::scan(bytes, place, Some(first_seq), |offset, head| {
        sum.count(head);
        if groups && lines.is_ok() {
            lines = describe(out, offset, head, &bytes[offset..offset + head.bytes]);
        }
    });
    lines?;
    let last_seq = found
        .runs
        .last()
        .map_or(GroupSeq(first_seq.0 - 1), |run| run.last);
    writeln!(
        out,
        "{name}: from group {first_seq} through {last_seq}, {} bytes",
        found.end
    )?;
    sum.damaged |= report_holes(out, &name, &found, first_seq)?;
    if (bytes.len() as u64) < file_bytes {
        sum.damaged |= is_last;
        writeln!(out, "{name}: cut, {} bytes of {file_bytes}", bytes.len())?;
    }
    if let Some(dirty_to) = found.dirty_to.filter(|_| is_last) {
        let (bytes, end) = (dirty_to - found.end, found.end);
        sum.damaged |= found.remains.is_some();
        match found.remains {
            Some(last) => writeln!(out, "damage: {name} at {end}: groups up to {last} lost")?,
            None => writeln!(out, "{name} at {end}: {bytes} bytes of a torn group")?,
        }
    }
    sum.expected = Some(last_seq.next());
    Ok(())
}

#[derive(Default)]
struct Sum {
    groups: u64,
    records: u64,
    samples: u64,
    gaps: u64,
    damaged: bool,
    /// Sequence after the last.
    expected: Option<GroupSeq>,
}

impl Sum {
    fn count(&mut self, head: &super::group::Head) {
        match head.gap_through {
            Some(through) => self.gaps += through.0 - head.seq.0 + 1,
            None => self.groups += 1,
        }
        self.records += u64::from(head.records);
        self.samples += u64::from(head.samples);
    }

    fn write(&self, out: &mut impl Write, segments: usize) -> io::Result<()> {
        let Self {
            groups,
            records,
            samples,
            gaps,
            damaged,
            ..
        } = self;
        writeln!(
            out,
            "{segments} segments, {groups} groups, {records} records, {samples} samples"
        )?;
        if *gaps > 0 {
            writeln!(
                out,
                "{gaps} sequences are marked as never to be given again"
            )?;
        }
        writeln!(out, "{}", if *damaged { "damaged" } else { "whole" })
    }
}

fn report_holes(
    out: &mut impl Write,
    name: &str,
    found: &scan::Scan,
    first_seq: GroupSeq,
) -> io::Result<bool> {
    let mut damaged = false;
    let (mut end, mut expected) = (
        usize::try_from(segment::FIRST_GROUP_AT).unwrap_or(0),
        first_seq,
    );
    for run in &found.runs {
        if run.from != end || run.first != expected {
            damaged = true;
            let (from, last) = (run.from, run.first.0 - 1);
            writeln!(
                out,
                "damage: {name} bytes {end} to {from}: groups {expected} to {last} lost"
            )?;
        }
        (end, expected) = (run.to, run.last.next());
    }
    Ok(damaged)
}

fn describe(
    out: &mut impl Write,
    offset: usize,
    head: &super::group::Head,
    group: &[u8],
) -> io::Result<()> {
    if let Some(through) = head.gap_through {
        return writeln!(out, "  at {offset}: gap, {} through {through}", head.seq);
    }
    let (seq, bytes, records, samples) = (head.seq, head.bytes, head.records, head.samples);
    let at = head.sealed_at;
    writeln!(
        out,
        "  at {offset}: group {seq}, {bytes} bytes, {records} records, {samples} samples, {at}"
    )?;
    let group = bytes::Bytes::copy_from_slice(group);
    for record in super::group::records(&group, head).unwrap_or_default() {
        match Record::decode(&record) {
            Some(record) => writeln!(
                out,
                "    batch {} received {}, {} rows, {} series, trace {:?}",
                record.batch_id.0,
                record.received_at,
                record.rows,
                record.series.len(),
                record.trace_id
            )?,
            None => writeln!(
                out,
                "    {} bytes that are no batch of this version",
                record.len()
            )?,
        }
    }
    Ok(())
}
