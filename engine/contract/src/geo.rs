//! Where a country is, for nodes that never told their own place.

/// Label point of a country, (lat, lng) in degrees; `None` for a code that is not assigned.
pub fn country_centroid(_code: &str) -> Option<(f64, f64)> {
    None
}
