//! Rows to tuples of binary COPY, and back for what the writer must know of them.

#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fiber_contract::UnixMicros;
use fiber_engine::copy::row::{Row, TUPLE_BYTES_TYPICAL, Tuples};
use fiber_engine::model::{NodeKey, SeriesKey};
use fiber_loadgen::workload::ProbeWorkload;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u64 = 500;
const PLACE: &str = r#"{"city":"Accra","lat":5.6,"lng":-0.19,"interval_s":2}"#;

fn rows(metadata: Option<&'static str>) -> Vec<Row<'static>> {
    let (workload, now) = (ProbeWorkload::new(1, 0), UnixMicros::now());
    (0..ROWS)
        .map(|number| {
            let values = workload.values(number);
            Row {
                time: UnixMicros(now.0 + i64::try_from(number).unwrap()),
                series_key: SeriesKey::of("accra-01", "hub", "tcp"),
                node_key: NodeKey::of("accra-01"),
                latency_ms: values.latency_ms(),
                uptime_pct: values.uptime_pct(),
                packet_loss: values.packet_loss(),
                metadata,
            }
        })
        .collect()
}

fn cases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy_rows");
    group.throughput(Throughput::Elements(ROWS));
    for (name, metadata) in [("false", None), ("true", Some(PLACE))] {
        let rows = rows(metadata);
        let mut tuples = Vec::with_capacity(rows.len() * (TUPLE_BYTES_TYPICAL + PLACE.len() + 1));
        let encode = BenchmarkId::new("encode", format!("metadata={name}"));
        group.bench_with_input(encode, &rows, |bencher, rows| {
            bencher.iter(|| {
                tuples.clear();
                for row in rows {
                    row.encode(&mut tuples);
                }
                black_box(tuples.len())
            });
        });
        let decode = BenchmarkId::new("decode", format!("metadata={name}"));
        group.bench_with_input(decode, &tuples, |bencher, tuples| {
            bencher.iter(|| {
                let newest = Tuples::new(tuples).map(|tuple| tuple.row.time).max();
                assert_eq!(newest, rows.last().map(|row| row.time));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cases);
criterion_main!(benches);
