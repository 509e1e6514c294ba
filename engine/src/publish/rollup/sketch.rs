//! The distribution of a bucket's latencies: a DDSketch with 1 % relative error, which merges
//! without loss, in a form small enough to be a column.
//!
//! The mapping from value to bin is that of `sketches-ddsketch` (logarithmic, gamma = 1.01 / 0.99).
//! Its store is not used: it takes 128 counters at the least, and most buckets hold a handful of
//! samples. Ours is the sorted list of bins that are not empty; a range of 1 µs to 10 s has some
//! 800 of them at most, so nothing is ever collapsed.
//!
//! ```text
//! version u8 = 1 │ zero count varint │ bins varint │ first bin zigzag varint, count varint
//!                                                  │ { distance to the bin before varint, count varint }
//! ```
//! A varint is seven bits a byte, low ones first, the high bit set on all but the last.

use sketches_ddsketch::Config;
use std::sync::LazyLock;

/// Of every quantile, against the sample of that rank.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Milliseconds. What is not above it counts as zero: no network answers in a nanosecond.
const VALUE_MIN: f64 = 1e-6;
const VERSION: u8 = 1;
/// More than the mapping can produce for positive finite f32: a decoded sketch is bounded by it.
const BINS_MAX: u64 = 16_384;
/// A stored sketch that claims more samples was not written by an engine; sums of counts below it
/// neither overflow nor lose precision as f64.
const COUNT_MAX: u64 = 1 << 52;

static MAPPING: LazyLock<Config> = LazyLock::new(|| Config::new(RELATIVE_ERROR, 2_048, VALUE_MIN));

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    zeros: u64,
    /// By key; no count is zero.
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bin {
    key: i32,
    count: u64,
}

/// The bytes are no sketch of a version that this engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sketch")]
pub struct NotASketch;

/// Where a value falls; made once for a sample that goes into several sketches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(Option<i32>);

impl Place {
    pub fn of(value: f64) -> Self {
        Self((value > VALUE_MIN).then(|| MAPPING.key(value)))
    }
}

impl Sketch {
    pub fn add(&mut self, value: f64) {
        self.add_at(Place::of(value), 1);
    }

    pub fn add_at(&mut self, place: Place, count: u64) {
        let Some(key) = place.0 else {
            self.zeros += count;
            return;
        };
        match self.bins.binary_search_by_key(&key, |bin| bin.key) {
            Ok(at) => self.bins[at].count += count,
            Err(at) => self.bins.insert(at, Bin { key, count }),
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        // A few into many is the usual case: one bucket of a minute into that of a day.
        if other.bins.len() * 8 <= self.bins.len() {
            for bin in &other.bins {
                self.add_at(Place(Some(bin.key)), bin.count);
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.bins.len() + other.bins.len());
        let (mut ours, mut theirs) = (self.bins.as_slice(), other.bins.as_slice());
        while let (Some(a), Some(b)) = (ours.first(), theirs.first()) {
            let key = a.key.min(b.key);
            let mut count = 0;
            if a.key == key {
                count += a.count;
                ours = &ours[1..];
            }
            if b.key == key {
                count += b.count;
                theirs = &theirs[1..];
            }
            merged.push(Bin { key, count });
        }
        merged.extend_from_slice(ours);
        merged.extend_from_slice(theirs);
        self.bins = merged;
    }

    pub fn count(&self) -> u64 {
        self.zeros + self.bins.iter().map(|bin| bin.count).sum::<u64>()
    }

    pub fn is_empty(&self) -> bool {
        self.zeros == 0 && self.bins.is_empty()
    }

    /// The sample of nearest rank, `ceil(q × count)` from 1, as for raw rows, within the relative error; `None` when empty.
    /// `q` outside 0–1 is taken as the nearer end.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.quantiles([q]).map(|[value]| value)
    }

    /// Several at once, in one walk over the bins; the `qs` ascend.
    pub fn quantiles<const N: usize>(&self, qs: [f64; N]) -> Option<[f64; N]> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let mut bins = self.bins.iter();
        let mut seen = self.zeros;
        let mut value = 0.0;
        Some(qs.map(|q| {
            let rank = rank_of(q, count);
            while seen <= rank {
                let Some(bin) = bins.next() else { break };
                seen += bin.count;
                value = MAPPING.value(bin.key);
            }
            value
        }))
    }

