//! BPE: the characters of a word, merged by rank.

use super::merge::{merge_abreast, merge_all, merge_short, SCAN_LIMIT};
pub(crate) use super::merge::{Abreast, Scratch, ABREAST_LIMIT};
use super::pairs::{Merge, Pairs};
use super::vocab::Vocab;
use super::{whole_word, Token, Unknown};
use crate::error::Error;

/// A loaded model of type BPE.
pub(crate) struct Bpe {
    pub(super) merges: Pairs,
    pub(super) unknown: Option<Unknown>,
    pub(super) fuse_unknown: bool,
    /// The tokens `<0x00>` to `<0xFF>`, as far as there are any, if `byte_fallback` is set.
    pub(super) bytes: Option<Box<[Option<u32>; 256]>>,
    pub(super) ignore_merges: bool,
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Bpe {
    pub(super) fn tokenize(
        &self,
        vocab: &Vocab,
        word: &str,
        scratch: &mut Scratch,
        out: &mut Vec<Token>,
    ) -> Result<(), Error> {
        if self.ignore_merges {
            if let Some(id) = vocab.model_id(word) {
                out.push(whole_word(id, word));
                return Ok(());
            }
        }
        self.tokenize_merging(vocab, word, scratch, out)
    }

    /// The same by merging only.
    pub(crate) fn tokenize_merging(
        &self,
        vocab: &Vocab,
        word: &str,
        scratch: &mut Scratch,
        out: &mut Vec<Token>,
    ) -> Result<(), Error> {
        self.symbols(vocab, word, scratch)?;
        self.merge(scratch);
        let mut start = 0;
        for (&id, &len) in scratch.ids.iter().zip(&scratch.lens) {
            let end = start + len;
            out.push(Token {
                id,
                start,
                end,
                literal: false,
            });
            start = end;
        }
        Ok(())
    }

    /// Merges the symbols of `scratch`.
    #[inline]
    pub(crate) fn merge(&self, scratch: &mut Scratch) {
        merge_all(&self.merges, scratch);
    }

    /// Merges at most `SCAN_LIMIT` ids, where `pair` gives what an id and the one after it
    /// become, and gives how many are left.
    #[inline]
    pub(crate) fn merge_short(
        &self,
        ids: &mut [u32],
        pair: impl Fn(&[u32], usize) -> Merge,
    ) -> usize {
        merge_short(&self.merges, ids, pair)
    }

    /// Merges several short words side by side; see `merge_abreast`.
    #[inline]
    pub(crate) fn merge_abreast(
        &self,
        abreast: &mut Abreast,
        count: usize,
        symbols: impl Fn(usize, &mut [u32; ABREAST_LIMIT]) -> usize,
        pair: impl Fn(usize, &[u32], usize) -> Merge,
        done: impl FnMut(usize, &[u32]),
    ) {
        merge_abreast(&self.merges, abreast, count, symbols, pair, done);
    }

    /// Merges the symbols of `scratch`, whose lengths are not kept.
    pub(crate) fn merge_ids(&self, scratch: &mut Scratch) {
        if scratch.ids.len() > SCAN_LIMIT {
            self.merge(scratch);
            return;
        }
        let pair = |ids: &[u32], at: usize| self.merges.find(ids[at], ids[at + 1]);
        let count = merge_short(&self.merges, &mut scratch.ids, pair);
        scratch.ids.truncate(count);
    }

    /// What two neighbours become.
    #[inline]
    pub(crate) fn pair(&self, left: u32, right: u32) -> Merge {
        self.merges.find(left, right)
    }

    /// The ids that merges make.
    pub(crate) fn made(&self) -> impl Iterator<Item = u32> + '_ {
        self.merges.iter().map(|(_, _, merge)| merge.id)
    }

    /// The ids that merges take.
    pub(crate) fn merged(&self) -> impl Iterator<Item = u32> + '_ {
        self.merges
            .iter()
            .flat_map(|(left, right, _)| [left, right])
    }

    /// Whether symbols have prefixes or suffixes.
    pub(crate) fn has_affixes(&self) -> bool {
        !self.prefix.is_empty() || !self.suffix.is_empty()
    }

    pub(crate) fn ignores_merges(&self) -> bool {
        self.ignore_merges
    }

    /// The ids of the tokens for bytes, with `byte_fallback`.
    pub(crate) fn fallback(&self) -> Option<&[Option<u32>; 256]> {
        self.bytes.as_deref()
    }

    /// The symbols that merging begins with: one for each character, or several bytes.
    fn symbols(&self, vocab: &Vocab, word: &str, scratch: &mut Scratch) -> Result<(), Error> {
        scratch.clear();
        let mut affixed = String::new();
        // The reference holds an unknown character back until it meets a known one; bytes of
        // a fallback pass by it.
        let mut held: Option<(u32, usize)> = None;
        for (at, c) in word.char_indices() {
            let len = c.len_utf8();
            let plain = &word[at..at + len];
            let has_prefix = at > 0 && !self.prefix.is_empty();
            let has_suffix = at + len == word.len() && !self.suffix.is_empty();
            let symbol = if has_prefix || has_suffix {
                affixed.clear();
                if has_prefix {
                    affixed.push_str(&self.prefix);
                }
                affixed.push_str(plain);
                if has_suffix {
                    affixed.push_str(&self.suffix);
                }
                &affixed
            } else {
                plain
            };
            // The length is that of the symbol before a suffix and after a prefix: of the text.
            if let Some(id) = vocab.model_id(symbol) {
                if let Some((unknown, len)) = held.take() {
                    scratch.push(unknown, len);
                }
                scratch.push(id, len);
                continue;
            }
            if let Some(ids) = &self.bytes {
                if symbol.bytes().all(|byte| ids[usize::from(byte)].is_some()) {
                    for byte in symbol.bytes() {
                        scratch.push(ids[usize::from(byte)].unwrap_or_default(), 1);
                    }
                    continue;
                }
            }
            // Without unk_token the character is dropped, and its neighbours may merge.
            if let Some(unknown) = &self.unknown {
                held = match held {
                    Some((id, before)) if self.fuse_unknown => Some((id, before + len)),
                    other => {
                        if let Some((id, before)) = other {
                            scratch.push(id, before);
                        }
                        Some((unknown.id()?, len))
                    }
                };
            }
        }
        if let Some((id, len)) = held {
            scratch.push(id, len);
        }
        Ok(())
    }
}
