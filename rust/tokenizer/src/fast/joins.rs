//! Which neighbouring characters some merge can bring into one token.
//!
//! A merge over the border of two characters makes a token that has the one right before the
//! other. So where no token made by a merge has the two in a row, no merge ever crosses, and what
//! lies on either side can be merged by itself: a long word falls apart into short units, which
//! are mostly known. The sets here may say yes too often, which costs time, and never too seldom.

/// Bits of the filter of pairs beyond ASCII.
const BITS: u32 = 20;

pub(super) struct Joins {
    /// Pairs of ASCII characters.
    ascii: Box<[[bool; 128]; 128]>,
    /// A filter of other pairs of whole characters.
    whole: Vec<u64>,
    /// Last and first bytes of pairs of which a token has but a part.
    part: Box<[[bool; 256]; 256]>,
    /// Bytes without a token: they vanish, and what is around them becomes neighbours.
    missing: Box<[bool; 256]>,
}

impl Joins {
    /// Of the texts, in bytes, of all tokens that merges make.
    pub(super) fn new<'a>(made: impl Iterator<Item = &'a [u8]>, missing: Box<[bool; 256]>) -> Self {
        let mut this = Self {
            ascii: Box::new([[false; 128]; 128]),
            whole: vec![0; 1 << (BITS - 6)],
            part: Box::new([[false; 256]; 256]),
            missing,
        };
        for token in made {
            for at in 1..token.len() {
                if !continues(token[at]) {
                    this.insert(token, at);
                }
            }
        }
        this
    }

    /// Adds the characters on both sides of `at`.
    fn insert(&mut self, token: &[u8], at: usize) {
        let start = (0..at).rev().find(|i| !continues(token[*i]));
        let left = start.map(|start| &token[start..at]).filter(|c| is_char(c));
        let right = token.get(at..at + length(token[at])).filter(|c| is_char(c));
        match (left, right) {
            (Some([a]), Some([b])) => self.ascii[usize::from(*a)][usize::from(*b)] = true,
            (Some(a), Some(b)) => {
                let bit = slot(packed(a), packed(b));
                self.whole[bit / 64] |= 1 << (bit % 64);
            }
            _ => self.part[usize::from(token[at - 1])][usize::from(token[at])] = true,
        }
    }

    /// Whether a token may reach over the border at `at`, where `last` is the character before,
    /// packed, and `next` the one after.
    #[inline]
    pub(super) fn joins(&self, last: u32, next: u32, last_byte: u8, next_byte: u8) -> bool {
        if last < 0x80 && next < 0x80 {
            return self.ascii[last as usize & 127][next as usize & 127]
                || self.is_missing(last_byte, next_byte);
        }
        let bit = slot(last, next);
        (self.whole[bit / 64] >> (bit % 64)) & 1 == 1
            || self.part[usize::from(last_byte)][usize::from(next_byte)]
            || self.is_missing(last_byte, next_byte)
    }

    #[inline]
    fn is_missing(&self, a: u8, b: u8) -> bool {
        self.missing[usize::from(a)] | self.missing[usize::from(b)]
    }

    /// The end of the unit that begins at `start` of a word, which is UTF-8.
    #[inline]
    pub(super) fn unit_end(&self, word: &[u8], start: usize) -> usize {
        let mut at = start;
        let mut len = length(word[at]);
        let mut last = packed(&word[at..at + len]);
        loop {
            at += len;
            let Some(&byte) = word.get(at) else {
                return at;
            };
            len = length(byte);
            let next = packed(&word[at..at + len]);
            if !self.joins(last, next, word[at - 1], byte) {
                return at;
            }
            last = next;
        }
    }
}

#[inline]
fn continues(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The length of a character by its first byte.
#[inline]
pub(super) fn length(first: u8) -> usize {
    match first {
        0..=0x7F => 1,
        0x80..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

fn is_char(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1)
}

/// The bytes of a character as a number.
#[inline]
pub(super) fn packed(c: &[u8]) -> u32 {
    match *c {
        [a] => u32::from(a),
        [a, b] => u32::from_be_bytes([0, 0, a, b]),
        [a, b, c] => u32::from_be_bytes([0, a, b, c]),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

#[inline]
fn slot(a: u32, b: u32) -> usize {
    let pair = (u64::from(a) << 32) | u64::from(b);
    (pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units<'a>(joins: &Joins, word: &'a str) -> Vec<&'a str> {
        let (mut at, mut units) = (0, Vec::new());
        while at < word.len() {
            let end = joins.unit_end(word.as_bytes(), at);
            units.push(&word[at..end]);
            at = end;
        }
        units
    }

    #[test]
    fn borders_lie_where_no_token_does() {
        let made = ["ab", "漢字", "é!"];
        let partial = b"\xE5\xAD\x97\xE6"; // a character and the first byte of another
        let tokens = made.iter().map(|t| t.as_bytes()).chain([&partial[..]]);
        let mut missing = Box::new([false; 256]);
        missing[usize::from(b'z')] = true;
        let joins = Joins::new(tokens, missing);
        assert_eq!(units(&joins, "abab"), ["ab", "ab"]);
        assert_eq!(units(&joins, "漢字漢"), ["漢字漢"]);
        assert_eq!(units(&joins, "漢漢字é!é"), ["漢", "漢字", "é!", "é"]);
        assert_eq!(units(&joins, "bzb"), ["bzb"]);
    }
}
