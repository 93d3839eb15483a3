//! The short way from text to ids, for the tokenizers that most models have.
//!
//! It gives the ids of the general way (`encode.rs`, which is the definition) for BPE over bytes
//! behind a known split pattern, and for BPE over characters as SentencePiece models have it.
//! tests/fast.rs holds the two ways against each other. rust/README.md has the reasons.

mod ahead;
mod build;
mod cache;
mod joins;
mod state;
mod words;

use std::borrow::Cow;

use crate::added::{AddedTokens, Segment};
use crate::bytes::char_of;
use crate::error::Error;
use crate::model::bpe::Bpe;
use crate::model::vocab::Vocab;
use crate::model::{Merge, Model, SCAN_LIMIT};
use crate::normalize::Normalizer;
use crate::pretok::scan::Scanner;
use crate::text::Text;
use crate::unicode::{stable::Stable, Classes, IS_DIGIT};
use cache::{Shared, MOST};
use joins::Joins;
use state::Idle;
pub(crate) use state::State;
use words::{key, Key, Seeds, Words, NONE, SHORT};

/// How a text falls into words.
enum Split {
    /// By a pattern, and before that by digits if so.
    Bytes { scanner: Scanner, digits: Digits },
    /// At marks (spaces, here) if so, and else not at all.
    Marks { every: bool, prepend: Mark },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    Together,
    Contiguous,
    Individual,
}

/// When a mark is put before a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Never,
    /// Whatever the text begins with.
    Always,
    /// If the text does not begin with one.
    Missing,
    /// If the text does not begin with one, and the input begins with the text.
    MissingFirst,
}

/// The tables of the short way.
pub(crate) struct Fast {
    split: Split,
    /// Whether the text is brought to form C first.
    compose: bool,
    /// The ids of single bytes, or of ASCII characters.
    byte_ids: Box<[u32; 256]>,
    /// Whether some bytes have none.
    any_missing: bool,
    /// What all pairs of bytes become.
    byte_pairs: Vec<Merge>,
    /// The ids of other characters, by their packed bytes, where words are of characters.
    char_ids: std::collections::HashMap<u32, u32>,
    /// The ids of the bytes that characters without an id fall back on.
    fallback: Option<Box<[u32; 256]>>,
    words: Words,
    /// What marks the key of a unit: nothing where words and units are the same.
    unit: Key,
    joins: Joins,
    seeds: Seeds,
    shared: Shared,
    idle: Idle,
}

/// The parts of a tokenizer that the short way falls back on.
pub(crate) struct Parts<'a> {
    pub(crate) added: &'a AddedTokens,
    pub(crate) vocab: &'a Vocab,
    pub(crate) model: &'a Model,
    /// Whether special tokens that stand in the text are encoded like other text.
    pub(crate) special_is_text: bool,
}

impl Fast {
    /// A state to encode with; to be given back.
    pub(crate) fn take_state(&self) -> State {
        self.idle.take()
    }

    pub(crate) fn give_back(&self, state: State) {
        self.idle.give_back(state);
    }

    /// Whether the text is one that the short way knows.
    pub(crate) fn takes(&self, text: &str) -> bool {
        let has_mark = matches!(self.split, Split::Marks { .. }) && text.contains('▁');
        text.len() < u32::MAX as usize && !has_mark
    }

    /// Whether a space between two ASCII letters begins a word or unit always.
    pub(crate) fn cuts_at_spaces(&self) -> bool {
        let letter = |byte: u8| {
            !self
                .joins
                .joins(u32::from(byte), u32::from(b' '), byte, b' ')
        };
        matches!(self.split, Split::Bytes { .. }) || (b'a'..=b'z').chain(b'A'..=b'Z').all(letter)
    }

    /// Appends the ids of a text, or gives up, having appended nothing. If it is the rest of one,
    /// no mark is put before it.
    pub(crate) fn encode(
        &self,
        parts: &Parts<'_>,
        state: &mut State,
        text: &str,
        is_rest: bool,
        out: &mut Vec<u32>,
    ) -> Result<bool, Error> {
        if !self.takes(text) {
            return Ok(false);
        }
        let Model::Bpe(bpe) = parts.model else {
            return Ok(false);
        };
        let mut run = Run {
            fast: self,
            bpe,
            vocab: parts.vocab,
            state,
            error: None,
        };
        let begin = text.as_ptr() as usize;
        let special_is_text = parts.special_is_text;
        parts
            .added
            .split_literal(text, special_is_text, &mut |segment| match segment {
                Segment::Token(id, _) => out.push(id),
                Segment::Text(part) => {
                    let first = match part.as_ptr() as usize == begin {
                        true if is_rest => Place::Rest,
                        true => Place::First,
                        false => Place::Later,
                    };
                    let composed = self.composed(part);
                    if parts.added.any_normalized() {
                        parts.added.split_normalized(
                            &composed,
                            special_is_text,
                            &mut |s| match s {
                                Segment::Token(id, _) => out.push(id),
                                Segment::Text(part) => run.text(part, first, out),
                            },
                        );
                    } else {
                        run.text(&composed, first, out);
                    }
                }
            });
        match run.error {
            None => Ok(true),
            Some(error) => Err(error),
        }
    }

