//! Append to durable, on the real disk: `records` wait at once, and share what flushes they can.
//! The folder is under /var/tmp (or `FIBER_SCRATCH`); on tmpfs the figures mean nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fiber_engine::journal::{Appender, Options, Running, open_dir};
use fiber_engine::limits::JOURNAL_BYTES_MAX_DEFAULT;
use fiber_local::scratch::Scratch;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A record of one sample with its names, and one of 500 samples.
const RECORD_BYTES: [usize; 2] = [300, 33_000];
const WAITING: [usize; 3] = [1, 32, 1_000];
/// A run may not hold more than the journal's queue takes.
const QUEUED_BYTES_MAX: usize = 40 << 20;

fn start(dir: &Scratch) -> Running {
    let options = Options::new(dir.path().join("journal"), JOURNAL_BYTES_MAX_DEFAULT);
    open_dir(&options).unwrap().start().unwrap()
}

async fn commit(appender: &Appender, records: usize, record: &[u8]) {
    let pending: Vec<_> = (0..records)
        .map(|_| appender.try_append(record.to_vec(), 1).unwrap())
        .collect();
    for one in pending {
        one.await.unwrap().unwrap();
    }
}

fn cases(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("journal");
    for bytes in RECORD_BYTES {
        for records in WAITING {
            if bytes * records > QUEUED_BYTES_MAX {
                continue;
            }
            let dir = Scratch::new("journal").unwrap();
            let running = start(&dir);
            let record = vec![0xA5; bytes];
            group.throughput(Throughput::Elements(records as u64));
            let id = BenchmarkId::from_parameter(format!("bytes={bytes}/records={records}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    runtime.block_on(commit(&running.appender, records, &record));
                    // As the writer does when the rows are in the table, so that the folder stays small.
                    running.feed.release(running.stats.durable_seq());
                });
            });
            running.stop();
        }
    }
    group.finish();
}

criterion_group!(benches, cases);
criterion_main!(benches);