    /// (value, count) of every bin that is not empty, ascending; zero first.
    pub fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        let zeros = (self.zeros > 0).then_some((0.0, self.zeros));
        zeros.into_iter().chain(
            self.bins
                .iter()
                .map(|bin| (MAPPING.value(bin.key), bin.count)),
        )
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6 + self.bins.len() * 2);
        out.push(VERSION);
        put_varint(&mut out, self.zeros);
        put_varint(&mut out, self.bins.len() as u64);
        let mut before = None;
        for bin in &self.bins {
            put_varint(
                &mut out,
                match before {
                    None => zigzag(bin.key),
                    Some(before) => u64::from(bin.key.abs_diff(before)),
                },
            );
            put_varint(&mut out, bin.count);
            before = Some(bin.key);
        }
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotASketch> {
        decode(bytes).ok_or(NotASketch)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "q is in 0–1, so the product is in 0–count; counts stay below 2^52"
)]
/// From 0.
fn rank_of(q: f64, count: u64) -> u64 {
    ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).saturating_sub(1)
}

fn decode(bytes: &[u8]) -> Option<Sketch> {
    let (&VERSION, mut rest) = bytes.split_first()? else {
        return None;
    };
    let zeros = take_varint(&mut rest)?;
    let len = take_varint(&mut rest).filter(|len| *len <= BINS_MAX)?;
    let mut bins: Vec<Bin> = Vec::new();
    let mut total = zeros;
    for _ in 0..len {
        let number = take_varint(&mut rest)?;
        let key = match bins.last() {
            None => unzigzag(number)?,
            Some(before) if number > 0 => before.key.checked_add(i32::try_from(number).ok()?)?,
            Some(_) => return None,
        };
        let count = take_varint(&mut rest).filter(|count| *count > 0)?;
        total = total.checked_add(count)?;
        bins.push(Bin { key, count });
    }
    (rest.is_empty() && total < COUNT_MAX).then_some(Sketch { zeros, bins })
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return None;
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(key: i32) -> u64 {
    u64::from(((key << 1) ^ (key >> 31)).cast_unsigned())
}

fn unzigzag(number: u64) -> Option<i32> {
    let number = u32::try_from(number).ok()?;
    Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch_of(values: &[f32]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.add(f64::from(*value));
        }
        sketch
    }

    fn latencies() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(
            prop_oneof![8 => 0.05_f32..500.0, 1 => 500.0_f32..10_000.0, 1 => Just(0.0_f32)],
            1..400,
        )
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_sample_of_its_rank_within_one_percent(
            values in latencies(), q in 0.0_f64..=1.0
        ) {
            let sketch = sketch_of(&values);
            let mut sorted = values;
            sorted.sort_by(f32::total_cmp);
            let at = usize::try_from(rank_of(q, sorted.len() as u64)).unwrap();
            let (expect, got) = (f64::from(sorted[at]), sketch.quantile(q).unwrap());
            prop_assert!((got - expect).abs() <= expect * (RELATIVE_ERROR + 1e-9), "{} {}", got, expect);
        }

        #[test]
        fn merging_is_adding_everything_to_one(a in latencies(), b in latencies()) {
            let mut merged = sketch_of(&a);
            merged.merge(&sketch_of(&b));
            let all: Vec<f32> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(merged, sketch_of(&all));
        }

        #[test]
        fn bytes_read_back_and_no_cut_of_them_does(values in latencies()) {
            let sketch = sketch_of(&values);
            let bytes = sketch.to_bytes();
            prop_assert_eq!(Sketch::from_bytes(&bytes), Ok(sketch));
            for len in 0..bytes.len() {
                prop_assert_eq!(Sketch::from_bytes(&bytes[..len]), Err(NotASketch));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(sketch) = Sketch::from_bytes(&bytes) {
                prop_assert!(sketch.bins.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn bytes_are_what_they_were() {
        // Stored rows hold these: another encoding needs another version.
        assert_eq!(sketch_of(&[0.0, 1.0, 1.0, 20.0]).to_bytes(), STORED);
    }

    const STORED: &[u8] = &[1, 1, 2, 0, 2, 149, 1, 1];

    #[test]
    fn an_empty_one_has_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(
            Sketch::from_bytes(&Sketch::default().to_bytes()),
            Ok(Sketch::default())
        );
    }
}