    /// What the bytes at `at` become.
    #[inline(always)]
    fn byte_pair(&self, bytes: &[u8], at: usize) -> Merge {
        self.byte_pairs[(usize::from(bytes[at]) << 8) | usize::from(bytes[at + 1])]
    }

    /// Keeps what merging made of a string for all threads, if an entry holds it.
    fn share(&self, key: Key, hash: u64, ids: &[u32]) {
        if (2..=MOST).contains(&ids.len()) {
            self.shared.put(hash, key, ids);
        }
    }

    fn composed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.compose || text.is_ascii() || Stable::get().is_composed(text) {
            return Cow::Borrowed(text);
        }
        let mut changed = Text::new(text, false);
        // The form C of a text exists always.
        match Normalizer::Nfc.apply(&mut changed) {
            Ok(()) => Cow::Owned(changed.into_string()),
            Err(_) => Cow::Borrowed(text),
        }
    }
}

/// Where in the input a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
    /// It goes on where another input ended.
    Rest,
}

/// The encoding of one input.
struct Run<'a> {
    fast: &'a Fast,
    bpe: &'a Bpe,
    vocab: &'a Vocab,
    state: &'a mut State,
    error: Option<Error>,
}

impl Run<'_> {
    /// A text between added tokens.
    fn text(&mut self, text: &str, place: Place, out: &mut Vec<u32>) {
        match self.fast.split {
            Split::Bytes {
                scanner,
                digits: Digits::Together,
            } => self.words(scanner, text, out),
            Split::Bytes { scanner, digits } => self.between_digits(scanner, digits, text, out),
            Split::Marks { every, prepend } => {
                let begins = text.as_bytes().first() == Some(&b' ');
                let add = match prepend {
                    _ if place == Place::Rest => false,
                    Mark::Never => false,
                    Mark::Always => true,
                    Mark::Missing => !begins,
                    Mark::MissingFirst => !begins && place == Place::First,
                };
                if add {
                    self.units(&format!(" {text}"), every, out);
                } else {
                    self.units(text, every, out);
                }
            }
        }
    }

    /// Digits first, and the pattern over what lies between: it sees no further.
    fn between_digits(&mut self, scanner: Scanner, digits: Digits, text: &str, out: &mut Vec<u32>) {
        let classes = Classes::get();
        let bytes = text.as_bytes();
        let (mut start, mut at, mut in_digits) = (0, 0, false);
        while at < bytes.len() {
            let (is_digit, len) = if bytes[at] < 0x80 {
                (bytes[at].is_ascii_digit(), 1)
            } else {
                let c = text[at..].chars().next().unwrap_or_default();
                (classes.of(c) & IS_DIGIT != 0, c.len_utf8())
            };
            let cut = is_digit != in_digits || (is_digit && digits == Digits::Individual);
            if cut && start < at {
                self.words(scanner, &text[start..at], out);
                start = at;
            }
            in_digits = is_digit;
            at += len;
        }
        self.words(scanner, &text[start..], out);
    }

    /// A word of the pattern.
    #[inline]
    fn word(&mut self, word: &[u8], key: Key, hash: u64, out: &mut Vec<u32>) {
        if !self.state.own.append(key, hash, out) {
            self.new_word(word, key, hash, out);
        }
    }

    #[inline(never)]
    fn new_word(&mut self, word: &[u8], key: Key, hash: u64, out: &mut Vec<u32>) {
        let before = out.len();
        let fast = self.fast;
        let id = fast.words.get(key, hash, false);
        if id != NONE {
            out.push(id);
        } else if let Some(entry) = fast.shared.get(key, hash) {
            entry.push_to(out);
        } else if word.is_ascii() {
            self.merged(word, out);
            fast.share(key, hash, &out[before..]);
        } else {
            self.in_units(word, out);
        }
        self.state.own.put(key, hash, &out[before..]);
    }

    /// A word, or a unit, that is longer than a key.
    #[inline(never)]
    fn long_word(&mut self, word: &[u8], unit: bool, out: &mut Vec<u32>) {
        let fast = self.fast;
        // Where words and units are the same, so are their entries.
        let marked = unit && fast.unit != 0;
        let hash = fast.seeds.hash_long(word);
        let own_hash = hash ^ u64::from(marked);
        if let Some(ids) = self.state.own_long.get(word, own_hash, marked) {
            out.extend_from_slice(ids);
            return;
        }
        let before = out.len();
        match fast.words.get_long(word, hash, marked) {
            NONE if unit => self.merged(word, out),
            NONE => self.in_units(word, out),
            id => out.push(id),
        }
        self.state
            .own_long
            .put(word, own_hash, marked, &out[before..]);
    }

    /// A word by the units that it falls apart into.
    fn in_units(&mut self, word: &[u8], out: &mut Vec<u32>) {
        let mut at = 0;
        while at < word.len() {
            let end = self.fast.joins.unit_end(word, at);
            self.unit(word, at, end, out);
            at = end;
        }
    }

    /// A text of characters by its units; `every` mark begins one.
    fn units(&mut self, text: &str, every: bool, out: &mut Vec<u32>) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let mut end = self.fast.joins.unit_end(bytes, at);
            if every {
                if let Some(mark) = bytes[at + 1..end].iter().position(|b| *b == b' ') {
                    end = at + 1 + mark;
                }
            }
            self.unit(bytes, at, end, out);
            at = end;
        }
    }

    #[inline]
    fn unit(&mut self, text: &[u8], start: usize, end: usize, out: &mut Vec<u32>) {
        let fast = self.fast;
        if end - start > SHORT {
            self.long_word(&text[start..end], true, out);
            return;
        }
        let plain = key(text, start, end);
        let key = plain | fast.unit;
        let hash = fast.seeds.hash(key);
        if self.state.own.append(key, hash, out) {
            return;
        }
        let before = out.len();
        let id = if fast.unit == 0 {
            fast.words.get(key, hash, false)
        } else {
            fast.words.get(plain, fast.seeds.hash(plain), true)
        };
        if id != NONE {
            out.push(id);
        } else if let Some(entry) = fast.shared.get(key, hash) {
            entry.push_to(out);
        } else {
            self.merged(&text[start..end], out);
            fast.share(key, hash, &out[before..]);
        }
        self.state.own.put(key, hash, &out[before..]);
    }

    /// By merging.
    fn merged(&mut self, unit: &[u8], out: &mut Vec<u32>) {
        if self.fast.fallback.is_some() {
            self.merged_chars(unit, out);
            return;
        }
        let fast = self.fast;
        let mut ids = [0; SCAN_LIMIT];
        if let Some(ids) = ids.get_mut(..unit.len()) {
            for (id, &byte) in ids.iter_mut().zip(unit) {
                *id = fast.byte_ids[usize::from(byte)];
            }
            if ids.contains(&NONE) {
                // By the general way, which knows what becomes of bytes without a token.
                self.general(unit, out);
                return;
            }
            let pair = |_: &[u32], at: usize| fast.byte_pair(unit, at);
            let count = self.bpe.merge_short(ids, pair);
            out.extend_from_slice(&ids[..count]);
            return;
        }
        let scratch = &mut self.state.scratch;
        scratch.clear();
        for &byte in unit {
            let id = fast.byte_ids[usize::from(byte)];
            if id == NONE {
                self.general(unit, out);
                return;
            }
            scratch.push(id, 1);
        }
        self.bpe.merge(scratch);
        out.extend_from_slice(scratch.ids());
    }

    fn merged_chars(&mut self, unit: &[u8], out: &mut Vec<u32>) {
        let fast = self.fast;
        let scratch = &mut self.state.scratch;
        scratch.clear();
        let mut at = 0;
        while at < unit.len() {
            let len = joins::length(unit[at]);
            let id = if len == 1 {
                fast.byte_ids[usize::from(unit[at])]
            } else {
                let packed = joins::packed(&unit[at..at + len]);
                fast.char_ids.get(&packed).copied().unwrap_or(NONE)
            };
            if id == NONE {
                for byte in &unit[at..at + len] {
                    let fallback = fast.fallback.as_ref();
                    scratch.push(fallback.map_or(NONE, |ids| ids[usize::from(*byte)]), 1);
                }
            } else {
                scratch.push(id, len);
            }
            at += len;
        }
        self.bpe.merge_ids(scratch);
        out.extend_from_slice(scratch.ids());
    }

    fn general(&mut self, unit: &[u8], out: &mut Vec<u32>) {
        let word: String = unit.iter().map(|byte| char_of(*byte)).collect();
        let mut tokens = Vec::new();
        let scratch = &mut self.state.scratch;
        match self
            .bpe
            .tokenize_merging(self.vocab, &word, scratch, &mut tokens)
        {
            Ok(()) => out.extend(tokens.iter().map(|token| token.id)),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }
}
