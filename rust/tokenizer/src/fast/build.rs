//! Which tokenizers have a short way, and its tables.

use super::cache::Shared;
use super::joins::{packed, Joins};
use super::state::Idle;
use super::words::{Seeds, Words, NONE, UNIT};
use super::{Digits, Fast, Mark, Split};
use crate::bytes::{bytes_of, char_of};
use crate::model::bpe::Bpe;
use crate::model::vocab::Vocab;
use crate::model::{Model, Scratch, NO_MERGE};
use crate::normalize::Normalizer;
use crate::pretok::pattern::{Behavior, Pattern};
use crate::pretok::scan::Scanner;
use crate::pretok::{PreTokenizer, Prepend};

impl Fast {
    /// None if the tokenizer is none of those that have one.
    pub(crate) fn new(
        normalizer: Option<&Normalizer>,
        pretok: Option<&PreTokenizer>,
        model: &Model,
        vocab: &Vocab,
        any_normalized: bool,
    ) -> Option<Self> {
        let Model::Bpe(bpe) = model else { return None };
        if bpe.has_affixes() {
            return None;
        }
        match bytes_split(normalizer, pretok) {
            Some((split, compose)) if bpe.fallback().is_none() => {
                Some(Self::over_bytes(split, compose, bpe, vocab))
            }
            // Added tokens would have to be found in the text with its marks.
            _ if any_normalized => None,
            _ => Self::over_chars(marks_split(normalizer, pretok)?, bpe, vocab),
        }
    }

    fn over_bytes(split: Split, compose: bool, bpe: &Bpe, vocab: &Vocab) -> Self {
        let mut byte_ids = Box::new([NONE; 256]);
        let mut missing = Box::new([false; 256]);
        for byte in 0..=255u8 {
            let id = vocab.model_id(char_of(byte).encode_utf8(&mut [0; 4]));
            byte_ids[usize::from(byte)] = id.unwrap_or(NONE);
            missing[usize::from(byte)] = id.is_none();
        }
        let mut byte_pairs = vec![NO_MERGE; 1 << 16];
        for (pair, merge) in byte_pairs.iter_mut().enumerate() {
            let (left, right) = (byte_ids[pair >> 8], byte_ids[pair & 0xFF]);
            if left != NONE && right != NONE {
                *merge = bpe.pair(left, right);
            }
        }
        let any_missing = missing.contains(&true);
        let text = |id| vocab.token(id).and_then(bytes_of);
        let made: Vec<Vec<u8>> = bpe.made().filter_map(text).collect();
        let joins = Joins::new(made.iter().map(Vec::as_slice), missing);
        let seeds = Seeds::new();
        let unit = if bpe.ignores_merges() { UNIT } else { 0 };
        let mut words = Words::new(seeds, vocab.len());
        let mut scratch = Scratch::default();
        for (id, token) in vocab.model_iter() {
            let Some(bytes) = bytes_of(token).filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            if unit != 0 {
                words.insert(&bytes, id, false);
            }
            scratch.clear();
            let ids = bytes.iter().map(|byte| byte_ids[usize::from(*byte)]);
            // Of bytes without a token the general way knows what becomes.
            if ids.clone().any(|id| id == NONE) {
                continue;
            }
            ids.for_each(|id| scratch.push(id, 1));
            bpe.merge(&mut scratch);
            if scratch.ids() == [id] {
                words.insert(&bytes, id, true);
            }
        }
        Self {
            split,
            compose,
            byte_ids,
            any_missing,
            byte_pairs,
            char_ids: std::collections::HashMap::new(),
            fallback: None,
            words,
            unit,
            joins,
            seeds,
            shared: Shared::new(),
            idle: Idle::default(),
        }
    }

