//! One number for a name, by which it is known again.

use crate::journal::record::SeriesEntry;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// Any number that the keys are not made with: two hashes of a name then differ independently.
const FINGERPRINT_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn series_fingerprint(entry: &SeriesEntry<'_>) -> u64 {
    fingerprint(&[entry.node_id, entry.target_host, entry.probe_type])
}

/// Never 0, which stands for "none". The same in one step as in several, which set up 600 bytes of
/// state first: two of these are made of every sample that comes alone.
pub(super) fn fingerprint(names: &[&str]) -> u64 {
    const SHORT_BYTES: usize = 256;
    if let [name] = names {
        return xxh3_64_with_seed(name.as_bytes(), FINGERPRINT_SEED).max(1);
    }
    let (mut all, mut end) = ([0; SHORT_BYTES], 0);
    for name in names {
        let Some(place) = all.get_mut(end..end + name.len()) else {
            return fingerprint_in_steps(names);
        };
        place.copy_from_slice(name.as_bytes());
        end += name.len() + 1;
    }
    match all.get(..end) {
        Some(all) => xxh3_64_with_seed(all, FINGERPRINT_SEED).max(1),
        None => fingerprint_in_steps(names),
    }
}

fn fingerprint_in_steps(names: &[&str]) -> u64 {
    let mut hash = Xxh3::with_seed(FINGERPRINT_SEED);
    for name in names {
        hash.update(name.as_bytes());
        hash.update(&[0]);
    }
    hash.digest().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_in_one_step_and_in_several() {
        for length in (0..300).chain([1_000]) {
            let name = "n".repeat(length);
            for names in [["a", &name, ""], [&name, "", "b"], ["", "a", &name]] {
                assert_eq!(
                    fingerprint(&names),
                    fingerprint_in_steps(&names),
                    "{length}"
                );
            }
        }
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab", ""]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["", "ab"]));
    }
}
