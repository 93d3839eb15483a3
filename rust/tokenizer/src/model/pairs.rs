//! A hash table from pairs of ids to (rank, id): the look-up that merging is made of.

use std::hash::{BuildHasher, RandomState};

use crate::near::near;

/// No rank, no id, no position.
pub(super) const NONE: u32 = u32::MAX;

/// What a pair becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    /// Its place in the list of merges: less goes first. Unique to the pair.
    pub(crate) rank: u32,
    /// The id of the two tokens in one.
    pub(crate) id: u32,
}

pub(crate) const NO_MERGE: Merge = Merge {
    rank: NONE,
    id: NONE,
};

/// A pair that may merge, and the first slot that may hold it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    key: u64,
    at: usize,
}

/// The filter has two to the power of this many bits for each slot.
const FILTER: u32 = 2;

/// Linear probing over a table that is at most three quarters full.
pub(super) struct Pairs {
    slots: Vec<(u64, Merge)>,
    /// A bit for each pair by its hash, four bits a slot: most pairs that are asked for
    /// do not merge, and learn it here from far less memory than the slots take.
    filter: Vec<u64>,
    shift: u32,
    count: usize,
    /// Drawn for each table, so that no file can aim at one slot.
    seed: u64,
    factor: u64,
    ascending: bool,
}

impl Pairs {
    pub(super) fn with_capacity(count: usize) -> Self {
        let random = RandomState::new();
        // At least five, of which the shifts of `bit` stay within a word.
        let bits = (count + count / 2 + 32)
            .next_power_of_two()
            .trailing_zeros();
        Self {
            slots: vec![(u64::MAX, NO_MERGE); 1 << bits],
            filter: vec![0; 1 << (bits + FILTER - 6)],
            shift: 64 - bits,
            count: 0,
            seed: random.hash_one(0),
            factor: random.hash_one(1) | 1,
            ascending: false,
        }
    }

    #[inline]
    fn hash(&self, key: u64) -> u64 {
        let product = u128::from(key ^ self.seed) * u128::from(self.factor);
        ((product >> 64) as u64 ^ product as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// The first of the slots that may hold a key.
    #[inline]
    fn slot(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// The word and the bit of the filter.
    #[inline]
    fn bit(&self, hash: u64) -> (usize, u64) {
        (
            (hash >> (self.shift + 6 - FILTER)) as usize,
            1 << ((hash >> (self.shift - FILTER)) & 63),
        )
    }

    /// A later entry of the same pair replaces an earlier one.
    pub(super) fn insert(&mut self, left: u32, right: u32, rank: u32, id: u32) {
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            let mut larger = Self::with_capacity(self.slots.len());
            for (key, merge) in self.slots.iter().filter(|slot| slot.0 != u64::MAX) {
                larger.insert((key >> 32) as u32, *key as u32, merge.rank, merge.id);
            }
            *self = larger;
        }
        let key = key(left, right);
        let hash = self.hash(key);
        let (word, bit) = self.bit(hash);
        self.filter[word] |= bit;
        let mut at = self.slot(hash);
        while self.slots[at].0 != key && self.slots[at].0 != u64::MAX {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.count += usize::from(self.slots[at].0 == u64::MAX);
        self.slots[at] = (key, Merge { rank, id });
    }

    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Option<Merge> {
        let merge = self.find(left, right);
        (merge.id != NONE).then_some(merge)
    }

    /// The rank, or `NONE`.
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        self.find(left, right).rank
    }

    #[inline]
    pub(super) fn find(&self, left: u32, right: u32) -> Merge {
        let asked = self.filtered(left, right);
        asked.map_or(NO_MERGE, |asked| self.answer(asked))
    }

    /// The pair, if it may merge, and where.
    #[inline]
    fn filtered(&self, left: u32, right: u32) -> Option<Asked> {
        let key = key(left, right);
        let hash = self.hash(key);
        let (word, bit) = self.bit(hash);
        let at = self.slot(hash);
        (self.filter[word] & bit != 0).then_some(Asked { key, at })
    }

    /// The first half of `find`, after which the memory that the second needs is on its way.
    #[inline]
    pub(super) fn ask(&self, left: u32, right: u32) -> Option<Asked> {
        let asked = self.filtered(left, right);
        if let Some(asked) = asked {
            near(&self.slots, asked.at);
        }
        asked
    }

    /// The second half of `find`.
    #[inline]
    pub(super) fn answer(&self, asked: Asked) -> Merge {
        let mask = self.slots.len() - 1;
        let mut at = asked.at & mask;
        loop {
            let (found, merge) = self.slots[at];
            if found == asked.key {
                return merge;
            }
            if found == u64::MAX {
                return NO_MERGE;
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether each merge has a greater rank than those that make what it takes.
    pub(super) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// To be called once all merges are there.
    pub(super) fn finish(&mut self) {
        let mut made: std::collections::HashMap<u32, u32> = std::collections::HashMap::new();
        for (_, _, merge) in self.iter() {
            let rank = made.entry(merge.id).or_insert(merge.rank);
            *rank = merge.rank.max(*rank);
        }
        let ascending = self.iter().all(|(left, right, merge)| {
            let after = |id| made.get(&id).is_none_or(|rank| *rank < merge.rank);
            after(left) && after(right)
        });
        self.ascending = ascending;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32, Merge)> + '_ {
        self.slots
            .iter()
            .filter(|slot| slot.0 != u64::MAX)
            .map(|(key, merge)| ((key >> 32) as u32, *key as u32, *merge))
    }
}

fn key(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_finds() {
        let mut pairs = Pairs::with_capacity(0);
        for i in 0..10_000 {
            pairs.insert(i % 97, i, i, i + 1);
        }
        pairs.insert(5, 5, 77, 78);
        assert_eq!(pairs.get(5, 5), Some(Merge { rank: 77, id: 78 }));
        for i in 6..10_000 {
            assert_eq!(pairs.get(i % 97, i).map(|m| m.id), Some(i + 1));
        }
        assert_eq!(pairs.get(1, 0), None);
        assert_eq!(pairs.rank(1, 0), NONE);
        assert_eq!(pairs.iter().count(), 10_000);
    }
}
