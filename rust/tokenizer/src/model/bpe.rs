//! Byte-level BPE: the bytes of a word, merged by rank.

use std::collections::HashMap;

pub(crate) use super::merge::Scratch;
use super::merge::{merge_all, Merges};

/// A byte that the vocabulary lacks.
pub(super) const NO_ID: u32 = u32::MAX;

/// What a byte without a token becomes.
#[derive(Clone, Copy)]
pub(super) struct Unknown {
    /// `unk_token`.
    pub(super) id: u32,
    /// `fuse_unk`: neighbours share one.
    pub(super) fuse: bool,
}

/// A loaded model of type BPE over the byte alphabet.
pub(crate) struct Bpe {
    pub(super) byte_ids: [u32; 256],
    pub(super) unknown: Option<Unknown>,
    pub(super) merges: Merges,
    /// Words that are known to encode as the one token. Most words of a text
    /// are here, so this is the fast path; with `ignore_merges` it is the rule.
    pub(super) whole: HashMap<Box<[u8]>, u32>,
}

impl Bpe {
    /// Appends the ids of one word to `out`.
    pub(crate) fn encode_word(&self, word: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if let Some(&id) = self.whole.get(word) {
            out.push(id);
        } else {
            self.merge_word(word, scratch);
            out.extend_from_slice(&scratch.ids);
        }
    }

    /// Leaves the ids of one word in `scratch.ids`.
    pub(super) fn merge_word(&self, word: &[u8], scratch: &mut Scratch) {
        scratch.ids.clear();
        let mut after_unknown = false;
        for &byte in word {
            let id = self.byte_ids[usize::from(byte)];
            if id != NO_ID {
                scratch.ids.push(id);
            } else if let Some(unknown) = self.unknown {
                if !(unknown.fuse && after_unknown) {
                    scratch.ids.push(unknown.id);
                }
            }
            // Without unk_token the byte is dropped, and its neighbours may merge:
            // what the reference does.
            after_unknown = id == NO_ID;
        }
        merge_all(&self.merges, scratch);
    }
}
