//! The merge loop of BPE: among all adjacent pairs merge the one of least rank,
//! leftmost first, until no pair has a rank. See rust/README.md for why the loops below agree and what they cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::{Asked, Merge, Pairs, NONE, NO_MERGE};

/// Words of at most this many symbols are merged by scanning.
pub(crate) const SCAN_LIMIT: usize = 48;

/// Words of more symbols than this are merged by rounds, if the merges allow it.
const QUEUE_LIMIT: usize = 1000;

/// Longer words are merged by parts of so many symbols, whose lists stay in the caches near the
/// core, and which have so many in common with the next at least.
const PART: usize = 4096;
const OVERLAP: usize = 256;

/// Buffers that outlive a word, so that words allocate nothing.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The symbols of the word, then its tokens.
    pub(super) ids: Vec<u32>,
    /// How many bytes of the word each symbol stands for.
    pub(super) lens: Vec<u32>,
    ranks: Vec<u32>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<u64>>,
    rounds: Rounds,
}

impl Scratch {
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.lens.clear();
    }

    #[inline]
    pub(crate) fn push(&mut self, id: u32, len: usize) {
        self.ids.push(id);
        self.lens.push(len as u32);
    }
}

/// Merges the symbols of `scratch` in place.
pub(super) fn merge_all(merges: &Pairs, scratch: &mut Scratch) {
    if scratch.ids.len() <= SCAN_LIMIT {
        merge_by_scan(merges, scratch);
    } else if scratch.ids.len() <= PART || !merge_by_parts(merges, scratch, PART, OVERLAP) {
        merge_long(merges, scratch);
    }
}

/// By the lists that are the best for many symbols.
fn merge_long(merges: &Pairs, scratch: &mut Scratch) {
    if scratch.ids.len() > QUEUE_LIMIT && merges.is_ascending() {
        merge_by_rounds(merges, scratch);
    } else {
        merge_by_queue(merges, scratch);
    }
}

/// As `merge_by_scan`, for words of at most `SCAN_LIMIT` symbols of which only the ids are asked
/// for; `pair` gives what a symbol and the one after it become. Gives how many are left.
#[inline]
pub(super) fn merge_short(
    merges: &Pairs,
    ids: &mut [u32],
    pair: impl Fn(&[u32], usize) -> Merge,
) -> usize {
    match ids.len() {
        count @ 0..=1 => count,
        2..=16 => merge_lanes::<16>(merges, ids, pair),
        _ => merge_lanes::<SCAN_LIMIT>(merges, ids, pair),
    }
}

/// In place of a rank and position: the pair does not merge.
const NO_PAIR: i32 = i32::MAX;

/// A rank above a position, so that the least of them is the leftmost of least rank. Positions
/// have six bits; ranks have 22, as there are at most `MAX_ID` merges.
#[inline(always)]
fn order(merge: Merge, at: usize) -> i32 {
    if merge.rank == NONE {
        NO_PAIR
    } else {
        (merge.rank << 6) as i32 | at as i32
    }
}

/// A short word while it is merged. Nothing is moved and no position is searched for: all lanes
/// are compared each time, at once.
struct Lanes<const LANES: usize> {
    ids: [u32; LANES],
    /// Of the pair that begins at a symbol.
    orders: [i32; LANES],
    made: [u32; LANES],
    next: [u8; LANES],
    previous: [u8; LANES],
    count: usize,
}

impl<const LANES: usize> Lanes<LANES> {
    const EMPTY: Self = Self {
        ids: [NONE; LANES],
        orders: [NO_PAIR; LANES],
        made: [NONE; LANES],
        next: [0; LANES],
        previous: [0; LANES],
        count: 0,
    };

    /// Begins a word, whose symbols are in `ids`.
    #[inline(always)]
    fn begin(&mut self, count: usize, pair: impl Fn(&[u32], usize) -> Merge) {
        self.count = count.min(LANES);
        self.orders = [NO_PAIR; LANES];
        for at in 0..self.count {
            self.next[at] = at as u8 + 1;
            self.previous[at] = (at as u8).wrapping_sub(1);
            if at + 1 < self.count {
                let merge = pair(&self.ids, at);
                self.set(at, merge);
            }
        }
    }

