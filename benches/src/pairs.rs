//! Two sides in turns: A-B-B-A, so that a machine that slows down or speeds up meanwhile does it to
//! both alike.

use anyhow::Result;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Side {
    /// Per second; the unit is the figure's.
    pub rate: f64,
    /// CPU microseconds of one event, by process.
    pub cpu_us_each: Vec<(&'static str, f64)>,
    /// The most that the measured server held.
    pub rss_peak_bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Pairs {
    pub a: Vec<Side>,
    pub b: Vec<Side>,
}

/// Measures `count` pairs. Both closures get the number of the pair.
pub fn measure(
    count: usize,
    mut a: impl FnMut(usize) -> Result<Side>,
    mut b: impl FnMut(usize) -> Result<Side>,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for pair in 0..count {
        if pair % 2 == 0 {
            pairs.a.push(a(pair)?);
            pairs.b.push(b(pair)?);
        } else {
            pairs.b.push(b(pair)?);
            pairs.a.push(a(pair)?);
        }
    }
    Ok(pairs)
}

impl Pairs {
    pub fn ratios(&self) -> Vec<f64> {
        let sides = self.a.iter().zip(&self.b);
        sides.map(|(a, b)| a.rate / b.rate).collect()
    }
}

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self {
            median,
            least: sorted[0],
            most: sorted[sorted.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_order_is_a_b_b_a() {
        let order = RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            Ok(Side {
                rate: 1.0,
                cpu_us_each: Vec::new(),
                rss_peak_bytes: 0,
            })
        };
        measure(3, |_| side('a'), |_| side('b')).unwrap();
        assert_eq!(order.into_inner(), "abbaab");
    }

    #[test]
    fn the_median_of_an_even_count_is_between() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!((spread.median, spread.least, spread.most), (2.5, 1.0, 4.0));
    }
}
