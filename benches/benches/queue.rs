//! The hand-off from the journal's thread to the writer's, one item per group.

#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fiber_engine::batch::HandOff;
use fiber_engine::limits::{SEALED_BYTES_MAX, SEALED_GROUPS_MAX};
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GROUP_BYTES: usize = 33_000;

fn queue() -> Arc<HandOff<u64>> {
    Arc::new(HandOff::new(SEALED_GROUPS_MAX, SEALED_BYTES_MAX))
}

fn cases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(1));
    let same = queue();
    group.bench_function(BenchmarkId::from_parameter("threads=1"), |bencher| {
        bencher.iter(|| {
            same.push(7, GROUP_BYTES).unwrap();
            assert_eq!(same.pop(), Some(7));
        });
    });
    group.bench_function(BenchmarkId::from_parameter("threads=2"), |bencher| {
        bencher.iter_custom(|items| {
            let queue = queue();
            let began = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for item in 0..items {
                        while queue.push(item, GROUP_BYTES).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
                for expect in 0..items {
                    let item = loop {
                        match queue.pop() {
                            Some(item) => break item,
                            None => std::thread::yield_now(),
                        }
                    };
                    assert_eq!(item, expect);
                }
            });
            began.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, cases);
criterion_main!(benches);
