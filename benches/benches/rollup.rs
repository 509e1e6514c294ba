//! Buckets: adding rows, merging a minute into an hour that holds `bins` distinct latencies, and
//! the sketch as the column that is written.

#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fiber_contract::UnixMicros;
use fiber_engine::model::NodeKey;
use fiber_engine::publish::notify::StoredSample;
use fiber_engine::publish::rollup::{Bucket, Sketch};
use fiber_loadgen::workload::ProbeWorkload;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn samples(probe: u32, count: u64) -> Vec<StoredSample> {
    let workload = ProbeWorkload::new(1, probe);
    (0..count)
        .map(|number| {
            let values = workload.values(number);
            StoredSample {
                time: UnixMicros(i64::try_from(number).unwrap()),
                latency_ms: values.latency_ms(),
                uptime_pct: values.uptime_pct(),
                packet_loss: values.packet_loss(),
            }
        })
        .collect()
}

fn bucket(samples: &[StoredSample]) -> Bucket {
    let mut bucket = Bucket::new(NodeKey(1));
    for sample in samples {
        bucket.add(sample);
    }
    bucket
}

fn cases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rollup");
    for count in [30, 30_000] {
        let rows = samples(0, count);
        group.throughput(Throughput::Elements(count));
        let id = BenchmarkId::new("add", format!("rows={count}"));
        group.bench_with_input(id, &rows, |bencher, rows| {
            bencher.iter(|| {
                let bucket = bucket(rows);
                assert_eq!(bucket.count.unsigned_abs(), count);
                bucket
            });
        });
    }
    // A minute of a probe that samples every two seconds, into an hour of one probe and of many.
    let minute = bucket(&samples(0, 30));
    for probes in [1, 50] {
        let hour = bucket(
            &(0..probes)
                .flat_map(|probe| samples(probe, 1_800))
                .collect::<Vec<_>>(),
        );
        let bins = hour.sketch.values().count();
        group.throughput(Throughput::Elements(1));
        let merge = BenchmarkId::new("merge", format!("bins={bins}"));
        group.bench_with_input(merge, &hour, |bencher, hour| {
            bencher.iter_batched(
                || hour.clone(),
                |mut hour| {
                    hour.merge(&minute);
                    hour
                },
                BatchSize::SmallInput,
            );
        });
        let bytes = BenchmarkId::new("to_bytes", format!("bins={bins}"));
        group.bench_with_input(bytes, &hour.sketch, |bencher, sketch| {
            bencher.iter(|| black_box(sketch.to_bytes()));
        });
        let stored = hour.sketch.to_bytes();
        let read = BenchmarkId::new("from_bytes", format!("bins={bins}"));
        group.bench_with_input(read, &stored, |bencher, stored| {
            bencher.iter(|| Sketch::from_bytes(stored).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, cases);
criterion_main!(benches);
