//! Which rows the table shows, and in which order.
//!
//! Worst first, but a row must not jump away from under a finger: severity counts in coarse steps,
//! ties go by name, and the caller re-sorts on a slow beat rather than with every event.

use std::cmp::Ordering;

use fiber_contract::NodeState;

use super::fleet::{Fleet, Node};
use super::sort::sort;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortKey {
    #[default]
    Worst,
    Name,
    Place,
    LastSeen,
    P50,
    P95,
    Loss,
    Uptime,
}

impl SortKey {
    const ALL: [Self; 8] = [
        Self::Worst,
        Self::Name,
        Self::Place,
        Self::LastSeen,
        Self::P50,
        Self::P95,
        Self::Loss,
        Self::Uptime,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "node",
            Self::Place => "place",
            Self::LastSeen => "seen",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Loss => "loss",
            Self::Uptime => "uptime",
        }
    }

    pub(crate) fn from_query(text: Option<&str>) -> Self {
        Self::ALL
            .into_iter()
            .find(|key| Some(key.as_str()) == text)
            .unwrap_or_default()
    }
}

/// What the operator asked for, as kept in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Lower case; matches id, place, country and tags.
    pub(crate) text: String,
    pub(crate) state: Option<NodeState>,
    pub(crate) sort: SortKey,
}

/// `None` for a text that names no state.
pub(crate) fn state_from_query(text: Option<&str>) -> Option<NodeState> {
    [
        NodeState::Down,
        NodeState::Degraded,
        NodeState::Unobserved,
        NodeState::Up,
    ]
    .into_iter()
    .find(|state| Some(state.as_str()) == text)
}

pub(crate) fn rows(fleet: &Fleet, wanted: &Wanted) -> Vec<String> {
    let shown = |id: &str, node: &Node| fleet.settling.shown(id).unwrap_or(node.state);
    let mut found: Vec<(&String, &Node)> = fleet
        .nodes
        .iter()
        // The filter follows the live state: its count stands on the button.
        .filter(|(_, node)| wanted.state.is_none_or(|state| node.state == state))
        .filter(|(_, node)| matches(node, &wanted.text))
        .collect();
    sort(&mut found, |(a_id, a), (b_id, b)| {
        let order = match wanted.sort {
            SortKey::Worst => shown(a_id, a)
                .cmp(&shown(b_id, b))
                .then_with(|| severity(b).total_cmp(&severity(a))),
            SortKey::Name => Ordering::Equal,
            SortKey::Place => place(a).cmp(&place(b)),
            SortKey::LastSeen => a.last_seen.cmp(&b.last_seen),
            SortKey::P50 => highest_first(a.p50_ms, b.p50_ms),
            SortKey::P95 => highest_first(a.p95_ms, b.p95_ms),
            SortKey::Loss => highest_first(a.packet_loss, b.packet_loss),
            SortKey::Uptime => {
                highest_first(a.uptime_pct.map(|up| -up), b.uptime_pct.map(|up| -up))
            }
        };
        order.then_with(|| a_id.cmp(b_id))
    });
    found.into_iter().map(|(id, _)| id.clone()).collect()
}

/// Loss in steps of five percent, then p95 in steps of a factor 1.5.
fn severity(node: &Node) -> f64 {
    let loss = f64::from(node.packet_loss.unwrap_or(0.0));
    let p95 = f64::from(node.p95_ms.unwrap_or(0.0)).max(1.0);
    (loss / 5.0).floor() * 100.0 + (p95.ln() / 1.5_f64.ln()).floor()
}

fn highest_first(a: Option<f32>, b: Option<f32>) -> Ordering {
    let known = |value: Option<f32>| value.filter(|v| v.is_finite()).unwrap_or(f32::NEG_INFINITY);
    known(b).total_cmp(&known(a))
}

/// As the table writes it.
pub(crate) fn place(node: &Node) -> (String, String) {
    let town = node.city.clone().unwrap_or_else(|| node.region.clone());
    (town, node.country.clone())
}

fn matches(node: &Node, text: &str) -> bool {
    text.split_whitespace().all(|word| {
        let holds = |field: &str| field.to_lowercase().contains(word);
        holds(&node.node_id)
            || holds(&node.region)
            || holds(&node.country)
            || node.city.as_deref().is_some_and(holds)
            || node.tags.iter().any(|tag| holds(tag))
    })
}

#[cfg(test)]
mod tests {
    use fiber_contract::NodeView;

    use super::super::fleet::tests::{fleet, node};
    use super::*;

    fn check(fleet: &Fleet, wanted: &Wanted, expect: &[&str]) {
        assert_eq!(rows(fleet, wanted), expect, "{wanted:?}");
    }

    fn with_p95(id: &str, p95: f32) -> NodeView {
        NodeView {
            p95_ms: Some(p95),
            ..node(id, NodeState::Up)
        }
    }

    #[test]
    fn the_worst_state_comes_first() {
        let fleet = fleet(vec![
            node("a", NodeState::Up),
            node("b", NodeState::Unobserved),
            node("c", NodeState::Down),
            node("d", NodeState::Degraded),
        ]);
        check(&fleet, &Wanted::default(), &["c", "d", "b", "a"]);
    }

    #[test]
    fn small_differences_do_not_reorder_rows() {
        let wanted = Wanted::default();
        check(
            &fleet(vec![with_p95("a", 101.0), with_p95("b", 109.0)]),
            &wanted,
            &["a", "b"],
        );
        check(
            &fleet(vec![with_p95("a", 100.0), with_p95("b", 400.0)]),
            &wanted,
            &["b", "a"],
        );
    }

    #[test]
    fn what_is_not_known_sorts_last() {
        let mut unknown = node("a", NodeState::Up);
        unknown.p95_ms = None;
        let wanted = Wanted {
            sort: SortKey::P95,
            ..Wanted::default()
        };
        check(
            &fleet(vec![unknown, with_p95("b", 1.0), with_p95("c", 2.0)]),
            &wanted,
            &["c", "b", "a"],
        );
    }

    #[test]
    fn search_takes_every_word_from_any_field() {
        let mut tagged = node("probe-2", NodeState::Up);
        tagged.city = Some("Lagos".to_owned());
        tagged.region = "Lagos State".to_owned();
        tagged.tags = vec!["fibre".to_owned()];
        let fleet = fleet(vec![node("probe-1", NodeState::Down), tagged]);
        let wanted = |text: &str| Wanted {
            text: text.to_owned(),
            ..Wanted::default()
        };
        check(&fleet, &wanted("lagos fibre"), &["probe-2"]);
        check(&fleet, &wanted("probe accra"), &["probe-1"]);
        check(&fleet, &wanted("nairobi"), &[]);
        let down = Wanted {
            state: Some(NodeState::Down),
            ..Wanted::default()
        };
        check(&fleet, &down, &["probe-1"]);
    }

    #[test]
    fn the_url_names_states_and_sorts() {
        assert_eq!(state_from_query(Some("down")), Some(NodeState::Down));
        assert_eq!(state_from_query(Some("Down")), None);
        for key in SortKey::ALL {
            assert_eq!(SortKey::from_query(Some(key.as_str())), key);
        }
        assert_eq!(SortKey::from_query(Some("x")), SortKey::Worst);
    }
}
