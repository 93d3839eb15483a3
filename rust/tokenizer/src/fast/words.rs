//! Byte strings to ids in one look-up, with short strings as keys by value.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::near::near;

/// The longest string that is a key by value.
pub(super) const SHORT: usize = 15;

/// A short string: its bytes, zeros, and in the last byte its length and `UNIT`.
pub(super) type Key = u128;

/// Marks the key of a string that is encoded by merging alone, where a whole word may have a
/// token that no merge reaches.
pub(super) const UNIT: Key = 1 << 127;

/// The key of `text[start..end]`, which is not longer than `SHORT`.
#[inline]
pub(super) fn key(text: &[u8], start: usize, end: usize) -> Key {
    let len = end - start;
    let bytes = match text.get(start..start + 16) {
        // Sixteen bytes at once, and those beyond the end masked away.
        Some(window) => {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(window);
            u128::from_le_bytes(bytes) & MASKS[len & 15]
        }
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&text[start..end]);
            u128::from_le_bytes(bytes)
        }
    };
    bytes | ((len as u128) << 120)
}

const fn masks() -> [u128; 16] {
    let mut masks = [0; 16];
    let mut len = 0;
    while len < 16 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
}

static MASKS: [u128; 16] = masks();

/// Seeds of a hash of keys, drawn at load, so that no text can aim at one slot.
#[derive(Clone, Copy)]
pub(super) struct Seeds(u64, u64);

impl Seeds {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0), random.hash_one(1) | 1)
    }

    #[inline]
    pub(super) fn hash(self, key: Key) -> u64 {
        let product = u128::from(key as u64 ^ self.0) * u128::from((key >> 64) as u64 ^ self.1);
        (product >> 64) as u64 ^ product as u64
    }

    /// Of a string longer than `SHORT`: of its parts of sixteen bytes, the last one overlapping.
    #[inline]
    pub(super) fn hash_long(self, word: &[u8]) -> u64 {
        let mut hash = word.len() as u64;
        let last = word.len().saturating_sub(16);
        let mut at = 0;
        while let Some(part) = word.get(at..at + 16) {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(part);
            hash = self.hash(u128::from_le_bytes(bytes) ^ Key::from(hash));
            if at >= last {
                break;
            }
            at = last.min(at + 16);
        }
        hash
    }
}

/// No id.
pub(super) const NONE: u32 = u32::MAX;

/// Marks the ids of strings that merging makes one token too.
const MERGED: u32 = 1 << 31;

/// Strings that are one token: as whole words, and some of them by merging too.
pub(super) struct Words {
    keys: Vec<Key>,
    ids: Vec<u32>,
    /// By hash, the few that share one in a row.
    long: HashMap<u64, Vec<LongWord>>,
    /// Bits of the hashes in `long`, so that most words are not looked for at all.
    filter: Vec<u64>,
    seeds: Seeds,
}

impl Words {
    /// For up to `count` strings.
    pub(super) fn new(seeds: Seeds, count: usize) -> Self {
        let slots = (count + count / 2 + 8).next_power_of_two();
        Self {
            keys: vec![0; slots],
            ids: vec![NONE; slots],
            long: HashMap::new(),
            filter: vec![0; FILTER / 64],
            seeds,
        }
    }

    pub(super) fn insert(&mut self, word: &[u8], id: u32, merged: bool) {
        let id = if merged { id | MERGED } else { id };
        if word.len() > SHORT {
            let hash = self.seeds.hash_long(word);
            self.filter[hash as usize % FILTER / 64] |= 1 << (hash % 64);
            let (bytes, words) = (word.into(), self.long.entry(hash).or_default());
            words.retain(|known| *known.bytes != *word);
            words.push(LongWord { bytes, id });
            return;
        }
        let key = key(word, 0, word.len());
        let mask = self.keys.len() - 1;
        let mut at = self.seeds.hash(key) as usize & mask;
        while self.keys[at] != 0 && self.keys[at] != key {
            at = (at + 1) & mask;
        }
        (self.keys[at], self.ids[at]) = (key, id);
    }

    /// Brings near what `get` will look at first.
    #[inline]
    pub(super) fn near(&self, hash: u64) {
        let at = hash as usize & (self.keys.len() - 1);
        near(&self.keys, at);
        near(&self.ids, at);
    }

    /// The id of a short string, or `NONE`; `merged` if only merging counts.
    #[inline]
    pub(super) fn get(&self, key: Key, hash: u64, merged: bool) -> u32 {
        let mask = self.keys.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let found = self.keys[at];
            if found == key {
                return counted(self.ids[at], merged);
            }
            if found == 0 {
                return NONE;
            }
            at = (at + 1) & mask;
        }
    }

    /// The same for a string longer than `SHORT`.
    #[inline]
    pub(super) fn get_long(&self, word: &[u8], hash: u64, merged: bool) -> u32 {
        if (self.filter[hash as usize % FILTER / 64] >> (hash % 64)) & 1 == 0 {
            return NONE;
        }
        let words = self.long.get(&hash).map_or(&[][..], Vec::as_slice);
        let found = words.iter().find(|known| *known.bytes == *word);
        found.map_or(NONE, |known| counted(known.id, merged))
    }
}

fn counted(id: u32, merged: bool) -> u32 {
    if merged && id & MERGED == 0 {
        NONE
    } else {
        id & !MERGED
    }
}

struct LongWord {
    bytes: Box<[u8]>,
    id: u32,
}

/// Bits of the filter.
const FILTER: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_the_bytes_alone() {
        let long = b"0123456789abcdefghij";
        for start in 0..long.len() {
            for end in start + 1..=long.len().min(start + SHORT) {
                let part = &long[start..end];
                assert_eq!(key(long, start, end), key(part, 0, part.len()));
            }
        }
        assert_ne!(key(b"a", 0, 1), key(b"a\0", 0, 2));
    }

    #[test]
    fn some_words_are_made_by_merging() {
        let mut words = Words::new(Seeds::new(), 4);
        let (long, longer) = (&b"0123456789abcdef"[..], &b"0123456789abcdefg"[..]);
        words.insert(b"ab", 0, false);
        words.insert(b"cd", 1, true);
        words.insert(long, 2, false);
        words.insert(longer, 3, false);
        words.insert(longer, 3, true);
        let get = |word: &[u8], merged| {
            if word.len() > SHORT {
                words.get_long(word, words.seeds.hash_long(word), merged)
            } else {
                let key = key(word, 0, word.len());
                words.get(key, words.seeds.hash(key), merged)
            }
        };
        assert_eq!([get(b"ab", false), get(b"ab", true)], [0, NONE]);
        assert_eq!([get(b"cd", false), get(b"cd", true)], [1, 1]);
        assert_eq!([get(long, false), get(long, true)], [2, NONE]);
        assert_eq!([get(longer, false), get(longer, true)], [3, 3]);
        assert_eq!(
            [get(b"x", false), get(b"0123456789abcdeF", false)],
            [NONE, NONE]
        );
    }
}
