//! Unigram: of all ways to cut a word into tokens the one of greatest total score.

use super::trie::{Trie, ROOT};
use super::Token;
use crate::error::Error;

/// How much worse than the worst token an unknown character is: SentencePiece's constant.
const UNKNOWN_PENALTY: f64 = 10.0;

pub(crate) struct Unigram {
    pub(super) trie: Trie,
    /// By id.
    pub(super) scores: Vec<f64>,
    pub(super) least: f64,
    pub(super) unknown: Option<u32>,
    /// The tokens `<0x00>` to `<0xFF>`, as far as there are any, if `byte_fallback` is set.
    pub(super) bytes: Option<Box<[Option<u32>; 256]>>,
}

/// The best way to a position.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    /// Where its last token begins; `UNREACHED` if there is no way yet.
    start: u32,
    id: u32,
}

const UNREACHED: u32 = u32::MAX;

impl Unigram {
    /// The additions are those of the reference in its order, so that ties fall the same way.
    pub(super) fn tokenize(&self, word: &str, out: &mut Vec<Token>) -> Result<(), Error> {
        let bytes = word.as_bytes();
        let mut best = vec![
            Best {
                score: 0.0,
                start: UNREACHED,
                id: 0,
            };
            bytes.len() + 1
        ];
        for (start, c) in word.char_indices() {
            let so_far = best[start].score;
            let mut single = false;
            let mut improve = |end: usize, id: u32, score: f64| {
                let target = &mut best[end];
                let score = score + so_far;
                if target.start == UNREACHED || score > target.score {
                    *target = Best {
                        score,
                        start: start as u32,
                        id,
                    };
                }
            };
            let mut node = ROOT;
            for (end, &byte) in bytes.iter().enumerate().skip(start) {
                match self.trie.child(node, byte) {
                    Some(child) => node = child,
                    None => break,
                }
                if let Some(id) = self.trie.value(node) {
                    improve(end + 1, id, self.scores[id as usize]);
                    single |= end + 1 - start == c.len_utf8();
                }
            }
            if !single {
                let end = start + c.len_utf8();
                // As in the reference, the lack of an unknown token is an error only where the
                // unknown character would be on the best way.
                let score = self.least - UNKNOWN_PENALTY;
                let target = &best[end];
                if target.start == UNREACHED || score + so_far > target.score {
                    let id = self.unknown.ok_or_else(no_unknown)?;
                    best[end] = Best {
                        score: score + so_far,
                        start: start as u32,
                        id,
                    };
                }
            }
        }
        let first = out.len();
        let mut end = bytes.len() as u32;
        let mut fused: Option<u32> = None;
        while end > 0 {
            let Best { start, id, .. } = best[end as usize];
            if Some(id) == self.unknown {
                fused.get_or_insert(end);
            } else {
                if let Some(fused_end) = fused.take() {
                    self.unknown_part(word, end, fused_end, out)?;
                }
                out.push(Token {
                    id,
                    start,
                    end,
                    literal: false,
                });
            }
            end = start;
        }
        if let Some(fused_end) = fused {
            self.unknown_part(word, 0, fused_end, out)?;
        }
        out[first..].reverse();
        Ok(())
    }

    /// Adds, last first, the tokens of neighbouring unknown characters.
    fn unknown_part(
        &self,
        word: &str,
        start: u32,
        end: u32,
        out: &mut Vec<Token>,
    ) -> Result<(), Error> {
        let part = &word.as_bytes()[start as usize..end as usize];
        let token = |id| Token {
            id,
            start,
            end,
            literal: true,
        };
        // Together they may be a token that was too bad for the best way.
        if let Some(id) = self.trie.get(part) {
            out.push(token(id));
            return Ok(());
        }
        if let Some(ids) = &self.bytes {
            if part.iter().all(|byte| ids[usize::from(*byte)].is_some()) {
                out.extend(part.iter().rev().filter_map(|byte| {
                    ids[usize::from(*byte)].map(|id| Token {
                        literal: false,
                        ..token(id)
                    })
                }));
                return Ok(());
            }
        }
        out.push(token(self.unknown.ok_or_else(no_unknown)?));
        Ok(())
    }
}

fn no_unknown() -> Error {
    Error::Text {
        problem: "the text has what the vocabulary lacks, and the model has no unk_id".to_owned(),
    }
}
