//! The split patterns of well-known tokenizers, by hand.
//!
//! Every code point is a letter, a number, white space or other, and each of these patterns
//! matches at every position: so a word is found in one pass, with no regex and no backtracking.
//! tests/scan.rs holds each scanner against the regex it stands for.

use crate::unicode::{Class, Classes, IS_LETTER, IS_LOWER, IS_MARK, IS_NUMBER, IS_SPACE, IS_UPPER};

/// GPT-2's.
pub(crate) const GPT2: [&str; 2] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
];

/// GPT-4's and Llama 3's, by numbers of up to three digits.
pub(crate) const CL100K: [&str; 1] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// The same by single digits: Qwen's since 2.
pub(crate) const QWEN2: [&str; 1] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// GPT-4o's, which tells upper from lower case.
pub(crate) const O200K: [&str; 2] = [
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Gpt2,
    /// With the greatest number of digits in a word.
    Cl100k(u8),
    /// With `/` among what may end a word of other characters.
    O200k(bool),
}

/// A known pattern.
#[derive(Clone, Copy)]
pub(crate) struct Scanner {
    family: Family,
    classes: &'static Classes,
}

const KINDS: Class = IS_LETTER | IS_NUMBER | IS_SPACE;

impl Scanner {
    /// The scanner for a regex, if it is a known one.
    pub(crate) fn of(regex: &str) -> Option<Self> {
        let family = if GPT2.contains(&regex) {
            Family::Gpt2
        } else if CL100K.contains(&regex) {
            Family::Cl100k(3)
        } else if QWEN2.contains(&regex) {
            Family::Cl100k(1)
        } else {
            Family::O200k(O200K.iter().position(|known| *known == regex)? == 0)
        };
        Some(Self {
            family,
            classes: Classes::get(),
        })
    }

    pub(crate) fn gpt2() -> Self {
        Self {
            family: Family::Gpt2,
            classes: Classes::get(),
        }
    }

    /// Where the word that begins at `at` ends; `at` is on a character, before the end.
    #[inline]
    pub(crate) fn word_end(self, text: &str, at: usize) -> usize {
        match self.family {
            Family::Gpt2 => self.gpt2_end(text, at),
            Family::Cl100k(digits) => self.cl100k_end(text, at, digits),
            Family::O200k(slash) => self.o200k_end(text, at, slash),
        }
    }

    /// All classes of the character at `at`, and its length; of none at the end.
    #[inline(always)]
    fn class(self, text: &str, at: usize) -> (Class, usize) {
        match text.as_bytes().get(at) {
            None => (0, 0),
            Some(&byte) if byte < 0x80 => (self.classes.ascii(byte), 1),
            Some(&byte) => self.class_beyond_ascii(text.as_bytes(), at, byte),
        }
    }

    /// The text is UTF-8, so the bytes that the first one announces are there.
    #[inline]
    fn class_beyond_ascii(self, text: &[u8], at: usize, first: u8) -> (Class, usize) {
        let bits = |i: usize| u32::from(text.get(at + i).map_or(0, |byte| byte & 0x3F));
        let first = u32::from(first);
        let (code, len) = if first < 0xE0 {
            (((first & 0x1F) << 6) | bits(1), 2)
        } else if first < 0xF0 {
            (((first & 0x0F) << 12) | (bits(1) << 6) | bits(2), 3)
        } else {
            let code = ((first & 0x07) << 18) | (bits(1) << 12) | (bits(2) << 6) | bits(3);
            (code, 4)
        };
        (self.classes.of_code(code), len)
    }

    /// The end of the run of characters that `of` accepts.
    #[inline(always)]
    fn run(self, text: &str, mut at: usize, of: impl Fn(Class) -> bool) -> usize {
        loop {
            let (class, len) = self.class(text, at);
            if len == 0 || !of(class) {
                return at;
            }
            at += len;
        }
    }

