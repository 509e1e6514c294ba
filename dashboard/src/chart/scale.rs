//! From values to pixels and back.

/// A straight line through two points: `domain` in the data, `range` on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) domain: (f64, f64),
    pub(crate) range: (f64, f64),
}

impl Scale {
    pub(crate) const fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range }
    }

    /// An empty domain lands in the middle, so that one constant value is still visible.
    pub(crate) fn map(&self, value: f64) -> f64 {
        let (from, to) = self.domain;
        if to == from {
            return f64::midpoint(self.range.0, self.range.1);
        }
        self.range.0 + (value - from) / (to - from) * (self.range.1 - self.range.0)
    }

    pub(crate) fn invert(&self, pixel: f64) -> f64 {
        let (from, to) = self.range;
        if to == from {
            return self.domain.0;
        }
        self.domain.0 + (pixel - from) / (to - from) * (self.domain.1 - self.domain.0)
    }
}

/// The next of 1, 2, 2.5, 5 × 10ⁿ at or above a positive value: the top of an axis.
pub(crate) fn nice_ceiling(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let magnitude = magnitude(value);
    for factor in [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0] {
        if value <= factor * magnitude * (1.0 + 1e-9) {
            return factor * magnitude;
        }
    }
    10.0 * magnitude
}

/// The power of ten at or below a positive value.
pub(crate) fn magnitude(value: f64) -> f64 {
    let mut magnitude = 1.0;
    while magnitude > value && magnitude > f64::MIN_POSITIVE * 1e2 {
        magnitude /= 10.0;
    }
    while magnitude * 10.0 <= value {
        magnitude *= 10.0;
    }
    magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_maps_back_to_its_value() {
        let scale = Scale::new((100.0, 200.0), (300.0, 0.0));
        assert!((scale.map(100.0) - 300.0).abs() < 1e-9);
        assert!((scale.map(150.0) - 150.0).abs() < 1e-9);
        assert!((scale.invert(scale.map(173.0)) - 173.0).abs() < 1e-9);
    }

    #[test]
    fn an_empty_domain_is_drawn_in_the_middle() {
        assert!((Scale::new((5.0, 5.0), (0.0, 10.0)).map(5.0) - 5.0).abs() < 1e-9);
        assert!(Scale::new((5.0, 5.0), (1.0, 1.0)).invert(4.0).is_finite());
    }

    #[test]
    fn magnitudes_are_powers_of_ten() {
        for (value, expect) in [
            (1.0, 1.0),
            (9.99, 1.0),
            (10.0, 10.0),
            (0.05, 0.01),
            (7e5, 1e5),
        ] {
            assert!((magnitude(value) / expect - 1.0).abs() < 1e-9, "{value}");
        }
        for value in [0.0, f64::MIN_POSITIVE, f64::MAX] {
            assert!(magnitude(value) > 0.0);
        }
    }

    #[test]
    fn ceilings_are_round_and_not_below() {
        for (value, expect) in [
            (0.0, 1.0),
            (0.7, 0.8),
            (1.0, 1.0),
            (41.0, 50.0),
            (101.0, 150.0),
        ] {
            assert!((nice_ceiling(value) - expect).abs() < 1e-9, "{value}");
        }
        assert!((nice_ceiling(f64::NAN) - 1.0).abs() < 1e-9);
    }
}
