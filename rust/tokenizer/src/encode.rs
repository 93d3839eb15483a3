//! From text to tokens: the way of a text through the parts of a tokenizer.

use crate::added::Segment;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::model::{Scratch, Token};
use crate::pretok::Piece;
use crate::text::Text;
use crate::Tokenizer;

/// In what offsets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// Unicode code points.
    Chars,
    /// Not at all; neither are the tokens' texts kept.
    None,
}

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the post-processor adds its tokens.
    pub add_special_tokens: bool,
    /// Whether special tokens that stand in the text are encoded like other text.
    pub encode_special_tokens: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            add_special_tokens: true,
            encode_special_tokens: false,
        }
    }
}

/// A text longer than this has no 32-bit offsets.
const LONGEST: usize = u32::MAX as usize - 1;

impl Tokenizer {
    /// All that `tokenizers` tells of a text or a pair of texts.
    ///
    /// # Errors
    /// [`Error::TooLong`], and [`Error::Text`] for a text that the model, the split pattern or
    /// the truncation cannot take.
    pub fn encode_full(
        &self,
        text: &str,
        pair: Option<&str>,
        unit: Unit,
        options: Options,
    ) -> Result<Encoding, Error> {
        let mut first = self.one(text, 0, unit, options)?;
        let mut second = match pair {
            Some(pair) => Some(self.one(pair, 1, unit, options)?),
            None => None,
        };
        if let Some(truncation) = &self.truncation {
            let added = if options.add_special_tokens {
                self.post.added(second.is_some())
            } else {
                0
            };
            let max = truncation
                .max_length
                .checked_sub(added)
                .ok_or_else(|| Error::Text {
                    problem: format!(
                        "truncation to {} tokens leaves no room for the {added} that are added",
                        truncation.max_length
                    ),
                })?;
            truncation.apply(max, &mut first, second.as_mut())?;
        }
        let mut batch = [self.post.process(first, second, options.add_special_tokens)];
        if let Some(padding) = &self.padding {
            padding.apply(&mut batch);
        }
        let [encoding] = batch;
        Ok(encoding)
    }

    /// [`Self::encode_full`] of each text, all padded alike.
    ///
    /// # Errors
    /// Those of the first text that fails.
    pub fn encode_full_batch(
        &self,
        texts: &[(&str, Option<&str>)],
        unit: Unit,
        options: Options,
    ) -> Result<Vec<Encoding>, Error> {
        let mut batch = texts
            .iter()
            .map(|(text, pair)| self.encode_full(text, *pair, unit, options))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(padding) = &self.padding {
            padding.apply(&mut batch);
        }
        Ok(batch)
    }

    /// The ids of one text, without what the post-processor adds, by the general way.
    pub(crate) fn general_ids(
        &self,
        text: &str,
        options: Options,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let mut scratch = Scratch::default();
        let mut tokens = Vec::new();
        for piece in self.pieces(text, self.needs_offsets, options)? {
            match piece.added {
                Some(id) => out.push(id),
                None => {
                    tokens.clear();
                    let word = piece.text.as_str();
                    self.model
                        .tokenize(&self.vocab, word, &mut scratch, &mut tokens)?;
                    out.extend(tokens.iter().map(|token| token.id));
                }
            }
        }
        Ok(())
    }

    /// The words of a text, with the added tokens among them.
    fn pieces(&self, text: &str, tracked: bool, options: Options) -> Result<Vec<Piece>, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let special_is_text = options.encode_special_tokens;
        let original = Text::new(text, tracked);
        let mut pieces = Vec::new();
        let all = original.as_str();
        self.added
            .split_literal(all, special_is_text, &mut |segment| {
                push_segment(&original, segment, &mut pieces);
            });
        if let Some(normalizer) = &self.normalizer {
            for piece in pieces.iter_mut().filter(|piece| piece.added.is_none()) {
                normalizer.apply(&mut piece.text)?;
            }
        }
        if self.added.any_normalized() {
            let mut split = Vec::with_capacity(pieces.len());
            for piece in pieces {
                if piece.added.is_some() {
                    split.push(piece);
                } else {
                    let text = piece.text.as_str();
                    self.added
                        .split_normalized(text, special_is_text, &mut |segment| {
                            push_segment(&piece.text, segment, &mut split);
                        });
                }
            }
            pieces = split;
        }
        pieces.retain(|piece| !piece.text.is_empty());
        if let Some(pretok) = &self.pretok {
            pretok.apply(&mut pieces)?;
        }
        Ok(pieces)
    }

    /// One text of a pair.
    fn one(
        &self,
        text: &str,
        type_id: u32,
        unit: Unit,
        options: Options,
    ) -> Result<Encoding, Error> {
        let tracked = unit != Unit::None || self.needs_offsets;
        let pieces = self.pieces(text, tracked, options)?;
        let chars = if unit == Unit::Chars {
            char_numbers(text)
        } else {
            Vec::new()
        };
        let mut scratch = Scratch::default();
        let mut tokens = Vec::new();
        let mut encoding = Encoding::default();
        for (word, piece) in (0u32..).zip(&pieces) {
            let all = piece.text.as_str();
            tokens.clear();
            match piece.added {
                Some(id) => tokens.push(Token {
                    id,
                    start: 0,
                    end: all.len() as u32,
                    literal: true,
                }),
                None => {
                    self.model
                        .tokenize(&self.vocab, all, &mut scratch, &mut tokens)?;
                }
            }
            for token in &tokens {
                if unit == Unit::None {
                    encoding.push(token.id, type_id, String::new(), None, (0, 0), false);
                    continue;
                }
                let range = token.start as usize..token.end as usize;
                let value = match all.get(range.clone()) {
                    Some(part) if token.literal => part,
                    _ => self.vocab.token(token.id).unwrap_or_default(),
                };
                let offsets = in_chars(&chars, piece.text.original(range));
                encoding.push(
                    token.id,
                    type_id,
                    value.to_owned(),
                    Some(word),
                    offsets,
                    false,
                );
            }
        }
        Ok(encoding)
    }
}

fn push_segment(text: &Text, segment: Segment<'_>, pieces: &mut Vec<Piece>) {
    let (part, added) = match segment {
        Segment::Text(part) => (part, None),
        Segment::Token(id, part) => (part, Some(id)),
    };
    let all = text.as_str();
    let start = part.as_ptr() as usize - all.as_ptr() as usize;
    let text = if part.len() == all.len() {
        text.clone()
    } else {
        text.slice(start..start + part.len())
    };
    pieces.push(Piece { text, added });
}

/// For each byte the number of its character.
fn char_numbers(text: &str) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(text.len());
    for (number, c) in (0u32..).zip(text.chars()) {
        numbers.extend(std::iter::repeat_n(number, c.len_utf8()));
    }
    numbers
}

/// Offsets in bytes as such in characters; odd ones by the reference's rules.
fn in_chars(chars: &[u32], (start, end): (u32, u32)) -> (u32, u32) {
    match (chars.get(start as usize), chars.get(end as usize)) {
        (Some(start), Some(end)) => (*start, *end),
        (Some(start), None) => {
            let last = (end as usize)
                .checked_sub(1)
                .and_then(|last| chars.get(last));
            (*start, last.copied().unwrap_or(start + 1) + 1)
        }
        _ => (start, end),
    }
}