    /// The end of the run of letters. Those of ASCII by eights, whose end no branch has to guess.
    #[inline(always)]
    fn letters(self, text: &str, mut at: usize) -> usize {
        let bytes = text.as_bytes();
        while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let count = leading_letters(u64::from_le_bytes(*eight));
            at += count;
            if count < 8 {
                if bytes[at] < 0x80 {
                    return at;
                }
                break;
            }
        }
        self.kind_run(text, at, IS_LETTER)
    }

    #[inline(always)]
    fn kind_run(self, text: &str, at: usize, kind: Class) -> usize {
        self.run(text, at, |class| class & KINDS == kind)
    }

    #[inline(always)]
    fn same(self, text: &str, at: usize, kind: Class) -> usize {
        match kind {
            IS_LETTER => self.letters(text, at),
            _ => self.kind_run(text, at, kind),
        }
    }

    fn gpt2_end(self, text: &str, at: usize) -> usize {
        let bytes = text.as_bytes();
        let (class, len) = self.class(text, at);
        let kind = class & KINDS;
        if kind != IS_SPACE {
            if bytes[at] == b'\'' {
                if let Some(length) = contraction(&bytes[at..]) {
                    return at + length;
                }
            }
            return self.same(text, at + len, kind);
        }
        if bytes[at] == b' ' {
            let (class, len) = self.class(text, at + 1);
            let kind = class & KINDS;
            if len > 0 && kind != IS_SPACE {
                return self.same(text, at + 1 + len, kind);
            }
        }
        self.white_space(text, at, self.kind_run(text, at, IS_SPACE))
    }

    /// `\s+(?!\S)|\s+` over a run: it gives back one character to the word that follows; of a
    /// single one nothing would be left.
    fn white_space(self, text: &str, at: usize, end: usize) -> usize {
        if end == text.len() {
            return end;
        }
        let last = text[at..end].chars().next_back().map_or(0, char::len_utf8);
        if last < end - at {
            end - last
        } else {
            end
        }
    }

    #[inline]
    fn cl100k_end(self, text: &str, at: usize, digits: u8) -> usize {
        let bytes = text.as_bytes();
        let (class, len) = self.class(text, at);
        match class & KINDS {
            IS_LETTER => self.letters(text, at + len),
            IS_NUMBER => self.numbers(text, at + len, digits),
            kind => {
                let first = bytes[at];
                if first == b'\'' {
                    if let Some(length) = contraction_without_case(&bytes[at..]) {
                        return at + length;
                    }
                }
                let line_end = matches!(first, b'\r' | b'\n');
                let (next, next_len) = self.class(text, at + len);
                if !line_end && next & IS_LETTER != 0 {
                    return self.letters(text, at + len + next_len);
                }
                self.others(text, at, kind, (next, next_len), b'\n')
            }
        }
    }

    /// The rest of a number after its first digit.
    fn numbers(self, text: &str, mut at: usize, digits: u8) -> usize {
        for _ in 1..digits {
            let (class, len) = self.class(text, at);
            if class & IS_NUMBER == 0 {
                break;
            }
            at += len;
        }
        at
    }

    /// ` ?[^\s\p{L}\p{N}]+[\r\n…]*|\s*[\r\n]+|\s+(?!\S)|\s+` from a character that is white space
    /// or other; `next` is the class and length of the one after it.
    fn others(self, text: &str, at: usize, kind: Class, next: (Class, usize), also: u8) -> usize {
        let bytes = text.as_bytes();
        if kind == 0 || (bytes[at] == b' ' && next.1 > 0 && next.0 & KINDS == 0) {
            let start = if kind == 0 { at } else { at + 1 };
            let mut end = self.kind_run(text, start, 0);
            while let Some(b) = bytes.get(end) {
                if !matches!(b, b'\r' | b'\n') && *b != also {
                    break;
                }
                end += 1;
            }
            return end;
        }
        let end = self.kind_run(text, at, IS_SPACE);
        match bytes[at..end]
            .iter()
            .rposition(|b| matches!(b, b'\r' | b'\n'))
        {
            Some(last) => at + last + 1,
            None => self.white_space(text, at, end),
        }
    }

    fn o200k_end(self, text: &str, at: usize, slash: bool) -> usize {
        let (class, len) = self.class(text, at);
        let kind = class & KINDS;
        if kind == IS_NUMBER {
            return self.numbers(text, at + len, 3);
        }
        let may_lead = kind != IS_LETTER && !matches!(text.as_bytes()[at], b'\r' | b'\n');
        let starts = [if may_lead { Some(at + len) } else { None }, Some(at)];
        for start in starts.into_iter().flatten() {
            if let Some(end) = self.lower_word(text, start) {
                return with_contraction(text, end);
            }
        }
        for start in starts.into_iter().flatten() {
            let upper = self.run(text, start, is_upper_like);
            if upper > start {
                return with_contraction(text, self.run(text, upper, is_lower_like));
            }
        }
        let next = self.class(text, at + len);
        self.others(text, at, kind, next, if slash { b'/' } else { b'\n' })
    }

    /// `[upper-like]*[lower-like]+` from `start`.
    fn lower_word(self, text: &str, start: usize) -> Option<usize> {
        let upper = self.run(text, start, is_upper_like);
        let lower = self.run(text, upper, is_lower_like);
        if lower > upper {
            return Some(lower);
        }
        // The first part gives back as little as it must: the last that is in both classes.
        text[start..upper]
            .char_indices()
            .rev()
            .find(|(_, c)| is_lower_like(self.classes.of(*c)))
            .map(|(i, c)| start + i + c.len_utf8())
    }
}

