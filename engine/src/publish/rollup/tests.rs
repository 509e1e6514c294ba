//! The buckets against a recount of all samples; the database is a map.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// What the tables hold, per level.
type Tables = [HashMap<BucketKey, Bucket>; LEVELS.len()];

#[derive(Clone, Debug)]
enum Step {
    /// A transaction with these rows.
    Write(Vec<(i64, i64, Option<f32>)>),
    /// A transaction that fails at COMMIT: nothing of it is in the tables.
    Fail(Vec<(i64, i64, Option<f32>)>),
    /// A new session.
    Forget,
}

fn rows() -> impl Strategy<Value = Vec<(i64, i64, Option<f32>)>> {
    // Eighths, so that sums are exact in any order; two days, so that every level has several.
    let latency = prop::option::weighted(0.9, (0_u16..60_000).prop_map(|n| f32::from(n) / 8.0));
    prop::collection::vec((0_i64..3, 0_i64..2_880, latency), 0..40)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => rows().prop_map(Step::Write),
        1 => rows().prop_map(Step::Fail),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..20)
}

fn stored(rows: &[(i64, i64, Option<f32>)], newest: &HashMap<i64, i64>) -> Vec<Stored> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(series, minute, _)| (*series, *minute));
    let row = |(series, minute, latency_ms): (i64, i64, Option<f32>)| Stored {
        series_key: SeriesKey(series),
        node_key: NodeKey(-series),
        newest_before: newest.get(&series).map(|minute| at(*minute)),
        sample: StoredSample {
            time: at(minute),
            latency_ms,
            uptime_pct: 50.0,
            packet_loss: if latency_ms.is_some() { 0.5 } else { 100.0 },
        },
    };
    rows.into_iter().map(row).collect()
}

/// 40 s apart, so that minutes hold one or two.
fn at(step: i64) -> UnixMicros {
    UnixMicros::from_secs(1_700_000_000 + step * 40)
}

/// What `Rollups::write` does, with maps for tables.
fn write(rollups: &mut Rollups, tables: &mut Tables, rows: Vec<Stored>) {
    let mut deltas = fold_rows(rows.into_iter(), LEVELS[0].step_s);
    for (level, table) in tables.iter_mut().enumerate() {
        if level > 0 {
            deltas = fold_deltas(&deltas, LEVELS[level].step_s);
        }
        let open = &mut rollups.open[level];
        open.turn();
        for key in missing_keys(open, &deltas) {
            if let Some(bucket) = table.get(&key) {
                open.insert(key, bucket.clone());
            }
        }
        for delta in &deltas {
            let bucket = add(open, delta).clone();
            let rev = table.get(&delta.key).map_or(0, |stored| stored.rev);
            assert_eq!(bucket.rev, rev + 1, "the row changed under the writer");
            // Stored sketches have been through their bytes.
            let sketch = Sketch::from_bytes(&bucket.sketch.to_bytes()).unwrap();
            table.insert(delta.key, Bucket { sketch, ..bucket });
        }
    }
}

fn check(tables: &Tables, all: &[(i64, i64, Option<f32>)]) -> Result<(), TestCaseError> {
    for (level, table) in LEVELS.iter().zip(tables) {
        let mut truth: HashMap<BucketKey, Vec<Option<f32>>> = HashMap::new();
        for (series, minute, latency) in all {
            let key = (SeriesKey(*series), at(*minute).floor_to(level.step_s));
            truth.entry(key).or_default().push(*latency);
        }
        prop_assert_eq!(table.len(), truth.len());
        for (key, samples) in truth {
            let bucket = &table[&key];
            let mut latencies: Vec<f32> = samples.iter().flatten().copied().collect();
            latencies.sort_by(f32::total_cmp);
            prop_assert_eq!(bucket.count, i64::try_from(samples.len()).unwrap());
            prop_assert_eq!(
                bucket.latency_count,
                i64::try_from(latencies.len()).unwrap()
            );
            let sum: f64 = latencies.iter().map(|latency| f64::from(*latency)).sum();
            prop_assert_eq!(bucket.latency_sum, sum);
            prop_assert_eq!(bucket.latency_min, latencies.first().copied());
            prop_assert_eq!(bucket.latency_max, latencies.last().copied());
            prop_assert_eq!(bucket.uptime_sum, 50.0 * samples.len() as f64);
            if let Some(percentiles) = bucket.percentiles() {
                for (q, got) in [50, 95, 99].into_iter().zip(percentiles) {
                    let expect = latencies[(q * latencies.len()).div_ceil(100) - 1];
                    let off = (got - expect).abs();
                    prop_assert!(off <= expect * 0.0101, "p{}: {} for {}", q, got, expect);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn buckets_are_a_recount_of_all_samples(steps in steps(), buckets_max in 1_usize..50) {
        let mut rollups = Rollups { open: std::array::from_fn(|_| OpenBuckets::new(buckets_max)) };
        let mut tables = Tables::default();
        let mut all = Vec::new();
        let mut newest: HashMap<i64, i64> = HashMap::new();
        for step in steps {
            match step {
                Step::Write(rows) => {
                    write(&mut rollups, &mut tables, stored(&rows, &newest));
                    for (series, minute, _) in &rows {
                        let newest = newest.entry(*series).or_insert(*minute);
                        *newest = (*newest).max(*minute);
                    }
                    all.extend(rows);
                }
                Step::Fail(rows) => {
                    let mut lost = tables.clone();
                    write(&mut rollups, &mut lost, stored(&rows, &newest));
                    rollups.forget();
                }
                Step::Forget => rollups.forget(),
            }
            check(&tables, &all)?;
        }
    }
}

#[test]
fn a_bucket_that_cannot_be_stored_is_not_asked_for() {
    let open = OpenBuckets::new(10);
    let rows = stored(&[(1, 10, None), (1, 100, None)], &HashMap::from([(1, 50)]));
    let deltas = fold_rows(rows.into_iter(), 60);
    assert_eq!(
        missing_keys(&open, &deltas),
        [(SeriesKey(1), at(10).floor_to(60))]
    );
}

#[test]
fn a_sketch_that_claims_more_samples_than_there_can_be_is_refused() {
    let claims = |count: u64| {
        let mut sketch = Sketch::default();
        sketch.add_at(sketch::Place::of(1.0), count);
        Sketch::from_bytes(&sketch.to_bytes())
    };
    assert!(claims(1 << 51).is_ok());
    assert!(claims(u64::MAX).is_err());
}

#[test]
fn fuzz_a_stored_sketch_is_refused_or_can_be_used() {
    let mut full = Sketch::default();
    for value in 1..400_u32 {
        full.add_at(sketch::Place::of(f64::from(value * value) / 8.0), 1);
    }
    let seeds = [full.to_bytes(), Sketch::default().to_bytes()];
    crate::testing::fuzz::run(
        1,
        &seeds,
        &[b"\xff\xff\xff\xff", b"\0\0\0\0"],
        |input, _| {
            let Ok(mut sketch) = Sketch::from_bytes(input) else {
                return;
            };
            let again = Sketch::from_bytes(&sketch.to_bytes()).unwrap();
            assert_eq!(again, sketch);
            sketch.quantiles([0.0, 0.5, 1.0]);
            sketch.merge(&again);
        },
    );
}
