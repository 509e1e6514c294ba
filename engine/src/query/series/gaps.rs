//! Stretches in which nothing was observed.

use super::reasons::NO_SAMPLES;
use fiber_contract::UnixMicros;
use fiber_contract::query::Gap;

/// What was observed: an instant, or a bucket that holds samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Observed {
    pub(super) from: UnixMicros,
    pub(super) to: UnixMicros,
}

/// The stretches of `from..to` longer than `quiet_s` that no observation touches. `observed` is in
/// any order.
pub(super) fn find(
    observed: &[Observed],
    from: UnixMicros,
    to: UnixMicros,
    quiet_s: f64,
) -> Vec<Gap> {
    let mut sorted = observed.to_vec();
    sorted.sort_unstable();
    let end = Observed { from: to, to };
    let mut known_to = from;
    let mut gaps = Vec::new();
    for next in sorted.into_iter().chain([end]) {
        if next.from.secs_since(known_to) > quiet_s {
            gaps.push(Gap {
                from: known_to,
                to: next.from,
                reason: NO_SAMPLES.to_owned(),
            });
        }
        known_to = known_to.max(next.to);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(observed: &[(i64, i64)], quiet_s: f64, expect: &[(i64, i64)]) {
        let at = UnixMicros::from_secs;
        let observed: Vec<_> = observed
            .iter()
            .map(|(from, to)| Observed {
                from: at(*from),
                to: at(*to),
            })
            .collect();
        let found: Vec<_> = find(&observed, at(0), at(1_000), quiet_s)
            .iter()
            .map(|gap| (gap.from.0 / 1_000_000, gap.to.0 / 1_000_000))
            .collect();
        assert_eq!(found, expect, "{observed:?}");
    }

    #[test]
    fn nothing_at_all_is_one_gap() {
        check(&[], 30.0, &[(0, 1_000)]);
        check(&[], 1_000.0, &[]);
    }

    #[test]
    fn the_edges_count_and_short_silences_do_not() {
        check(
            &[(30, 30), (60, 60), (91, 91), (980, 980)],
            30.0,
            &[(60, 91), (91, 980)],
        );
        check(&[(31, 31), (500, 500)], 470.0, &[(500, 1_000)]);
    }

    #[test]
    fn order_and_overlap_do_not_matter_and_buckets_have_a_length() {
        check(
            &[(600, 660), (0, 60), (60, 120), (0, 60)],
            60.0,
            &[(120, 600), (660, 1_000)],
        );
        check(&[(940, 1_060)], 60.0, &[(0, 940)]);
    }
}
