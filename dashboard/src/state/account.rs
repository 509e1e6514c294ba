//! Whether counts of the ledger add up, in words.

use fiber_contract::NodeState;
use fiber_contract::account::LedgerCounts;

use crate::format;

/// How a line of the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: NodeState,
    pub(crate) words: String,
}

/// `in_flight` is what may still be on its way into these counts.
pub(crate) fn verdict(counts: &LedgerCounts, in_flight: u64) -> Verdict {
    let open = counts.unexplained();
    let (state, words) = if open == 0 {
        (NodeState::Up, "closes".to_owned())
    } else if open > 0 && open <= i128::from(in_flight) {
        let words = format!("{} in flight", amount(open));
        (NodeState::Unobserved, words)
    } else if open > 0 {
        let words = format!("{} unexplained", amount(open));
        (NodeState::Down, words)
    } else {
        let words = format!("{} too many", amount(-open));
        (NodeState::Down, words)
    };
    Verdict { state, words }
}

fn amount(value: i128) -> String {
    format::count(u64::try_from(value).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counts: (u64, u64, u64, u64), in_flight: u64, state: NodeState, words: &str) {
        let (received, stored, duplicate, quarantined) = counts;
        let counts = LedgerCounts {
            received,
            stored,
            duplicate,
            quarantined,
        };
        let found = verdict(&counts, in_flight);
        assert_eq!((found.state, found.words.as_str()), (state, words));
    }

    #[test]
    fn green_only_while_it_closes() {
        check((10, 7, 2, 1), 0, NodeState::Up, "closes");
        check((0, 0, 0, 0), 5, NodeState::Up, "closes");
    }

    #[test]
    fn what_is_on_its_way_is_neither_proof_nor_loss() {
        check((10, 7, 0, 0), 3, NodeState::Unobserved, "3 in flight");
        check((10, 7, 0, 0), 2, NodeState::Down, "3 unexplained");
    }

    #[test]
    fn more_stored_than_received_is_a_defect_whatever_is_in_flight() {
        check(
            (1_000, 3_000, 0, 0),
            9_999,
            NodeState::Down,
            "2,000 too many",
        );
    }
}
