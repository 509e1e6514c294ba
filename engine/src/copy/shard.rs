//! Which writer owns which nodes, and how far the nodes of each are.
//!
//! Every node falls into one of 64 slots by the hash in its key, and a shard is a set of slots. The
//! position is kept by slot: so the number of writers may be another one in every transaction, and
//! what one of them committed while another failed is known exactly.

use crate::model::{GroupSeq, NodeKey};

/// More writers than this cannot share the nodes.
pub const SLOTS: usize = 64;

/// The nodes of one writer, a bit a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard(u64);

impl Shard {
    pub(super) const ALL: Self = Self(u64::MAX);

    /// All nodes in so many parts of about the same weight. The first has slot 0.
    pub(super) fn deal(parts: usize, weights: &[u64; SLOTS]) -> Vec<Self> {
        let mut shards = vec![(0, Self(0)); parts.clamp(1, SLOTS)];
        let mut slots: Vec<usize> = (0..SLOTS).collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(weights[*slot]));
        for slot in slots {
            // The heaviest first, each to the lightest so far (Graham 1969: at most a third over the
            // best). One more, so that slots of no weight are spread too.
            let lightest = shards.iter_mut().min_by_key(|(weight, _)| *weight);
            let (weight, shard) = lightest.expect("there is a shard");
            *weight += weights[slot] + 1;
            shard.0 |= 1 << slot;
        }
        shards.sort_by_key(|(_, shard)| shard.number());
        shards.into_iter().map(|(_, shard)| shard).collect()
    }

    pub(super) fn owns(self, node: NodeKey) -> bool {
        self.has(slot_of(node))
    }

    pub(super) fn has(self, slot: usize) -> bool {
        self.0 >> slot & 1 == 1
    }

    /// Another one for each shard of a deal.
    pub(super) fn number(self) -> i16 {
        i16::try_from(self.0.trailing_zeros()).unwrap_or_default()
    }

    /// As `commit_ledger.slots` has it.
    pub(super) fn column(self) -> i64 {
        self.0.cast_signed()
    }

    pub(super) fn of_column(column: i64) -> Self {
        Self(column.cast_unsigned())
    }
}

/// Of the key's 64 bits, which are a hash, the upper ones.
pub(super) fn slot_of(node: NodeKey) -> usize {
    let [upper, ..] = node.0.to_be_bytes();
    usize::from(upper) * SLOTS / 256
}

/// For every slot, the last group whose rows are accounted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Positions([GroupSeq; SLOTS]);

impl Default for Positions {
    fn default() -> Self {
        Self([GroupSeq::ZERO; SLOTS])
    }
}

impl Positions {
    pub(super) fn advance(&mut self, shard: Shard, seq: GroupSeq) {
        for (slot, position) in self.0.iter_mut().enumerate() {
            if shard.has(slot) {
                *position = seq.max(*position);
            }
        }
    }

    /// Up to here everything of the shard is accounted for.
    pub(super) fn of(&self, shard: Shard) -> GroupSeq {
        let slots = (0..SLOTS).filter(|slot| shard.has(*slot));
        let positions = slots.map(|slot| self.0[slot]);
        positions.min().unwrap_or(GroupSeq::ZERO)
    }

    pub(super) fn of_node(&self, node: NodeKey) -> GroupSeq {
        self.0[slot_of(node)]
    }

    /// Up to here everything is.
    pub(super) fn oldest(&self) -> GroupSeq {
        self.of(Shard::ALL)
    }

    /// From here on nothing is.
    pub(super) fn newest(&self) -> GroupSeq {
        self.0.into_iter().max().unwrap_or(GroupSeq::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn every_slot_belongs_to_one_shard() {
        let mut random = Random::new(3);
        for parts in 1..=SLOTS {
            let weights = std::array::from_fn(|_| random.below(1_000) as u64);
            let shards = Shard::deal(parts, &weights);
            assert_eq!(shards.len(), parts);
            assert!(shards[0].has(0));
            for slot in 0..SLOTS {
                let owners = shards.iter().filter(|shard| shard.has(slot)).count();
                assert_eq!(owners, 1, "slot {slot} of {parts}");
            }
            let mut numbers: Vec<_> = shards.iter().map(|shard| shard.number()).collect();
            numbers.dedup();
            assert_eq!(numbers.len(), parts);
        }
        assert_eq!(Shard::deal(1, &[7; SLOTS]), [Shard::ALL]);
        assert_eq!(Shard::of_column(Shard::ALL.column()), Shard::ALL);
    }

    /// A few busy nodes are not all dealt to one writer.
    #[test]
    fn shards_weigh_about_the_same() {
        let mut weights = [0; SLOTS];
        for (slot, weight) in [(3, 50), (4, 40), (5, 30), (6, 30), (60, 20), (61, 10)] {
            weights[slot] = weight * 1_000;
        }
        for shard in Shard::deal(2, &weights) {
            let slots = (0..SLOTS).filter(|slot| shard.has(*slot));
            let weight: u64 = slots.map(|slot| weights[slot]).sum();
            assert_eq!(weight, 90_000);
        }
        let sizes = Shard::deal(4, &[0; SLOTS]).into_iter();
        assert!(
            sizes
                .map(|shard| shard.0.count_ones())
                .all(|slots| slots == 16)
        );
    }

    #[test]
    fn names_spread_over_the_slots() {
        let mut nodes = [0; SLOTS];
        for number in 0..6_400 {
            nodes[slot_of(NodeKey::of(&format!("probe-{number}")))] += 1;
        }
        assert!(nodes.iter().all(|count| (50..=160).contains(count)));
    }

    #[test]
    fn a_position_is_that_of_the_slowest_slot() {
        let (mut positions, shards) = (
            Positions::default(),
            [Shard(u64::MAX >> 32), Shard(u64::MAX << 32)],
        );
        positions.advance(Shard::ALL, GroupSeq(3));
        positions.advance(shards[1], GroupSeq(7));
        positions.advance(shards[1], GroupSeq(5));
        assert_eq!(positions.of(shards[0]), GroupSeq(3));
        assert_eq!(positions.of(shards[1]), GroupSeq(7));
        let ends = (positions.oldest(), positions.newest());
        assert_eq!(ends, (GroupSeq(3), GroupSeq(7)));
        assert_eq!(positions.of(Shard(3 << 31)), GroupSeq(3));
        assert_eq!(positions.of(Shard(3 << 32)), GroupSeq(7));
    }
}