    fn over_chars(split: Split, bpe: &Bpe, vocab: &Vocab) -> Option<Self> {
        let bytes = bpe.fallback()?;
        if bpe.ignores_merges() {
            return None;
        }
        // Any character without a token can fall back on bytes, and no merge has to do with one.
        let mut fallback = Box::new([NONE; 256]);
        for (byte, id) in (0u8..).zip(bytes.iter()) {
            let own = vocab.model_id(char::from(byte).encode_utf8(&mut [0; 4]));
            match id {
                Some(id) => fallback[usize::from(byte)] = *id,
                None if byte.is_ascii() && own.is_some() => {}
                None => return None,
            }
        }
        let fallen: std::collections::HashSet<u32> = bytes.iter().copied().flatten().collect();
        if bpe.merged().any(|id| fallen.contains(&id)) {
            return None;
        }
        let mut byte_ids = Box::new([NONE; 256]);
        let mut char_ids = std::collections::HashMap::new();
        for (id, token) in vocab.model_iter() {
            let mut chars = token.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                match c {
                    // A space stands for the mark here, and is itself never met.
                    ' ' => {}
                    '▁' => byte_ids[usize::from(b' ')] = id,
                    c if c.is_ascii() => byte_ids[c as usize] = id,
                    _ => {
                        char_ids.insert(packed(token.as_bytes()), id);
                    }
                }
            }
        }
        // Bytes of the texts as they come in, with spaces for marks.
        let text = |token: &str| (!token.contains(' ')).then(|| token.replace('▁', " "));
        let made: Vec<String> = bpe
            .made()
            .filter_map(|id| vocab.token(id).and_then(text))
            .collect();
        let joins = Joins::new(made.iter().map(|t| t.as_bytes()), Box::new([false; 256]));
        let seeds = Seeds::new();
        let mut this = Self {
            split,
            compose: false,
            byte_ids,
            any_missing: false,
            byte_pairs: Vec::new(),
            char_ids,
            fallback: Some(fallback),
            words: Words::new(seeds, vocab.len()),
            unit: 0,
            joins,
            seeds,
            shared: Shared::new(),
            idle: Idle::default(),
        };
        let mut scratch = Scratch::default();
        for (id, token) in vocab.model_iter() {
            let Some(word) = text(token).filter(|word| !word.is_empty()) else {
                continue;
            };
            scratch.clear();
            let known = word.chars().all(|c| {
                let id = if c.is_ascii() {
                    this.byte_ids[c as usize]
                } else {
                    let packed = packed(c.encode_utf8(&mut [0; 4]).as_bytes());
                    this.char_ids.get(&packed).copied().unwrap_or(NONE)
                };
                if id != NONE {
                    scratch.push(id, c.len_utf8());
                }
                id != NONE
            });
            if known {
                bpe.merge(&mut scratch);
                if scratch.ids() == [id] {
                    this.words.insert(word.as_bytes(), id, true);
                }
            }
        }
        Some(this)
    }
}

/// How byte-level tokenizers split, and whether they compose before.
fn bytes_split(
    normalizer: Option<&Normalizer>,
    pretok: Option<&PreTokenizer>,
) -> Option<(Split, bool)> {
    let compose = match normalizer {
        None => false,
        Some(Normalizer::Nfc) => true,
        Some(_) => return None,
    };
    let steps = match pretok? {
        PreTokenizer::Sequence(steps) => steps.as_slice(),
        step => std::slice::from_ref(step),
    };
    let (last, before) = steps.split_last()?;
    let PreTokenizer::ByteLevel {
        add_prefix_space: false,
        use_regex,
    } = last
    else {
        return None;
    };
    let split = match before {
        [] if *use_regex => Split::Bytes {
            scanner: Scanner::gpt2(),
            digits: Digits::Together,
        },
        [PreTokenizer::Digits { individual }] if *use_regex => Split::Bytes {
            scanner: Scanner::gpt2(),
            digits: if *individual {
                Digits::Individual
            } else {
                Digits::Contiguous
            },
        },
        [PreTokenizer::Split {
            pattern: Pattern::Scanner(scanner),
            behavior,
            invert,
        }] if !use_regex
            // The pattern leaves nothing over, so these are the same.
            && matches!(
                (behavior, invert),
                (Behavior::Isolated, _) | (Behavior::Removed, true)
            ) =>
        {
            Split::Bytes {
                scanner: *scanner,
                digits: Digits::Together,
            }
        }
        _ => return None,
    };
    Some((split, compose))
}

/// How SentencePiece models split.
fn marks_split(normalizer: Option<&Normalizer>, pretok: Option<&PreTokenizer>) -> Option<Split> {
    let steps = match normalizer {
        None => &[],
        Some(Normalizer::Sequence(steps)) => steps.as_slice(),
        Some(step) => std::slice::from_ref(step),
    };
    let is_replace = |step: &Normalizer| {
        matches!(step, Normalizer::Replace { pattern: Pattern::Literal(what), content }
            if what == " " && content == "▁")
    };
    let prepend = match steps {
        [] => None,
        [replace] if is_replace(replace) => Some(Mark::Never),
        [Normalizer::Prepend(mark), replace] if mark == "▁" && is_replace(replace) => {
            Some(Mark::Always)
        }
        _ => return None,
    };
    match (prepend, pretok) {
        (Some(prepend), None) => Some(Split::Marks {
            every: false,
            prepend,
        }),
        // No space is left to split at.
        (
            Some(prepend),
            Some(PreTokenizer::Split {
                pattern: Pattern::Literal(what),
                invert: false,
                ..
            }),
        ) if what == " " => Some(Split::Marks {
            every: false,
            prepend,
        }),
        (
            None,
            Some(PreTokenizer::Metaspace {
                mark: '▁',
                prepend,
                split,
            }),
        ) => Some(Split::Marks {
            every: *split,
            prepend: match prepend {
                Prepend::Never => Mark::Never,
                Prepend::Always => Mark::Missing,
                Prepend::First => Mark::MissingFirst,
            },
        }),
        _ => None,
    }
}
