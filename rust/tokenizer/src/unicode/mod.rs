//! Properties of code points, as the reference has them.

mod categories;
mod classes;
mod lowercase;
mod scripts;
pub(crate) mod set;
pub(crate) mod stable;

use std::sync::LazyLock;

use classes::{DIGIT, LETTER, NUMBER, SPACE, WORD};

/// A set of classes, as bits.
pub(crate) type Class = u8;

/// `\p{L}` of the GPT-2 pattern.
pub(crate) const IS_LETTER: Class = 1;
/// `\p{N}` of the GPT-2 pattern.
pub(crate) const IS_NUMBER: Class = 1 << 1;
/// `\s`.
pub(crate) const IS_SPACE: Class = 1 << 2;
/// Isolated by the `Digits` pre-tokenizer, whose Unicode version is newer than that of `\p{N}`.
pub(crate) const IS_DIGIT: Class = 1 << 3;
/// `\w` beside added tokens.
pub(crate) const IS_WORD: Class = 1 << 4;
/// Upper and title case letters.
pub(crate) const IS_UPPER: Class = 1 << 5;
/// Lower case letters.
pub(crate) const IS_LOWER: Class = 1 << 6;
/// Marks.
pub(crate) const IS_MARK: Class = 1 << 7;

const BLOCK: usize = 128;
const BLOCKS: usize = 0x110000 / BLOCK;

/// A two-stage table: equal blocks of code points are stored once.
pub(crate) struct Classes {
    block_of: Box<[u16; BLOCKS]>,
    blocks: Vec<[Class; BLOCK]>,
    ascii: [Class; BLOCK],
}

impl Classes {
    /// The classes of `c`.
    pub(crate) fn of(&self, c: char) -> Class {
        self.of_code(u32::from(c))
    }

    /// The classes of a code point; none beyond U+10FFFF.
    #[inline]
    pub(crate) fn of_code(&self, code: u32) -> Class {
        let code = code as usize;
        let block = self.block_of.get(code / BLOCK).copied().unwrap_or(0);
        self.blocks[usize::from(block)][code % BLOCK]
    }

    /// The classes of an ASCII character.
    #[inline]
    pub(crate) fn ascii(&self, byte: u8) -> Class {
        self.ascii[usize::from(byte & 0x7F)]
    }

    /// The only instance.
    pub(crate) fn get() -> &'static Self {
        static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::build);
        &CLASSES
    }

    fn build() -> Self {
        let mut flat = vec![0; BLOCKS * BLOCK];
        for (table, class) in [
            (LETTER, IS_LETTER),
            (NUMBER, IS_NUMBER),
            (SPACE, IS_SPACE),
            (DIGIT, IS_DIGIT),
            (WORD, IS_WORD),
        ] {
            for range in table.chunks_exact(2) {
                for code in &mut flat[range[0] as usize..=range[1] as usize] {
                    *code |= class;
                }
            }
        }
        for (names, class) in [
            (&["Lu", "Lt"][..], IS_UPPER),
            (&["Ll"], IS_LOWER),
            (&["Mn", "Mc", "Me"], IS_MARK),
        ] {
            for name in names {
                for (first, last) in set::category(name) {
                    for code in &mut flat[first as usize..=last as usize] {
                        *code |= class;
                    }
                }
            }
        }
        let mut block_of = Box::new([0; BLOCKS]);
        let mut blocks: Vec<[Class; BLOCK]> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for (index, chunk) in block_of.iter_mut().zip(flat.chunks_exact(BLOCK)) {
            *index = *known.entry(chunk).or_insert_with(|| {
                let mut block = [0; BLOCK];
                block.copy_from_slice(chunk);
                blocks.push(block);
                blocks.len() as u16 - 1
            });
        }
        Self {
            ascii: blocks[usize::from(block_of[0])],
            block_of,
            blocks,
        }
    }
}

/// The lower case of a character: one, or for U+0130 two.
pub(crate) fn lowercase(c: char) -> impl Iterator<Item = char> {
    let pairs = lowercase::LOWER;
    let (first, second) = if c.is_ascii() {
        (c.to_ascii_lowercase(), None)
    } else if c == '\u{130}' {
        ('i', Some('\u{307}'))
    } else {
        let (mut low, mut high) = (0, pairs.len() / 2);
        while low < high {
            let middle = (low + high) / 2;
            if pairs[middle * 2] < u32::from(c) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let lower = (pairs.get(low * 2) == Some(&u32::from(c))).then(|| pairs[low * 2 + 1]);
        (lower.and_then(char::from_u32).unwrap_or(c), None)
    };
    std::iter::once(first).chain(second)
}

/// The class that the `UnicodeScripts` pre-tokenizer gives a character; none joins any.
pub(crate) fn split_script(c: char) -> Option<u32> {
    let starts = scripts::SPLIT_STARTS;
    let at = starts.partition_point(|entry| entry >> 8 <= u32::from(c));
    match at.checked_sub(1).map_or(0, |i| starts[i] & 0xFF) {
        0 => None,
        class => Some(class),
    }
}

#[cfg(test)]
mod tests {
    use super::classes::REGEX_WORD;
    use super::*;

    #[test]
    fn known_code_points() {
        let classes = Classes::get();
        for (c, class) in [
            ('a', IS_LETTER | IS_WORD | IS_LOWER),
            ('A', IS_LETTER | IS_WORD | IS_UPPER),
            ('_', IS_WORD),
            ('7', IS_NUMBER | IS_DIGIT | IS_WORD),
            ('½', IS_NUMBER | IS_DIGIT),
            ('\u{85}', IS_SPACE),
            ('\u{200B}', 0),
            ('漢', IS_LETTER | IS_WORD),
            ('🙂', 0),
            ('\u{0301}', IS_WORD | IS_MARK),
            ('\u{10FFFF}', 0),
        ] {
            assert_eq!(classes.of(c), class, "{c:?}");
        }
    }

    #[test]
    fn ranges_are_sorted_and_apart() {
        for table in [LETTER, NUMBER, SPACE, DIGIT, WORD, REGEX_WORD] {
            assert_eq!(table.len() % 2, 0);
            for pair in table.windows(2) {
                assert!(pair[0] <= pair[1], "{:#x} after {:#x}", pair[1], pair[0]);
            }
        }
    }
}
