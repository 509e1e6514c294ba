//! What identifies a series, and the keys made from it.
//!
//! Keys are XXH3-64 of the names with a separator that no name can hold, so every engine computes
//! the same key without asking anyone. They are stored for ever: the function must not change. A
//! collision is found when the name is registered (`copy`), and quarantined, never merged.

use fiber_contract::sample::Metadata;
use xxhash_rust::xxh3::Xxh3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeKey(pub i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey(pub i64);

/// The names of one series, as a batch carries them. Borrowed from the request or the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesName<'a> {
    pub node_id: &'a str,
    pub country: &'a str,
    pub region: &'a str,
    /// Empty when the samples name no target.
    pub target_host: &'a str,
    pub probe_type: &'a str,
}

/// No name may hold it: NUL is refused in every string of a sample.
const SEPARATOR: [u8; 1] = [0];

impl NodeKey {
    pub fn of(node_id: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(node_id.as_bytes()).cast_signed())
    }
}

impl SeriesKey {
    pub fn of(node_id: &str, target_host: &str, probe_type: &str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(node_id.as_bytes());
        hash.update(&SEPARATOR);
        hash.update(target_host.as_bytes());
        hash.update(&SEPARATOR);
        hash.update(probe_type.as_bytes());
        Self(hash.digest().cast_signed())
    }
}

impl SeriesName<'_> {
    pub fn node_key(&self) -> NodeKey {
        NodeKey::of(self.node_id)
    }

    pub fn series_key(&self) -> SeriesKey {
        SeriesKey::of(self.node_id, self.target_host, self.probe_type)
    }
}

/// What a node says about itself in `metadata`.
pub type NodePlace = Metadata;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_were() {
        // Stored rows carry these: a change here would split every series in two.
        assert_eq!(NodeKey::of("accra-01").0, NODE);
        assert_eq!(SeriesKey::of("accra-01", "example.net", "ping").0, SERIES);
    }

    const NODE: i64 = -6_434_757_636_088_960_620;
    const SERIES: i64 = -7_106_000_472_082_236_023;

    #[test]
    fn moving_a_letter_across_the_separator_is_another_series() {
        assert_ne!(
            SeriesKey::of("a", "bc", "ping"),
            SeriesKey::of("ab", "c", "ping")
        );
    }
}
