//! The fleet in one calm sentence.
//!
//! A node's shown state follows its live state with hysteresis: worse after it has lasted
//! `WORSE_AFTER_S`, better after `BETTER_AFTER_S`. So a single lost round moves no headline, and a
//! flapping node stays named until it has really recovered. The counts beside the sentence are live, so
//! it says how many nodes are on their way to another state: the two must not contradict each other.

use std::collections::BTreeMap;

use fiber_contract::{NodeState, UnixMicros};

use super::fleet::Fleet;
use crate::format;

const WORSE_AFTER_S: f64 = 10.0;
const BETTER_AFTER_S: f64 = 30.0;
/// Names in the sentence before it says how many more.
const NAMES_MAX: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Settled {
    shown: NodeState,
    /// Since when the live state is another one.
    other_since: Option<UnixMicros>,
}

/// What every node is shown as.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settling(BTreeMap<String, Settled>);

impl Settling {
    /// A node seen for the first time is shown as it is.
    pub(crate) fn observe<'a>(
        &mut self,
        now: UnixMicros,
        states: impl Iterator<Item = (&'a String, NodeState)>,
    ) {
        let mut next = BTreeMap::new();
        for (id, live) in states {
            let before = self.0.remove(id).unwrap_or(Settled {
                shown: live,
                other_since: None,
            });
            next.insert(id.clone(), settle(before, live, now));
        }
        self.0 = next;
    }

    pub(crate) fn shown(&self, id: &str) -> Option<NodeState> {
        self.0.get(id).map(|settled| settled.shown)
    }
}

fn settle(before: Settled, live: NodeState, now: UnixMicros) -> Settled {
    if live == before.shown {
        return Settled {
            other_since: None,
            ..before
        };
    }
    let since = before.other_since.unwrap_or(now);
    // The order of states is worst first.
    let patience_s = if live < before.shown {
        WORSE_AFTER_S
    } else {
        BETTER_AFTER_S
    };
    if now.secs_since(since) >= patience_s {
        Settled {
            shown: live,
            other_since: None,
        }
    } else {
        Settled {
            other_since: Some(since),
            ..before
        }
    }
}

/// The sentence and the state that colours it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posture {
    pub(crate) worst: NodeState,
    pub(crate) headline: String,
    pub(crate) detail: String,
    /// What the sentence does not say yet: a few words, or none.
    pub(crate) changing: String,
}

/// Nodes whose live state is not the one that they are shown as.
fn changing(fleet: &Fleet) -> String {
    let nodes = fleet.nodes.iter();
    match nodes
        .filter(|(id, node)| {
            let shown = fleet.settling.shown(id);
            shown.is_some_and(|shown| shown != node.state)
        })
        .count()
    {
        0 => String::new(),
        count => format!("{} just changed", format::count(count as u64)),
    }
}

pub(crate) fn posture(fleet: &Fleet) -> Posture {
    let named = |state: NodeState| -> Vec<String> {
        fleet
            .nodes
            .iter()
            .filter(|(id, node)| fleet.settling.shown(id).unwrap_or(node.state) == state)
            .map(|(id, node)| node.city.clone().unwrap_or_else(|| id.clone()))
            .collect()
    };
    let (down, degraded, silent) = (
        named(NodeState::Down),
        named(NodeState::Degraded),
        named(NodeState::Unobserved),
    );
    let total = fleet.nodes.len();
    if down.is_empty() && silent.is_empty() {
        let headline = match (total, degraded.len()) {
            (1, 0) => "The node is up".to_owned(),
            (_, 0) => format!("All {total} nodes are up"),
            _ => "Every node answers".to_owned(),
        };
        let worst = if degraded.is_empty() {
            NodeState::Up
        } else {
            NodeState::Degraded
        };
        return Posture {
            worst,
            headline,
            detail: sentence(&degraded, "degraded"),
            changing: changing(fleet),
        };
    }
    let (worst, headline, rest) = if down.is_empty() {
        let headline = format!("{} of {total} nodes unobserved", silent.len());
        let detail = if silent.len() == total {
            "Nothing is known about the fleet: look at the way the samples take first.".to_owned()
        } else {
            list(&silent)
        };
        (
            NodeState::Unobserved,
            headline,
            vec![detail, sentence(&degraded, "degraded")],
        )
    } else {
        let headline = format!("{} of {total} nodes down", down.len());
        let rest = vec![
            list(&down),
            sentence(&silent, "unobserved"),
            sentence(&degraded, "degraded"),
        ];
        (NodeState::Down, headline, rest)
    };
    let detail = rest
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    Posture {
        worst,
        headline,
        detail,
        changing: changing(fleet),
    }
}

