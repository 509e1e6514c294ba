//! Nodes that would cover each other on the map become one mark that counts them by state.

use fiber_contract::NodeState;

use crate::format::fixed;
use crate::state::sort::sort;

/// A node at a pixel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spot {
    pub(crate) id: String,
    pub(crate) state: NodeState,
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// One or more nodes drawn as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Middle of the members.
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Worst first, then by name.
    pub(crate) members: Vec<(NodeState, String)>,
}

impl Mark {
    pub(crate) fn worst(&self) -> NodeState {
        self.members
            .first()
            .map_or(NodeState::Unobserved, |(state, _)| *state)
    }

    pub(crate) fn count(&self, state: NodeState) -> usize {
        self.members
            .iter()
            .filter(|(member, _)| *member == state)
            .count()
    }

    /// Changes when the mark must be drawn anew.
    pub(crate) fn key(&self) -> String {
        let mut key = format!("{},{}", fixed(self.x, 0), fixed(self.y, 0));
        for (state, id) in &self.members {
            key.push(' ');
            key.push_str(state.as_str());
            key.push(' ');
            key.push_str(id);
        }
        key
    }
}

/// Joins spots closer than `reach` pixels. Spots are taken by name, not by state, so that a mark
/// stays where it is when a node changes its state.
pub(crate) fn cluster(mut spots: Vec<Spot>, reach: f64) -> Vec<Mark> {
    struct Seed {
        x: f64,
        y: f64,
        members: Vec<Spot>,
    }
    sort(&mut spots, |a, b| a.id.cmp(&b.id));
    let mut seeds: Vec<Seed> = Vec::new();
    for spot in spots {
        let near = seeds
            .iter_mut()
            .find(|seed| (seed.x - spot.x).powi(2) + (seed.y - spot.y).powi(2) < reach * reach);
        match near {
            Some(seed) => seed.members.push(spot),
            None => seeds.push(Seed {
                x: spot.x,
                y: spot.y,
                members: vec![spot],
            }),
        }
    }
    seeds
        .into_iter()
        .map(|seed| {
            let count = seed.members.len() as f64;
            let x = seed.members.iter().map(|spot| spot.x).sum::<f64>() / count;
            let y = seed.members.iter().map(|spot| spot.y).sum::<f64>() / count;
            let mut members: Vec<_> = seed
                .members
                .into_iter()
                .map(|spot| (spot.state, spot.id))
                .collect();
            sort(&mut members, Ord::cmp);
            Mark { x, y, members }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(id: &str, x: f64, state: NodeState) -> Spot {
        Spot {
            id: id.to_owned(),
            state,
            x,
            y: 0.0,
        }
    }

    #[test]
    fn near_ones_join_and_far_ones_do_not() {
        let marks = cluster(
            vec![
                spot("a", 0.0, NodeState::Up),
                spot("b", 10.0, NodeState::Down),
                spot("c", 50.0, NodeState::Up),
            ],
            20.0,
        );
        assert_eq!(marks.len(), 2);
        assert_eq!(marks[0].worst(), NodeState::Down);
        assert_eq!(marks[0].count(NodeState::Up), 1);
        assert!((marks[0].x - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_mark_keeps_its_place_when_a_state_changes() {
        let of = |state| {
            cluster(
                vec![spot("a", 0.0, NodeState::Up), spot("b", 10.0, state)],
                20.0,
            )
            .remove(0)
        };
        let (before, after) = (of(NodeState::Up), of(NodeState::Down));
        assert!((before.x - after.x).abs() < 1e-9);
        assert_ne!(before.key(), after.key());
    }

    #[test]
    fn nobody_is_lost() {
        let spots: Vec<_> = (0..500)
            .map(|n| spot(&n.to_string(), f64::from(n % 97), NodeState::Up))
            .collect();
        let total: usize = cluster(spots, 15.0)
            .iter()
            .map(|mark| mark.members.len())
            .sum();
        assert_eq!(total, 500);
    }
}
