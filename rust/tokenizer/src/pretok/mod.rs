//! Pre-tokenizers: from text to words, which merges never cross.

mod gpt2;
pub(crate) mod unicode;
mod unicode_tables;

use std::borrow::Cow;

use crate::error::{quote, Error};
use crate::json::Node;
use gpt2::Words;
use unicode::{Classes, IS_DIGIT};

/// `Digits`, of which `Contiguous` is the default in tokenizer.json.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    Individual,
    Contiguous,
}

/// Optional `Digits`, then `ByteLevel`.
#[derive(Default)]
pub(crate) struct PreTokenizer {
    digits: Option<Digits>,
    add_prefix_space: bool,
    use_regex: bool,
}

impl PreTokenizer {
    /// Calls `emit` with each word of a text that holds no added tokens.
    pub(crate) fn split(&self, text: &str, emit: &mut impl FnMut(&str)) {
        match self.digits {
            None => self.byte_level(text, emit),
            Some(digits) => split_digits(text, digits, &mut |piece| self.byte_level(piece, emit)),
        }
    }

    fn byte_level(&self, piece: &str, emit: &mut impl FnMut(&str)) {
        let piece = if self.add_prefix_space && !piece.starts_with(' ') {
            Cow::Owned(format!(" {piece}"))
        } else {
            Cow::Borrowed(piece)
        };
        if self.use_regex {
            Words::new(&piece).for_each(emit);
        } else {
            emit(&piece);
        }
    }

    pub(crate) fn from_json(node: &Node<'_>) -> Result<Self, Error> {
        let mut this = Self::default();
        let mut complete = false;
        this.add(node, &mut complete)?;
        if complete {
            Ok(this)
        } else {
            Err(node.error("ByteLevel is missing: other vocabularies are not supported"))
        }
    }

    /// Adds one step; `complete` once that is ByteLevel, which must be the last.
    fn add(&mut self, node: &Node<'_>, complete: &mut bool) -> Result<(), Error> {
        if node.is_null() {
            return Ok(());
        }
        let kind = node.get("type")?;
        if *complete {
            return Err(node.error("a step after ByteLevel is not supported"));
        }
        match kind.string()? {
            "Sequence" => {
                node.only(&["type", "pretokenizers"])?;
                for item in node.get("pretokenizers")?.items()? {
                    self.add(&item, complete)?;
                }
            }
            "Digits" => {
                node.only(&["type", "individual_digits"])?;
                // Of two such steps the finer one decides, in either order.
                if node.get("individual_digits")?.bool()? {
                    self.digits = Some(Digits::Individual);
                } else {
                    self.digits.get_or_insert(Digits::Contiguous);
                }
            }
            "ByteLevel" => {
                node.only(&["type", "add_prefix_space", "trim_offsets", "use_regex"])?;
                node.get("trim_offsets")?.bool()?; // of offsets only
                self.add_prefix_space = node.get("add_prefix_space")?.bool()?;
                self.use_regex = node.get("use_regex")?.bool_or(true)?;
                *complete = true;
            }
            other => {
                let problem = format!("pre-tokenizer {} is not supported", quote(other));
                return Err(kind.error(problem));
            }
        }
        Ok(())
    }
}

fn split_digits(text: &str, digits: Digits, emit: &mut impl FnMut(&str)) {
    let classes = Classes::get();
    let (mut start, mut in_digits) = (0, false);
    for (at, c) in text.char_indices() {
        let is_digit = classes.of(c) & IS_DIGIT != 0;
        let cut = is_digit != in_digits || (is_digit && digits == Digits::Individual);
        if cut && start < at {
            emit(&text[start..at]);
            start = at;
        }
        in_digits = is_digit;
    }
    if start < text.len() {
        emit(&text[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(digits: Option<Digits>, add_prefix_space: bool, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        PreTokenizer {
            digits,
            add_prefix_space,
            use_regex: true,
        }
        .split(text, &mut |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn digits_split_before_the_pattern() {
        let text = "a 12½  3b";
        assert_eq!(words(None, false, text), ["a", " 12½", " ", " 3", "b"]);
        assert_eq!(
            words(Some(Digits::Contiguous), false, text),
            ["a", " ", "12½", "  ", "3", "b"]
        );
        assert_eq!(
            words(Some(Digits::Individual), false, text),
            ["a", " ", "1", "2", "½", "  ", "3", "b"]
        );
        assert_eq!(words(Some(Digits::Individual), false, ""), [""; 0]);
    }

    #[test]
    fn prefix_space_is_per_piece() {
        assert_eq!(words(None, true, "a b"), [" a", " b"]);
        assert_eq!(words(None, true, " a"), [" a"]);
        assert_eq!(words(None, true, "\na"), [" ", "\n", "a"]);
        assert_eq!(words(Some(Digits::Individual), true, "a1"), [" a", " 1"]);
    }
}