/// How many of eight bytes, from the lowest on, are ASCII letters before the first that is none.
#[inline(always)]
fn leading_letters(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let lower = (eight | (ONES * 0x20)) & !HIGH;
    let from_a = lower + ONES * u64::from(0x80 - b'a');
    let beyond_z = lower + ONES * u64::from(0x80 - b'z' - 1);
    let others = !(from_a & !beyond_z & !eight) & HIGH;
    others.trailing_zeros() as usize / 8
}

/// Upper and title case, letters without case, marks.
fn is_upper_like(class: Class) -> bool {
    class & IS_MARK != 0 || class & (IS_LETTER | IS_LOWER) == IS_LETTER
}

/// Lower case, letters without case, marks.
fn is_lower_like(class: Class) -> bool {
    class & IS_MARK != 0 || class & (IS_LETTER | IS_UPPER) == IS_LETTER
}

fn with_contraction(text: &str, end: usize) -> usize {
    let rest = &text.as_bytes()[end..];
    match rest.first() {
        Some(b'\'') => end + contraction_without_case(rest).unwrap_or(0),
        _ => end,
    }
}

#[inline]
fn contraction(text: &[u8]) -> Option<usize> {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => Some(2),
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => Some(3),
        _ => None,
    }
}

#[inline]
fn contraction_without_case(text: &[u8]) -> Option<usize> {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => Some(2),
        [b'\'', b'r' | b'v' | b'R' | b'V', b'e' | b'E', ..]
        | [b'\'', b'l' | b'L', b'l' | b'L', ..]
        // The long s, U+017F.
        | [b'\'', 0xC5, 0xBF, ..] => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::regex::Regex;
    use super::*;

    fn by_scanner(scanner: Scanner, text: &str) -> Vec<&str> {
        let (mut at, mut words) = (0, Vec::new());
        while at < text.len() {
            let end = scanner.word_end(text, at);
            words.push(&text[at..end]);
            at = end;
        }
        words
    }

    fn by_regex<'a>(regex: &Regex, text: &'a str) -> Vec<&'a str> {
        let mut words = Vec::new();
        regex
            .matches(text, &mut |range| words.push(&text[range]))
            .unwrap();
        words
    }

    fn known() -> impl Iterator<Item = (Scanner, Regex)> {
        GPT2.iter()
            .chain(&CL100K)
            .chain(&QWEN2)
            .chain(&O200K)
            .map(|source| (Scanner::of(source).unwrap(), Regex::new(source).unwrap()))
    }

    #[test]
    fn letters_by_eights() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut eight = *b"aZmAzQxk";
                eight[at] = byte;
                let expected = if byte.is_ascii_alphabetic() { 8 } else { at };
                assert_eq!(leading_letters(u64::from_le_bytes(eight)), expected);
            }
        }
    }

    /// A character for each way in which a pattern can see one.
    const ALPHABET: [char; 16] = [
        'a', 'S', 'é', '漢', 'ǅ', 'ʰ', '\u{301}', '1', '½', ' ', '\t', '\n', '\u{3000}', '\'', '!',
        '/',
    ];

    #[test]
    fn all_short_strings() {
        for (scanner, regex) in known() {
            let mut text = String::new();
            for length in 0..=3u32 {
                for mut number in 0..16usize.pow(length) {
                    text.clear();
                    for _ in 0..length {
                        text.push(ALPHABET[number % 16]);
                        number /= 16;
                    }
                    assert_eq!(
                        by_scanner(scanner, &text),
                        by_regex(&regex, &text),
                        "{text:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn random_strings() {
        let pieces = [
            "a", "B", "é", "漢", "ǅ", "ʰ", "\u{301}", "1", "½", " ", "\t", "\n", "\r", "\u{85}",
            "!", "'", "'s", "'S", "'ſ", "'re", "'LL", "'ve", "/", "  ", "\r\n", "123", "the", "🙂",
            "\u{200d}",
        ];
        let mut seed = 7u64;
        let mut random = |end: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 33) as usize % end
        };
        for (scanner, regex) in known() {
            for _ in 0..6000 {
                let text: String = (0..random(24))
                    .map(|_| pieces[random(pieces.len())])
                    .collect();
                assert_eq!(
                    by_scanner(scanner, &text),
                    by_regex(&regex, &text),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn every_code_point_in_context() {
        for (scanner, regex) in known() {
            let mut text = String::new();
            for c in ('\0'..='\u{1FFFF}').chain('\u{E0000}'..='\u{E01FF}') {
                for part in ["a", "1", " "] {
                    text.push_str(part);
                    text.push(c);
                }
                text.push(c);
                if text.len() > 4000 {
                    assert_eq!(
                        by_scanner(scanner, &text),
                        by_regex(&regex, &text),
                        "{text:?}"
                    );
                    text.clear();
                }
            }
        }
    }
}