    #[inline(always)]
    fn set(&mut self, at: usize, merge: Merge) {
        (self.orders[at], self.made[at]) = (order(merge, at), merge.id);
    }

    /// Merges the pair to be merged first, and tells where; the new pairs are to be set then.
    #[inline(always)]
    fn step(&mut self) -> Option<usize> {
        let least = self
            .orders
            .iter()
            .fold(NO_PAIR, |least, order| least.min(*order));
        if least == NO_PAIR {
            return None;
        }
        let at = (least & 63) as usize;
        let right = usize::from(self.next[at]);
        self.ids[at] = self.made[at];
        self.orders[right] = NO_PAIR;
        self.orders[at] = NO_PAIR;
        let after = usize::from(self.next[right]);
        self.next[at] = after as u8;
        if after < self.count {
            self.previous[after] = at as u8;
        }
        Some(at)
    }

    /// The symbols before and after the one at `at`, if there are any.
    #[inline(always)]
    fn around(&self, at: usize) -> [Option<usize>; 2] {
        [self.previous[at], self.next[at]].map(|near| {
            let near = usize::from(near);
            (near < self.count).then_some(near)
        })
    }

    /// Moves the symbols that are left to the beginning of `ids`, and gives how many they are.
    #[inline(always)]
    fn end(&mut self) -> usize {
        let (mut left, mut at) = (0, 0);
        while at < self.count {
            self.ids[left] = self.ids[at];
            left += 1;
            at = usize::from(self.next[at]);
        }
        left
    }
}

#[inline(always)]
fn merge_lanes<const LANES: usize>(
    merges: &Pairs,
    ids: &mut [u32],
    pair: impl Fn(&[u32], usize) -> Merge,
) -> usize {
    let mut lanes = Lanes::<LANES>::EMPTY;
    let count = ids.len().min(LANES);
    lanes.ids[..count].copy_from_slice(&ids[..count]);
    lanes.begin(count, pair);
    while let Some(at) = lanes.step() {
        let [before, after] = lanes.around(at);
        if let Some(after) = after {
            lanes.set(at, merges.find(lanes.ids[at], lanes.ids[after]));
        }
        if let Some(before) = before {
            lanes.set(before, merges.find(lanes.ids[before], lanes.ids[at]));
        }
    }
    let left = lanes.end();
    ids[..left].copy_from_slice(&lanes.ids[..left]);
    left
}

/// How many words are merged side by side, and the most symbols of each.
const ABREAST: usize = 8;
pub(crate) const ABREAST_LIMIT: usize = 16;

/// One of several words that are merged in turns, each a step at a time.
struct Turn {
    lanes: Lanes<ABREAST_LIMIT>,
    number: usize,
    /// Where the last step merged, and the new pairs around: looked for, if they may merge.
    at: usize,
    asked: [Option<Asked>; 2],
}

/// Words that are merged side by side: the memory that a step of one waits for comes while the
/// others take theirs.
pub(crate) struct Abreast(Box<[Turn; ABREAST]>);

impl Default for Abreast {
    fn default() -> Self {
        Self(Box::new(
            [const {
                Turn {
                    lanes: Lanes::EMPTY,
                    number: 0,
                    at: 0,
                    asked: [None; 2],
                }
            }; ABREAST],
        ))
    }
}

