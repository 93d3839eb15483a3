//! Several words at a time: what is not known of them is looked up and merged side by side, so
//! that the processor waits for memory once and not for each.
//!
//! Nothing here decides about ids: it fills the caches that the words are then encoded from, with
//! what they would hold had each word been encoded by itself.

use super::words::{key, Key, NONE, SHORT};
use super::{Run, MOST};
use crate::model::bpe::{Abreast, ABREAST_LIMIT};
use crate::pretok::scan::Scanner;

/// How many words are looked up together.
const AHEAD: usize = 128;

/// A word or a unit of a text.
#[derive(Clone, Copy)]
struct Word {
    /// 0 if it is too long for one.
    key: Key,
    hash: u64,
    start: u32,
    end: u32,
}

/// A word whose ids are to be put between the others.
#[derive(Clone, Copy)]
struct Hole {
    word: u32,
    /// Where in the output.
    at: usize,
    /// Where its ids end in `filled`.
    end: usize,
}

/// Buffers.
#[derive(Default)]
pub(super) struct Ahead {
    words: Vec<Word>,
    holes: Vec<Hole>,
    filled: Vec<u32>,
    units: Vec<Word>,
    merged: Vec<Word>,
    abreast: Abreast,
}

impl Run<'_> {
    /// By a pattern.
    pub(super) fn words(&mut self, scanner: Scanner, text: &str, out: &mut Vec<u32>) {
        let bytes = text.as_bytes();
        let mut ahead = self.state.ahead.take().unwrap_or_default();
        let mut at = 0;
        while at < text.len() {
            ahead.words.clear();
            while ahead.words.len() < AHEAD && at < text.len() {
                let start = at;
                at = scanner.word_end(text, at);
                let word = self.at(bytes, start, at, 0);
                ahead.words.push(word);
            }
            self.known(&mut ahead, out);
            if !ahead.holes.is_empty() {
                if ahead.holes.len() > 1 {
                    self.learn(bytes, &mut ahead);
                }
                self.fill(bytes, &mut ahead, out);
            }
        }
        self.state.ahead = Some(ahead);
    }

    /// Appends the ids of all words that the thread knows, and notes the others.
    #[inline]
    fn known(&self, ahead: &mut Ahead, out: &mut Vec<u32>) {
        ahead.holes.clear();
        let mut at = out.len();
        out.resize(at + ahead.words.len() * MOST, 0);
        for (n, word) in (0..).zip(&ahead.words) {
            let entry = self.state.own.few(word.key, word.hash);
            if let (Some(entry), Some(ids)) = (entry, out.get_mut(at..at + MOST)) {
                // All, of which the next word overwrites those that are none.
                ids.copy_from_slice(&entry.ids);
                at += entry.count();
            } else {
                if word.key != 0 {
                    self.fast.words.near(word.hash);
                    self.fast.shared.near(word.hash);
                }
                ahead.holes.push(Hole {
                    word: n,
                    at,
                    end: 0,
                });
            }
        }
        out.truncate(at);
    }

    /// Puts the ids of the words that `known` left out where they belong.
    #[inline(never)]
    fn fill(&mut self, bytes: &[u8], ahead: &mut Ahead, out: &mut Vec<u32>) {
        let Ahead {
            words,
            holes,
            filled,
            ..
        } = ahead;
        filled.clear();
        for hole in holes.iter_mut() {
            let Word {
                key,
                hash,
                start,
                end,
            } = words[hole.word as usize];
            let text = &bytes[start as usize..end as usize];
            if key == 0 {
                self.long_word(text, false, filled);
            } else {
                self.word(text, key, hash, filled);
            }
            hole.end = filled.len();
        }
        // From the back, so that nothing is moved twice.
        let mut end = out.len();
        out.resize(end + filled.len(), 0);
        for (n, hole) in holes.iter().enumerate().rev() {
            out.copy_within(hole.at..end, hole.at + hole.end);
            let start = n.checked_sub(1).map_or(0, |n| holes[n].end);
            out[hole.at + start..hole.at + hole.end].copy_from_slice(&filled[start..hole.end]);
            end = hole.at;
        }
    }

    #[inline(always)]
    fn at(&self, bytes: &[u8], start: usize, end: usize, unit: Key) -> Word {
        let mut word = Word {
            key: 0,
            hash: 0,
            start: start as u32,
            end: end as u32,
        };
        if end - start <= SHORT {
            word.key = key(bytes, start, end) | unit;
            word.hash = self.fast.seeds.hash(word.key);
            self.state.own.near(word.hash);
        }
        word
    }

    /// Sees to it that the thread knows the words that are missing, as far as it is cheaper for
    /// many than for one.
    #[inline(never)]
    fn learn(&mut self, bytes: &[u8], ahead: &mut Ahead) {
        let fast = self.fast;
        let Ahead {
            words,
            holes,
            units,
            merged,
            abreast,
            ..
        } = ahead;
        units.clear();
        merged.clear();
        for hole in &*holes {
            let word = words[hole.word as usize];
            let (start, end) = (word.start as usize, word.end as usize);
            let text = &bytes[start..end];
            if word.key != 0 {
                let id = fast.words.get(word.key, word.hash, false);
                if self.found(&word, id) {
                    continue;
                }
                if text.is_ascii() {
                    merged.push(word);
                    continue;
                }
            } else if text.is_ascii() {
                continue;
            }
            let mut at = start;
            while at < end {
                let next = fast.joins.unit_end(&bytes[..end], at);
                if next - at <= SHORT {
                    let unit = self.at(bytes, at, next, fast.unit);
                    fast.words.near(self.plain_hash(&unit));
                    fast.shared.near(unit.hash);
                    units.push(unit);
                }
                at = next;
            }
        }
        for unit in &*units {
            if !self.state.own.has(unit.key, unit.hash) {
                let plain = unit.key & !fast.unit;
                let id = fast.words.get(plain, self.plain_hash(unit), fast.unit != 0);
                if !self.found(unit, id) {
                    merged.push(*unit);
                }
            }
        }
        self.merge(bytes, merged, abreast);
    }

    /// The hash of a unit's text as a word.
    #[inline]
    fn plain_hash(&self, unit: &Word) -> u64 {
        match self.fast.unit {
            0 => unit.hash,
            mark => self.fast.seeds.hash(unit.key & !mark),
        }
    }

    /// Whether a word or unit is the token `id`, or in the table that all share: the thread
    /// knows it then.
    #[inline]
    fn found(&mut self, word: &Word, id: u32) -> bool {
        if id != NONE {
            self.state.own.put(word.key, word.hash, &[id]);
            return true;
        }
        if let Some(entry) = self.fast.shared.get(word.key, word.hash) {
            self.state.own.put_entry(word.hash, entry);
            return true;
        }
        false
    }

    fn merge(&mut self, bytes: &[u8], words: &mut Vec<Word>, abreast: &mut Abreast) {
        let fast = self.fast;
        let text = |word: &Word| &bytes[word.start as usize..word.end as usize];
        if fast.any_missing {
            // The general way knows what becomes of bytes without a token.
            let is_there = |byte: &u8| fast.byte_ids[usize::from(*byte)] != NONE;
            words.retain(|word| text(word).iter().all(is_there));
        }
        let words = &*words;
        let symbols = |n: usize, ids: &mut [u32; ABREAST_LIMIT]| {
            let text = text(&words[n]);
            for (id, &byte) in ids.iter_mut().zip(text) {
                *id = fast.byte_ids[usize::from(byte)];
            }
            text.len()
        };
        let pair = |n: usize, _: &[u32], at: usize| fast.byte_pair(text(&words[n]), at);
        let own = &mut self.state.own;
        let bpe = self.bpe;
        bpe.merge_abreast(abreast, words.len(), symbols, pair, |n, ids| {
            let Word { key, hash, .. } = words[n];
            own.put(key, hash, ids);
            fast.share(key, hash, ids);
        });
    }
}
