//! The classes of a code point in one lookup.

use std::sync::LazyLock;

use super::unicode_tables::{DIGIT, LETTER, NUMBER, SPACE, WORD};

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
/// `\w`.
pub(crate) const IS_WORD: Class = 1 << 4;

const BLOCK: usize = 128;
const BLOCKS: usize = 0x110000 / BLOCK;

/// A two-stage table: equal blocks of code points are stored once.
pub(crate) struct Classes {
    block_of: Box<[u16; BLOCKS]>,
    blocks: Vec<[Class; BLOCK]>,
}

impl Classes {
    /// The classes of `c`.
    pub(crate) fn of(&self, c: char) -> Class {
        let code = c as usize;
        self.blocks[usize::from(self.block_of[code / BLOCK])][code % BLOCK]
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
        Self { block_of, blocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_code_points() {
        let classes = Classes::get();
        for (c, class) in [
            ('a', IS_LETTER | IS_WORD),
            ('_', IS_WORD),
            ('7', IS_NUMBER | IS_DIGIT | IS_WORD),
            ('½', IS_NUMBER | IS_DIGIT),
            ('\u{85}', IS_SPACE),
            ('\u{200B}', 0),
            ('漢', IS_LETTER | IS_WORD),
            ('🙂', 0),
            ('\u{0301}', IS_WORD),
            ('\u{10FFFF}', 0),
        ] {
            assert_eq!(classes.of(c), class, "{c:?}");
        }
    }

    #[test]
    fn ranges_are_sorted_and_apart() {
        for table in [LETTER, NUMBER, SPACE, DIGIT, WORD] {
            assert_eq!(table.len() % 2, 0);
            for pair in table.windows(2) {
                assert!(pair[0] <= pair[1], "{:#x} after {:#x}", pair[1], pair[0]);
            }
        }
    }
}