/// Merges `count` words of up to `ABREAST_LIMIT` symbols. `symbols` writes those of a word and
/// gives how many; `pair` is as for `merge_short`; `done` gets a word's number and its ids.
pub(super) fn merge_abreast(
    merges: &Pairs,
    abreast: &mut Abreast,
    count: usize,
    symbols: impl Fn(usize, &mut [u32; ABREAST_LIMIT]) -> usize,
    pair: impl Fn(usize, &[u32], usize) -> Merge,
    mut done: impl FnMut(usize, &[u32]),
) {
    let mut number = 0;
    let mut begin = |turn: &mut Turn| {
        if number == count {
            return false;
        }
        turn.number = number;
        let symbols = symbols(number, &mut turn.lanes.ids);
        turn.lanes
            .begin(symbols, |ids, at| pair(turn.number, ids, at));
        number += 1;
        true
    };
    let turns = &mut abreast.0;
    let mut active = 0;
    while active < ABREAST && begin(&mut turns[active]) {
        active += 1;
    }
    while active > 0 {
        let mut n = 0;
        while n < active {
            let turn = &mut turns[n];
            if let Some(at) = turn.lanes.step() {
                let lanes = &turn.lanes;
                let [before, after] = lanes.around(at);
                turn.at = at;
                turn.asked = [
                    before.and_then(|before| merges.ask(lanes.ids[before], lanes.ids[at])),
                    after.and_then(|after| merges.ask(lanes.ids[at], lanes.ids[after])),
                ];
                n += 1;
                continue;
            }
            let left = turn.lanes.end();
            done(turn.number, &turn.lanes.ids[..left]);
            // The next word in its place, or the last of those that are at it.
            if !begin(turn) {
                active -= 1;
                turns.swap(n, active);
            }
        }
        for turn in &mut turns[..active] {
            let at = turn.at;
            let [before, after] = turn.lanes.around(at);
            let answer = |asked: Option<Asked>| asked.map_or(NO_MERGE, |a| merges.answer(a));
            if let Some(before) = before {
                turn.lanes.set(before, answer(turn.asked[0]));
            }
            if after.is_some() {
                turn.lanes.set(at, answer(turn.asked[1]));
            }
        }
    }
}

