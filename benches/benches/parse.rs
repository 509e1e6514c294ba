//! From a body to rows: `samples=1` is `/api/push` of one probe, `samples=500` a hub's batch.

#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fiber_contract::UnixMicros;
use fiber_engine::parse::{Limits, Scratch, parse};
use fiber_loadgen::workload::body::{SampleTemplate, TimestampCache};
use fiber_loadgen::workload::{ProbeWorkload, roster};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LIMITS: Limits = Limits {
    samples_max: 10_000,
    single_allowed: true,
};

/// The bytes that a fleet sends.
fn body(samples: u64, now: UnixMicros) -> Vec<u8> {
    let roster = roster::tagged("bench", 1);
    let template = SampleTemplate::new(&roster[0], 1.0);
    let workload = ProbeWorkload::new(1, 0);
    let (mut out, mut clock) = (Vec::new(), TimestampCache::default());
    if samples > 1 {
        template.batch_open(&mut out);
    }
    for number in 0..samples {
        if number > 0 {
            out.push(b',');
        }
        let time = UnixMicros(now.0 + i64::try_from(number).unwrap());
        template.sample(&mut out, &mut clock, time, workload.values(number), false);
    }
    if samples > 1 {
        SampleTemplate::batch_close(&mut out);
    }
    out
}

fn cases(criterion: &mut Criterion) {
    let now = UnixMicros::now();
    for in_bytes in [true, false] {
        let unit = if in_bytes { "bytes" } else { "samples" };
        let mut group = criterion.benchmark_group(format!("parse/{unit}"));
        for samples in [1, 500] {
            let body = body(samples, now);
            group.throughput(if in_bytes {
                Throughput::Bytes(body.len() as u64)
            } else {
                Throughput::Elements(samples)
            });
            let mut scratch = Scratch::default();
            let id = BenchmarkId::from_parameter(format!("samples={samples}"));
            group.bench_with_input(id, &body, |bencher, body| {
                // The parser changes the bytes, so each run gets its own.
                bencher.iter_batched(
                    || body.clone(),
                    |mut body| {
                        let parsed = parse(&mut body, LIMITS, now, &mut scratch).unwrap();
                        assert_eq!(u64::from(parsed.rows), samples);
                        parsed
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, cases);
criterion_main!(benches);