fn sentence(names: &[String], word: &str) -> String {
    match names {
        [] => String::new(),
        _ => format!("{} {word}: {}", names.len(), list(names)),
    }
}

/// `Lagos ×2, Kano and 4 more`: nodes of one city are counted, not repeated.
fn list(names: &[String]) -> String {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counted.entry(name).or_default() += 1;
    }
    let mut parts: Vec<String> = counted
        .iter()
        .take(NAMES_MAX)
        .map(|(name, count)| match count {
            1 => (*name).to_owned(),
            _ => format!("{name} ×{count}"),
        })
        .collect();
    let left: usize = counted.values().skip(NAMES_MAX).sum();
    if left > 0 {
        let last = format!("{} more", format::count(left as u64));
        return format!("{} and {last}", parts.join(", "));
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        last
    } else {
        format!("{} and {last}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use fiber_contract::live::{LiveSnapshot, LiveTotals};

    use super::super::fleet::tests::node;
    use super::*;

    fn feed(fleet: &mut Fleet, at_s: i64, states: &[(&str, NodeState)]) -> Posture {
        fleet.apply_snapshot(LiveSnapshot {
            now: UnixMicros::from_secs(at_s),
            nodes: states
                .iter()
                .map(|(city, state)| {
                    let mut node = node(city, *state);
                    node.city = Some((*city).to_owned());
                    node
                })
                .collect(),
            totals: LiveTotals::default(),
        });
        posture(fleet)
    }

    #[test]
    fn a_failure_is_named_after_ten_seconds_and_forgotten_after_thirty() {
        let mut fleet = Fleet::default();
        let (up, down) = ([("Lagos", NodeState::Up)], [("Lagos", NodeState::Down)]);
        assert_eq!(feed(&mut fleet, 0, &up).worst, NodeState::Up);
        let first = feed(&mut fleet, 1, &down);
        assert_eq!(
            (first.worst, first.changing.as_str()),
            (NodeState::Up, "1 just changed")
        );
        assert_eq!(feed(&mut fleet, 10, &down).worst, NodeState::Up);
        let named = feed(&mut fleet, 11, &down);
        assert_eq!(
            (named.worst, named.detail.as_str(), named.changing.as_str()),
            (NodeState::Down, "Lagos", "")
        );
        assert_eq!(feed(&mut fleet, 12, &up).worst, NodeState::Down);
        assert_eq!(feed(&mut fleet, 41, &up).worst, NodeState::Down);
        assert_eq!(feed(&mut fleet, 42, &up).worst, NodeState::Up);
    }

    #[test]
    fn a_blip_moves_nothing() {
        let mut fleet = Fleet::default();
        feed(&mut fleet, 0, &[("Lagos", NodeState::Up)]);
        for second in 1..40 {
            let state = if second % 5 == 0 {
                NodeState::Down
            } else {
                NodeState::Up
            };
            assert_eq!(
                feed(&mut fleet, second, &[("Lagos", state)]).worst,
                NodeState::Up
            );
        }
    }

    #[test]
    fn what_is_down_at_first_sight_is_named_at_once() {
        let said = feed(
            &mut Fleet::default(),
            0,
            &[
                ("Kano", NodeState::Down),
                ("Lagos", NodeState::Degraded),
                ("Accra", NodeState::Up),
            ],
        );
        assert_eq!(said.headline, "1 of 3 nodes down");
        assert_eq!(said.detail, "Kano · 1 degraded: Lagos");
    }

    #[test]
    fn a_calm_fleet_says_so() {
        let up = [("Kano", NodeState::Up), ("Lagos", NodeState::Up)];
        assert_eq!(
            feed(&mut Fleet::default(), 0, &up).headline,
            "All 2 nodes are up"
        );
    }

    #[test]
    fn silence_is_not_an_outage() {
        let said = feed(&mut Fleet::default(), 0, &[("Kano", NodeState::Unobserved)]);
        assert_eq!(said.worst, NodeState::Unobserved);
        assert!(said.headline.contains("unobserved") && !said.headline.contains("down"));
    }

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = ["Kano", "Kano", "Lagos", "Accra", "Tema", "Ho"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(list(&names), "Accra, Ho, Kano ×2 and 2 more");
        assert_eq!(list(&names[..3]), "Kano ×2 and Lagos");
    }
}
