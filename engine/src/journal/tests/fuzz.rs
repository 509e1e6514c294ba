//! Records and segments, mutated.

use super::rig::{Model, Rig, records};
use crate::copy::row::Tuples;
use crate::journal::OnDamage;
use crate::journal::record::{Record, SeriesEntry};
use crate::model::{BatchId, NodeKey, SeriesKey};
use crate::testing::disk::FakeDisk;
use crate::testing::fuzz;
use crate::testing::random::Random;
use fiber_contract::UnixMicros;
use uuid::Uuid;

fn record() -> Vec<u8> {
    let mut tuples = Vec::new();
    let row = crate::copy::row::Row {
        time: UnixMicros(1_795_460_400_000_000),
        series_key: SeriesKey(7),
        node_key: NodeKey(8),
        latency_ms: Some(12.5),
        uptime_pct: 100.0,
        packet_loss: 0.0,
        metadata: Some("{}"),
    };
    row.encode(&mut tuples);
    row.encode(&mut tuples);
    let entry = SeriesEntry {
        series_key: SeriesKey(7),
        node_key: NodeKey(8),
        node_id: "accra-01",
        country: "GH",
        region: "Greater Accra",
        target_host: "",
        probe_type: "ping",
        place: "",
    };
    let mut bytes = Vec::new();
    Record {
        batch_id: BatchId(Uuid::from_u128(5)),
        named_by_client: true,
        received_at: UnixMicros(1),
        body_hash: [3; 32],
        source_region: "west",
        trace_id: "trace",
        rejected: 1,
        answer: b"{}",
        series: vec![entry, entry],
        rows: 2,
        tuples: &tuples,
    }
    .encode(&mut bytes);
    bytes
}

const LENGTHS: [&[u8]; 4] = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\x7f",
];

#[test]
fn a_record_is_refused_or_read_as_it_would_be_written() {
    let mut read = 0_u64;
    fuzz::run(1, &[record()], &LENGTHS, |input, _| {
        let Some(record) = Record::decode(input) else {
            return;
        };
        read += 1;
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(Record::decode(&again), Some(record.clone()));
        Tuples::new(record.tuples).for_each(drop);
    });
    assert!(read > 0);
}

/// Every group has a checksum, so what is wrong is seen; what is set aside is not seen again.
#[test]
fn a_journal_of_any_bytes_is_refused_or_opens_for_good() {
    let disk = FakeDisk::new(1);
    let mut model = Model::default();
    let mut rig = Rig::open(&disk, OnDamage::Refuse).unwrap();
    let mut random = Random::new(2);
    for _ in 0..40 {
        rig.append(&records(&mut random, &mut model.made, 900));
        rig.tidy();
    }
    drop(rig);
    disk.kill();
    let mut segments = disk.names();
    segments.retain(|name| name.ends_with(".seg"));
    let seeds: Vec<_> = segments
        .iter()
        .map(|name| disk.read(name).unwrap())
        .collect();
    fuzz::run(50, &seeds, &LENGTHS, |input, random| {
        let disk = disk.copy();
        disk.plant(&segments[random.below(segments.len())], input);
        let Ok(rig) = Rig::open(&disk, OnDamage::Quarantine) else {
            return;
        };
        let found = rig.read().unwrap();
        drop(rig);
        disk.kill();
        let again = Rig::open(&disk, OnDamage::Refuse).unwrap();
        assert_eq!(again.read().unwrap(), found);
    });
}
