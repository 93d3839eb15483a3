//! The merge loop of BPE: among all adjacent pairs merge the one of least rank,
//! leftmost first, until no pair has a rank. See rust/README.md for why the two
//! loops below agree and what they cost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

/// What a pair of ids becomes.
#[derive(Clone, Copy)]
pub(super) struct Merge {
    /// Its place in the list of merges: less goes first. Unique to the pair.
    pub(super) rank: u32,
    /// The id of the two tokens in one.
    pub(super) id: u32,
}

/// Ranks and results by pair.
#[derive(Default)]
pub(super) struct Merges(HashMap<u64, Merge, Seeds>);

impl Merges {
    /// A later merge of the same pair replaces an earlier one.
    pub(super) fn insert(&mut self, left: u32, right: u32, merge: Merge) {
        self.0.insert(key(left, right), merge);
    }

    fn get(&self, left: u32, right: u32) -> Option<Merge> {
        self.0.get(&key(left, right)).copied()
    }

    fn rank(&self, left: u32, right: u32) -> u32 {
        self.get(left, right).map_or(NO_RANK, |merge| merge.rank)
    }
}

fn key(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

/// Seeds of `PairHasher`, drawn per table, so that no file can aim at one bucket.
struct Seeds {
    mask: u64,
    factor: u64,
}

impl Default for Seeds {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            mask: random.hash_one(0),
            factor: random.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for Seeds {
    type Hasher = PairHasher;

    fn build_hasher(&self) -> PairHasher {
        PairHasher {
            mask: self.mask,
            factor: self.factor,
            hash: 0,
        }
    }
}

/// Hashes one u64 by a folded multiplication: this lookup is the loop's main cost.
struct PairHasher {
    mask: u64,
    factor: u64,
    hash: u64,
}

impl Hasher for PairHasher {
    fn write_u64(&mut self, key: u64) {
        let product = u128::from(key ^ self.mask) * u128::from(self.factor);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

const NO_RANK: u32 = u32::MAX;

/// Words of at most this many symbols are merged by scanning.
const SCAN_LIMIT: usize = 48;

/// Buffers that outlive a word, so that words allocate nothing.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The symbols of the word, then its tokens.
    pub(super) ids: Vec<u32>,
    ranks: Vec<u32>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<u64>>,
}

/// Merges `scratch.ids` in place.
pub(super) fn merge_all(merges: &Merges, scratch: &mut Scratch) {
    if scratch.ids.len() <= SCAN_LIMIT {
        merge_by_scan(merges, scratch);
    } else {
        merge_by_queue(merges, scratch);
    }
}

/// Quadratic in the symbols, and the fastest for the short words that text is made of.
fn merge_by_scan(merges: &Merges, scratch: &mut Scratch) {
    let Scratch { ids, ranks, .. } = scratch;
    ranks.clear();
    ranks.extend(ids.windows(2).map(|pair| merges.rank(pair[0], pair[1])));
    loop {
        let (mut at, mut least) = (0, NO_RANK);
        for (i, &rank) in ranks.iter().enumerate() {
            if rank < least {
                (at, least) = (i, rank);
            }
        }
        if least == NO_RANK {
            return;
        }
        let Some(merge) = merges.get(ids[at], ids[at + 1]) else {
            unreachable!("the pair had a rank");
        };
        ids[at] = merge.id;
        ids.remove(at + 1);
        ranks.remove(at);
        if at > 0 {
            ranks[at - 1] = merges.rank(ids[at - 1], ids[at]);
        }
        if at + 1 < ids.len() {
            ranks[at] = merges.rank(ids[at], ids[at + 1]);
        }
    }
}

/// A symbol's neighbours in the shrinking word.
#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

/// No neighbour; as `next` of a symbol that was merged away see `GONE`.
const END: u32 = u32::MAX;

/// In place of an id: this symbol is now part of its left neighbour.
const GONE: u32 = u32::MAX;

/// O(n log n) in the symbols: a linked list of them and a queue of (rank, position).
fn merge_by_queue(merges: &Merges, scratch: &mut Scratch) {
    let Scratch {
        ids, links, queue, ..
    } = scratch;
    let count = ids.len() as u32;
    links.clear();
    links.extend((0..count).map(|i| Link {
        previous: i.wrapping_sub(1),
        next: if i + 1 == count { END } else { i + 1 },
    }));

    let mut entries = std::mem::take(queue).into_vec();
    entries.clear();
    for (at, pair) in (0u32..).zip(ids.windows(2)) {
        let rank = merges.rank(pair[0], pair[1]);
        if rank != NO_RANK {
            entries.push(Reverse(entry(rank, at)));
        }
    }
    *queue = BinaryHeap::from(entries);

    while let Some(Reverse(top)) = queue.pop() {
        let (rank, at) = ((top >> 32) as u32, top as u32);
        let left = at as usize;
        let right = links[left].next;
        if ids[left] == GONE || right == END {
            continue;
        }
        // The pair at this position may be another than when it was queued.
        let merge = match merges.get(ids[left], ids[right as usize]) {
            Some(merge) if merge.rank == rank => merge,
            _ => continue,
        };
        ids[left] = merge.id;
        ids[right as usize] = GONE;
        let next = links[right as usize].next;
        links[left].next = next;
        let previous = links[left].previous;
        if next != END {
            links[next as usize].previous = at;
            let rank = merges.rank(merge.id, ids[next as usize]);
            if rank != NO_RANK {
                queue.push(Reverse(entry(rank, at)));
            }
        }
        if previous != END {
            let rank = merges.rank(ids[previous as usize], merge.id);
            if rank != NO_RANK {
                queue.push(Reverse(entry(rank, previous)));
            }
        }
    }
    ids.retain(|&id| id != GONE);
}

fn entry(rank: u32, at: u32) -> u64 {
    (u64::from(rank) << 32) | u64::from(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word.
    fn naive(merges: &Merges, mut ids: Vec<u32>) -> Vec<u32> {
        loop {
            let best = (0..ids.len().saturating_sub(1))
                .filter_map(|i| Some((merges.get(ids[i], ids[i + 1])?, i)))
                .min_by_key(|(merge, i)| (merge.rank, *i));
            match best {
                None => return ids,
                Some((merge, i)) => {
                    ids[i] = merge.id;
                    ids.remove(i + 1);
                }
            }
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
            ((self.0 >> 33) % u64::from(end)) as u32
        }
    }

    #[test]
    fn both_loops_follow_the_definition() {
        let mut random = Random(7);
        for _ in 0..400 {
            let alphabet = 1 + random.below(4);
            let mut merges = Merges::default();
            for rank in 0..random.below(40) {
                // Any known ids may merge, into a new id each time, in any order of ranks.
                let known = alphabet + rank;
                let (left, right) = (random.below(known), random.below(known));
                let rank = 1000 - rank * random.below(2) + rank;
                merges.insert(left, right, Merge { rank, id: known });
            }
            // Ranks must be unique to a pair: renumber.
            let mut pairs: Vec<u64> = merges.0.keys().copied().collect();
            pairs.sort_by_key(|pair| (merges.0[pair].rank, *pair));
            for (rank, pair) in (0..).zip(pairs) {
                merges.0.get_mut(&pair).unwrap().rank = rank;
            }

            let length = random.below(300);
            let word: Vec<u32> = (0..length).map(|_| random.below(alphabet)).collect();
            let expected = naive(&merges, word.clone());
            let mut scratch = Scratch::default();
            for merge in [merge_by_scan, merge_by_queue] {
                scratch.ids.clone_from(&word);
                merge(&merges, &mut scratch);
                assert_eq!(scratch.ids, expected, "word {word:?}");
            }
        }
    }
}
