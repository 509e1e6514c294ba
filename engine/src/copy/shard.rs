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

    /// All nodes in so many parts of about the same size. The first has slot 0.
    pub(super) fn split(parts: usize) -> Vec<Self> {
        let parts = parts.clamp(1, SLOTS);
        let mut shards = vec![Self(0); parts];
        for slot in 0..SLOTS {
            shards[slot * parts / SLOTS].0 |= 1 << slot;
        }
        shards
    }

    pub(super) fn owns(self, node: NodeKey) -> bool {
        self.has(slot_of(node))
    }

    pub(super) fn has(self, slot: usize) -> bool {
        self.0 >> slot & 1 == 1
    }

    /// Another one for each shard of a split.
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

    #[test]
    fn every_slot_belongs_to_one_shard() {
        for parts in 1..=SLOTS {
            let shards = Shard::split(parts);
            assert_eq!(shards.len(), parts);
            assert!(shards[0].has(0));
            for slot in 0..SLOTS {
                let owners = shards.iter().filter(|shard| shard.has(slot)).count();
                assert_eq!(owners, 1, "slot {slot} of {parts}");
            }
            let sizes = shards.iter().map(|shard| shard.0.count_ones());
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            let mut numbers: Vec<_> = shards.iter().map(|shard| shard.number()).collect();
            numbers.dedup();
            assert_eq!(numbers.len(), parts);
        }
        assert_eq!(Shard::split(1), [Shard::ALL]);
        assert_eq!(Shard::of_column(Shard::ALL.column()), Shard::ALL);
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
        let (mut positions, shards) = (Positions::default(), Shard::split(2));
        positions.advance(Shard::ALL, GroupSeq(3));
        positions.advance(shards[1], GroupSeq(7));
        positions.advance(shards[1], GroupSeq(5));
        assert_eq!(positions.of(shards[0]), GroupSeq(3));
        assert_eq!(positions.of(shards[1]), GroupSeq(7));
        let ends = (positions.oldest(), positions.newest());
        assert_eq!(ends, (GroupSeq(3), GroupSeq(7)));
        let thirds = Shard::split(3);
        assert_eq!(positions.of(thirds[1]), GroupSeq(3));
        assert_eq!(positions.of(thirds[2]), GroupSeq(7));
    }
}
