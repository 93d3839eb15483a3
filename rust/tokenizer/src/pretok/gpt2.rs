//! The split pattern of GPT-2, by hand:
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! Every code point is a letter, a number, white space or other, so the pattern
//! always matches at the current position and the words cover the text.

use super::unicode::{Class, Classes, IS_LETTER, IS_NUMBER, IS_SPACE};

/// The words of a text, in order.
pub(super) struct Words<'a> {
    rest: &'a str,
    classes: &'static Classes,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            classes: Classes::get(),
        }
    }

    fn class(&self, c: char) -> Class {
        self.classes.of(c) & (IS_LETTER | IS_NUMBER | IS_SPACE)
    }

    /// How many bytes of `rest`, from `start` on, are of `class`.
    fn run(&self, start: usize, class: Class) -> usize {
        let tail = &self.rest[start..];
        tail.char_indices()
            .find(|(_, c)| self.class(*c) != class)
            .map_or(tail.len(), |(end, _)| end)
    }

    /// The length of the word at the start of `rest`, whose first character is `first`.
    fn word(&self, first: char) -> usize {
        if let Some(length) = contraction(self.rest.as_bytes()) {
            return length;
        }
        let class = self.class(first);
        if class != IS_SPACE {
            return self.run(0, class);
        }
        if first == ' ' {
            if let Some(second) = self.rest[1..].chars().next() {
                let class = self.class(second);
                if class != IS_SPACE {
                    return 1 + self.run(1, class);
                }
            }
        }
        let end = self.run(0, IS_SPACE);
        if end == self.rest.len() {
            return end;
        }
        // `\s+(?!\S)` gives back one character to the word that follows;
        // of a single one nothing is left, and `\s+` takes it.
        let last = self.rest[..end]
            .chars()
            .next_back()
            .map_or(0, char::len_utf8);
        if last < end {
            end - last
        } else {
            end
        }
    }
}

fn contraction(text: &[u8]) -> Option<usize> {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => Some(2),
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => Some(3),
        _ => None,
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = self.rest.chars().next()?;
        let (word, rest) = self.rest.split_at(self.word(first));
        self.rest = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_pattern() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("Hello  world", &["Hello", " ", " world"]),
            (
                "I'll can't I'VE",
                &["I", "'ll", " can", "'t", " I", "'", "VE"],
            ),
            ("\n't", &["\n", "'t"]),
            ("a\n't", &["a", "\n", "'t"]),
            (" 't", &[" '", "t"]),
            ("''s", &["''", "s"]),
            ("'re'rx", &["'re", "'", "rx"]),
            ("  ", &["  "]),
            (" \n\n a", &[" \n\n", " a"]),
            ("\t\ta", &["\t", "\t", "a"]),
            ("\u{3000} a", &["\u{3000}", " a"]),
            (" \u{3000}a", &[" ", "\u{3000}", "a"]),
            ("a1½b", &["a", "1½", "b"]),
            ("x 12,3!", &["x", " 12", ",", "3", "!"]),
            ("e\u{301}a", &["e", "\u{301}", "a"]),
            ("👩\u{200D}👩 漢字", &["👩\u{200D}👩", " 漢字"]),
        ];
        for (text, words) in cases {
            assert_eq!(Words::new(text).collect::<Vec<_>>(), *words, "{text:?}");
        }
    }
}
