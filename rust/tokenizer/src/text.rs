//! A text under change, with the way back to the original.
//!
//! Normalizers and pre-tokenizers change a text; offsets of tokens are those of the original.
//! So each byte of the changed text remembers the bytes of the original it stands for.

use std::ops::Range;

/// A part of a text, as changed so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    text: String,
    /// For each byte of `text` the original's bytes it stands for. Empty if `!tracked`.
    map: Vec<(u32, u32)>,
    tracked: bool,
    /// Where in the original this part begins.
    start: u32,
}

impl Text {
    /// The original itself, at most 4 GiB. Without `tracked` there are no offsets, and less work.
    pub(crate) fn new(text: &str, tracked: bool) -> Self {
        let mut map = Vec::new();
        if tracked {
            map.reserve_exact(text.len());
            for (at, c) in text.char_indices() {
                let range = (at as u32, (at + c.len_utf8()) as u32);
                map.extend(std::iter::repeat_n(range, c.len_utf8()));
            }
        }
        Self {
            text: text.to_owned(),
            map,
            tracked,
            start: 0,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Where in the original this part begins; meaningful only if tracked.
    pub(crate) fn start(&self) -> u32 {
        self.start
    }

    /// The part at `range`, which lies on characters and is not empty.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let map = if self.tracked {
            self.map[range.clone()].to_vec()
        } else {
            Vec::new()
        };
        Self {
            start: map.first().map_or(self.start, |first| first.0),
            text: self.text[range].to_owned(),
            map,
            tracked: self.tracked,
        }
    }

    /// The original's bytes for a range of this text, by the reference's rules for odd ranges.
    pub(crate) fn original(&self, range: Range<usize>) -> (u32, u32) {
        if range.start == range.end {
            let at = self.start + range.start as u32;
            return (at, at);
        }
        match self.map.get(range.clone()) {
            Some(part) => (part[0].0, part[part.len() - 1].1),
            None => (range.start as u32, range.end as u32),
        }
    }

    /// Replaces the whole text by `new`. Each new character says how it comes about: 0 replaces
    /// the next character, 1 is inserted and shares the bytes of the one before, −n replaces the
    /// next and drops n that follow. `dropped` characters at the very beginning go first.
    pub(crate) fn transform(&mut self, new: impl Iterator<Item = (char, isize)>, dropped: usize) {
        let mut text = String::with_capacity(self.text.len());
        if !self.tracked {
            text.extend(new.map(|(c, _)| c));
            self.text = text;
            return;
        }
        let mut map = Vec::with_capacity(self.map.len());
        let mut old = self.text.chars();
        let mut at: usize = old.by_ref().take(dropped).map(char::len_utf8).sum();
        for (c, change) in new {
            let from = if change > 0 {
                match at {
                    0 => (self.start, self.start),
                    _ => self.map[at - 1],
                }
            } else {
                // Past the end only if a table of the normalization is at odds with itself.
                self.map
                    .get(at)
                    .copied()
                    .unwrap_or((self.start, self.start))
            };
            if change <= 0 {
                let gone = 1 + change.unsigned_abs();
                at += old.by_ref().take(gone).map(char::len_utf8).sum::<usize>();
            }
            map.extend(std::iter::repeat_n(from, c.len_utf8()));
            text.push(c);
        }
        self.text = text;
        self.map = map;
    }

    /// Keeps only some characters.
    pub(crate) fn filter(&mut self, keep: impl Fn(char) -> bool) {
        if self.text.chars().all(&keep) {
            return;
        }
        let mut from = 0;
        let mut text = String::with_capacity(self.text.len());
        let mut map = Vec::new();
        for c in self.text.chars() {
            if keep(c) {
                text.push(c);
                if self.tracked {
                    map.extend_from_slice(&self.map[from..from + c.len_utf8()]);
                }
            }
            from += c.len_utf8();
        }
        self.text = text;
        self.map = map;
    }

