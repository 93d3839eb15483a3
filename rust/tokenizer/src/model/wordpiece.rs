//! WordPiece: the longest token that a word begins with, again and again.

use super::trie::{Trie, ROOT};
use super::{whole_word, Token, Unknown};
use crate::error::Error;

pub(crate) struct WordPiece {
    pub(super) trie: Trie,
    /// The node of `continuing_subword_prefix`, if any token begins with it.
    pub(super) continuing: Option<u32>,
    pub(super) unknown: Unknown,
    pub(super) max_chars: usize,
}

impl WordPiece {
    pub(super) fn tokenize(&self, word: &str, out: &mut Vec<Token>) -> Result<(), Error> {
        let first = out.len();
        let bytes = word.as_bytes();
        let mut at = 0;
        // Bytes bound the characters, so that most words need no count.
        let too_long = word.len() > self.max_chars && word.chars().count() > self.max_chars;
        while at < bytes.len() && !too_long {
            let mut node = if at == 0 { Some(ROOT) } else { self.continuing };
            let mut longest = None;
            for (end, &byte) in bytes.iter().enumerate().skip(at) {
                node = node.and_then(|node| self.trie.child(node, byte));
                let Some(node) = node else { break };
                if let Some(id) = self.trie.value(node) {
                    longest = Some((id, end + 1));
                }
            }
            let Some((id, end)) = longest else { break };
            out.push(Token {
                id,
                start: at as u32,
                end: end as u32,
                literal: false,
            });
            at = end;
        }
        if at < bytes.len() {
            out.truncate(first);
            out.push(whole_word(self.unknown.id()?, word));
        }
        Ok(())
    }
}
