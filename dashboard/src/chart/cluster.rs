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

    /// Width and height, which are also what a finger has to hit.
    pub(crate) fn size_px(&self) -> f64 {
        size_px(self.members.len())
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

fn size_px(members: usize) -> f64 {
    const ONE_PX: f64 = 24.0;
    const MOST_PX: f64 = 48.0;
    (20.0 + 3.4 * (members as f64).sqrt()).clamp(ONE_PX, MOST_PX)
}

/// A mark in the making.
struct Seed {
    x: f64,
    y: f64,
    members: Vec<Spot>,
}

impl Seed {
    /// Whether the two would cover each other, in part. They are clicked as squares.
    fn covers(&self, other: &Self) -> bool {
        let reach = (size_px(self.members.len()) + size_px(other.members.len())) / 2.0;
        (self.x - other.x).abs().max((self.y - other.y).abs()) < reach
    }

    fn join(&mut self, other: Self) {
        let (mine, theirs) = (self.members.len() as f64, other.members.len() as f64);
        let middle = |a: f64, b: f64| (a * mine + b * theirs) / (mine + theirs);
        (self.x, self.y) = (middle(self.x, other.x), middle(self.y, other.y));
        self.members.extend(other.members);
    }
}

/// Joins spots until no mark covers another. Spots are taken by name, not by state, so that a mark
/// stays where it is when a node changes its state.
pub(crate) fn cluster(mut spots: Vec<Spot>) -> Vec<Mark> {
    sort(&mut spots, |a, b| a.id.cmp(&b.id));
    let mut seeds: Vec<Seed> = Vec::new();
    for spot in spots {
        let mut one = Seed {
            x: spot.x,
            y: spot.y,
            members: vec![spot],
        };
        // What has grown may cover others that it did not before.
        while let Some(at) = seeds.iter().position(|seed| seed.covers(&one)) {
            let mut grown = seeds.swap_remove(at);
            grown.join(one);
            one = grown;
        }
        seeds.push(one);
    }
    seeds
        .into_iter()
        .map(|seed| {
            let (x, y) = (seed.x, seed.y);
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
        let marks = cluster(vec![
            spot("a", 0.0, NodeState::Up),
            spot("b", 10.0, NodeState::Down),
            spot("c", 50.0, NodeState::Up),
        ]);
        assert_eq!(marks.len(), 2);
        assert_eq!(marks[0].worst(), NodeState::Down);
        assert_eq!(marks[0].count(NodeState::Up), 1);
        assert!((marks[0].x - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_mark_keeps_its_place_when_a_state_changes() {
        let of =
            |state| cluster(vec![spot("a", 0.0, NodeState::Up), spot("b", 10.0, state)]).remove(0);
        let (before, after) = (of(NodeState::Up), of(NodeState::Down));
        assert!((before.x - after.x).abs() < 1e-9);
        assert_ne!(before.key(), after.key());
    }

    #[test]
    fn nobody_is_lost() {
        let spots: Vec<_> = (0..500)
            .map(|n| spot(&n.to_string(), f64::from(n % 97), NodeState::Up))
            .collect();
        let total: usize = cluster(spots).iter().map(|mark| mark.members.len()).sum();
        assert_eq!(total, 500);
    }

    #[test]
    fn no_mark_covers_another() {
        // Scattered over a phone's map, by a sequence that repeats late.
        let spots = (0..300_u32).map(|n| Spot {
            y: f64::from(n * 193 % 251),
            ..spot(&n.to_string(), f64::from(n * 389 % 359), NodeState::Up)
        });
        let marks = cluster(spots.collect());
        assert!(marks.len() > 5, "{}", marks.len());
        for (at, a) in marks.iter().enumerate() {
            for b in &marks[at + 1..] {
                let apart = (a.x - b.x).abs().max((a.y - b.y).abs());
                assert!(apart >= (a.size_px() + b.size_px()) / 2.0, "{a:?} {b:?}");
            }
        }
    }
}