    /// Replaces each character by another.
    pub(crate) fn map(&mut self, with: impl Fn(char) -> char) {
        let old = std::mem::take(&mut self.text);
        self.text = old.clone();
        self.transform(old.chars().map(|c| (with(c), 0)), 0);
    }

    /// Replaces each character by some, at least one.
    pub(crate) fn expand<I: Iterator<Item = char>>(&mut self, with: impl Fn(char) -> I) {
        let old = self.text.clone();
        self.transform(
            old.chars()
                .flat_map(|c| with(c).enumerate().map(|(i, c)| (c, isize::from(i > 0)))),
            0,
        );
    }

    /// Puts `what` before a text that is not empty; it shares the bytes of the first character.
    pub(crate) fn prepend(&mut self, what: &str) {
        let Some(first) = self.text.chars().next() else {
            return;
        };
        if what.is_empty() {
            // The reference inserts the first character as new, before anything.
            if self.tracked {
                for from in &mut self.map[..first.len_utf8()] {
                    *from = (self.start, self.start);
                }
            }
            return;
        }
        self.text.insert_str(0, what);
        if self.tracked {
            let from = self.map[0];
            self.map.splice(0..0, std::iter::repeat_n(from, what.len()));
        }
    }

    /// Replaces the given ranges, in order and apart, by `content`.
    pub(crate) fn replace(&mut self, ranges: &[Range<usize>], content: &str) {
        if ranges.is_empty() {
            return;
        }
        let mut text = String::with_capacity(self.text.len());
        let mut map = Vec::new();
        let mut done = 0;
        for range in ranges {
            text.push_str(&self.text[done..range.start]);
            text.push_str(content);
            if self.tracked {
                map.extend_from_slice(&self.map[done..range.start]);
                // All of it stands for the last character that is replaced.
                let from = match range.end {
                    0 => (self.start, self.start),
                    end => self.map[end - 1],
                };
                map.extend(std::iter::repeat_n(from, content.len()));
            }
            done = range.end;
        }
        text.push_str(&self.text[done..]);
        if self.tracked {
            map.extend_from_slice(&self.map[done..]);
        }
        self.text = text;
        self.map = map;
    }

    /// Keeps only a range.
    pub(crate) fn keep(&mut self, range: Range<usize>) {
        if self.tracked {
            self.map.truncate(range.end);
            self.map.drain(..range.start);
        }
        self.text.truncate(range.end);
        self.text.drain(..range.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(text: &Text) -> Vec<(u32, u32)> {
        (0..text.text.len())
            .map(|i| text.original(i..i + 1))
            .collect()
    }

    #[test]
    fn a_part_knows_its_place() {
        let text = Text::new("aé漢", true);
        assert_eq!(text.original(1..6), (1, 6));
        let part = text.slice(3..6);
        assert_eq!((part.as_str(), part.start()), ("漢", 3));
        assert_eq!(part.original(0..3), (3, 6));
    }

    #[test]
    fn changes_keep_the_way_back() {
        let mut text = Text::new("aéb", true);
        text.filter(|c| c != 'a');
        assert_eq!(offsets(&text), [(1, 3), (1, 3), (3, 4)]);
        text.expand(|c| [c, '-'].into_iter());
        assert_eq!(text.as_str(), "é-b-");
        assert_eq!(offsets(&text), [(1, 3), (1, 3), (1, 3), (3, 4), (3, 4)]);
        text.replace(std::slice::from_ref(&(0..3)), "xy");
        assert_eq!(text.as_str(), "xyb-");
        assert_eq!(offsets(&text), [(1, 3), (1, 3), (3, 4), (3, 4)]);
        text.prepend("_");
        assert_eq!(text.original(0..1), (1, 3));
        text.keep(3..4);
        assert_eq!((text.as_str(), text.original(0..1)), ("b", (3, 4)));
    }
}