/// Quadratic in the symbols, and the fastest for the short words that text is made of.
fn merge_by_scan(merges: &Pairs, scratch: &mut Scratch) {
    let Scratch {
        ids, lens, ranks, ..
    } = scratch;
    ranks.clear();
    ranks.extend(ids.windows(2).map(|pair| merges.rank(pair[0], pair[1])));
    loop {
        let (mut at, mut least) = (0, NONE);
        for (i, &rank) in ranks.iter().enumerate() {
            if rank < least {
                (at, least) = (i, rank);
            }
        }
        if least == NONE {
            return;
        }
        ids[at] = merges.find(ids[at], ids[at + 1]).id;
        ids.remove(at + 1);
        lens[at] += lens.remove(at + 1);
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

/// Positions by the rank of the pair there, for ranks in ascending order.
#[derive(Default)]
struct Rounds {
    /// The list of a rank, or `NONE`.
    list_of: Vec<u32>,
    lists: Vec<Vec<u32>>,
    unused: Vec<u32>,
    ranks: BinaryHeap<Reverse<u32>>,
}

impl Rounds {
    fn push(&mut self, rank: u32, at: u32) {
        let index = rank as usize;
        if index >= self.list_of.len() {
            self.list_of.resize(index + 1, NONE);
        }
        if self.list_of[index] == NONE {
            self.list_of[index] = self.unused.pop().unwrap_or_else(|| {
                self.lists.push(Vec::new());
                (self.lists.len() - 1) as u32
            });
            self.ranks.push(Reverse(rank));
        }
        self.lists[self.list_of[index] as usize].push(at);
    }

    /// The least rank and its positions, in order.
    fn pop(&mut self) -> Option<(u32, Vec<u32>)> {
        let Reverse(rank) = self.ranks.pop()?;
        let list = std::mem::replace(&mut self.list_of[rank as usize], NONE);
        let mut positions = std::mem::take(&mut self.lists[list as usize]);
        self.unused.push(list);
        if !positions.is_sorted() {
            positions.sort_unstable();
        }
        Some((rank, positions))
    }
}

/// Linear in the symbols but for the order of positions within a rank: where a merge makes only
/// pairs of greater rank, all pairs of the least rank can be merged in one round, left to right.
fn merge_by_rounds(merges: &Pairs, scratch: &mut Scratch) {
    let Scratch {
        ids,
        lens,
        links,
        rounds,
        ..
    } = scratch;
    link_all(links, ids.len() as u32);
    for (at, pair) in (0u32..).zip(ids.windows(2)) {
        let rank = merges.rank(pair[0], pair[1]);
        if rank != NONE {
            rounds.push(rank, at);
        }
    }
    while let Some((rank, positions)) = rounds.pop() {
        for at in positions {
            let left = at as usize;
            let right = links[left].next;
            if ids[left] == GONE || right == END {
                continue;
            }
            let merge = merges.find(ids[left], ids[right as usize]);
            if merge.rank != rank {
                continue;
            }
            join(ids, lens, links, left, right as usize, merge.id);
            let Link { previous, next } = links[left];
            if next != END {
                let rank = merges.rank(merge.id, ids[next as usize]);
                if rank != NONE {
                    rounds.push(rank, at);
                }
            }
            if previous != END {
                let rank = merges.rank(ids[previous as usize], merge.id);
                if rank != NONE {
                    rounds.push(rank, previous);
                }
            }
        }
    }
    ids.retain(|&id| id != GONE);
    lens.retain(|&len| len != 0);
}

/// As `merge_long`, part by part. Where the tokens of two overlapping parts have one in common,
/// those of the first up to it and those of the second after it are the tokens of both together:
/// see rust/README.md. If some have none in common, the symbols are as they were, and it gives false.
fn merge_by_parts(merges: &Pairs, scratch: &mut Scratch, part: usize, overlap: usize) -> bool {
    let symbols = std::mem::take(&mut scratch.ids);
    let lens = std::mem::take(&mut scratch.lens);
    // Tokens, and the symbol that each begins with.
    let mut tokens: Vec<(u32, u32)> = Vec::new();
    // The first of them that the next part has to do with.
    let (mut begin, mut again) = (0, 0);
    let all = loop {
        let end = symbols.len().min(begin + part);
        scratch.clear();
        scratch.ids.extend_from_slice(&symbols[begin..end]);
        scratch.lens.resize(end - begin, 1);
        merge_long(merges, scratch);
        let mut at = begin;
        let found = scratch.ids.iter().zip(&scratch.lens).map(|(&id, &len)| {
            at += len as usize;
            (id, at - len as usize, at)
        });
        if begin == 0 {
            tokens.extend(found.map(|(id, start, _)| (id, start as u32)));
        } else if !splice(&mut tokens, again, found) {
            break false;
        }
        if end == symbols.len() {
            break true;
        }
        again = tokens
            .partition_point(|token| token.1 as usize + overlap < end)
            .saturating_sub(1);
        let next = tokens[again].1 as usize;
        if next <= begin {
            break false;
        }
        begin = next;
    };
    (scratch.ids, scratch.lens) = (symbols, lens);
    if all {
        let ends = tokens.iter().skip(1).map(|token| token.1 as usize);
        let mut ends = ends.chain([scratch.lens.len()]);
        let old = std::mem::take(&mut scratch.lens);
        scratch.clear();
        for &(id, start) in &tokens {
            let end = ends.next().unwrap_or(old.len());
            scratch.ids.push(id);
            scratch.lens.push(old[start as usize..end].iter().sum());
        }
    }
    all
}

/// Puts the tokens of a part, by id, start and end, in the place of those from number `again` on,
/// after the first that both have. Gives false if there is none.
fn splice(
    tokens: &mut Vec<(u32, u32)>,
    again: usize,
    found: impl Iterator<Item = (u32, usize, usize)>,
) -> bool {
    let mut known = again;
    let mut common = false;
    for (id, start, end) in found {
        let (start, end) = (start as u32, end as u32);
        if common {
            tokens.push((id, start));
            continue;
        }
        while tokens.get(known).is_some_and(|token| token.1 < start) {
            known += 1;
        }
        // The last one of the part before ends where that part does, and is none to rely on.
        match (tokens.get(known), tokens.get(known + 1)) {
            (Some(token), Some(next)) if token.1 == start && next.1 == end => {
                tokens.truncate(known + 1);
                common = true;
            }
            (Some(_), Some(_)) => {}
            _ => return false,
        }
    }
    common
}

fn link_all(links: &mut Vec<Link>, count: u32) {
    links.clear();
    links.extend((0..count).map(|i| Link {
        previous: i.wrapping_sub(1),
        next: if i + 1 == count { END } else { i + 1 },
    }));
}

/// Makes `id` of two neighbours.
fn join(ids: &mut [u32], lens: &mut [u32], links: &mut [Link], left: usize, right: usize, id: u32) {
    ids[left] = id;
    ids[right] = GONE;
    lens[left] += lens[right];
    lens[right] = 0;
    let next = links[right].next;
    links[left].next = next;
    if next != END {
        links[next as usize].previous = left as u32;
    }
}

/// O(n log n) in the symbols: a linked list of them and a queue of (rank, position).
fn merge_by_queue(merges: &Pairs, scratch: &mut Scratch) {
    let Scratch {
        ids,
        lens,
        links,
        queue,
        ..
    } = scratch;
    link_all(links, ids.len() as u32);

    let mut entries = std::mem::take(queue).into_vec();
    entries.clear();
    for (at, pair) in (0u32..).zip(ids.windows(2)) {
        let rank = merges.rank(pair[0], pair[1]);
        if rank != NONE {
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
        join(ids, lens, links, left, right as usize, merge.id);
        let Link { previous, next } = links[left];
        if next != END {
            let rank = merges.rank(merge.id, ids[next as usize]);
            if rank != NONE {
                queue.push(Reverse(entry(rank, at)));
            }
        }
        if previous != END {
            let rank = merges.rank(ids[previous as usize], merge.id);
            if rank != NONE {
                queue.push(Reverse(entry(rank, previous)));
            }
        }
    }
    ids.retain(|&id| id != GONE);
    lens.retain(|&len| len != 0);
}

fn entry(rank: u32, at: u32) -> u64 {
    (u64::from(rank) << 32) | u64::from(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word.
    fn naive(merges: &Pairs, mut ids: Vec<u32>) -> Vec<u32> {
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
    fn all_loops_follow_the_definition() {
        let mut random = Random(7);
        let (mut ascending, mut by_parts) = (0, 0);
        for _ in 0..400 {
            let alphabet = 1 + random.below(4);
            let mut made: Vec<(u32, u32, u32, u32)> = Vec::new();
            for rank in 0..random.below(40) {
                // Any known ids may merge, into a new id each time, in any order of ranks.
                let known = alphabet + rank;
                let (left, right) = (random.below(known), random.below(known));
                let rank = 1000 - rank * random.below(2) + rank;
                made.retain(|pair| (pair.0, pair.1) != (left, right));
                made.push((left, right, rank, known));
            }
            // Ranks must be unique to a pair: renumber.
            made.sort_by_key(|pair| (pair.2, pair.0, pair.1));
            let mut merges = Pairs::with_capacity(made.len());
            for (rank, pair) in (0..).zip(&made) {
                merges.insert(pair.0, pair.1, rank, pair.3);
            }

            merges.finish();
            let length = random.below(300);
            let word: Vec<u32> = (0..length).map(|_| random.below(alphabet)).collect();
            let expected = naive(&merges, word.clone());
            let mut short = word[..word.len().min(SCAN_LIMIT)].to_vec();
            let wanted = naive(&merges, short.clone());
            let pair = |ids: &[u32], at: usize| merges.find(ids[at], ids[at + 1]);
            let left = merge_short(&merges, &mut short, pair);
            assert_eq!(short[..left], wanted);
            let mut scratch = Scratch::default();
            let mut ways: Vec<fn(&Pairs, &mut Scratch)> = vec![merge_by_scan, merge_by_queue];
            if merges.is_ascending() {
                ascending += 1;
                ways.push(merge_by_rounds);
            }
            ways.push(|merges, scratch| {
                if !merge_by_parts(merges, scratch, 24, 8) {
                    merge_by_queue(merges, scratch);
                }
            });
            scratch.clear();
            word.iter().for_each(|id| scratch.push(*id, 1));
            by_parts +=
                usize::from(word.len() > 24 && merge_by_parts(&merges, &mut scratch, 24, 8));
            for merge in ways {
                scratch.clear();
                word.iter().for_each(|id| scratch.push(*id, 1));
                merge(&merges, &mut scratch);
                assert_eq!(scratch.ids, expected, "word {word:?}");
                assert_eq!(scratch.lens.iter().sum::<u32>(), length);
                assert_eq!(scratch.lens.len(), scratch.ids.len());
            }
        }
        assert!(ascending > 50);
        assert!(by_parts > 50);
    }
}
