//! Characters that stay as they are in composed form, whatever stands beside them.

use std::sync::LazyLock;

use unicode_normalization_alignments::char::canonical_combining_class;
use unicode_normalization_alignments::UnicodeNormalization;

/// Beyond this all characters are looked at by the full normalization.
const END: u32 = 0x30000;

/// A bit for each character.
pub(crate) struct Stable(Vec<u64>);

impl Stable {
    /// The only instance.
    pub(crate) fn get() -> &'static Self {
        static STABLE: LazyLock<Stable> = LazyLock::new(Stable::build);
        &STABLE
    }

    fn build() -> Self {
        // A character is unstable if it composes with one before it: it is then the second of a
        // decomposition, or a vowel or final of Hangul. So are marks that may change places.
        let mut bits = vec![u64::MAX; (END / 64) as usize];
        let mut clear = |c: char| {
            if u32::from(c) < END {
                bits[u32::from(c) as usize / 64] &= !(1 << (u32::from(c) % 64));
            }
        };
        for c in (0..END).filter_map(char::from_u32) {
            if canonical_combining_class(c) != 0 {
                clear(c);
            }
            let syllable = (0xAC00..0xD7A4).contains(&u32::from(c));
            let parts: Vec<char> = std::iter::once(c).nfd().map(|part| part.0).collect();
            if parts.len() > 1 && !syllable {
                parts[1..].iter().copied().for_each(&mut clear);
            }
            if std::iter::once(c).nfc().map(|part| part.0).ne([c]) {
                clear(c);
            }
        }
        (0x1161..=0x11FF)
            .filter_map(char::from_u32)
            .for_each(&mut clear);
        Self(bits)
    }

    /// Whether a text is surely in form C.
    pub(crate) fn is_composed(&self, text: &str) -> bool {
        text.chars().all(|c| {
            let code = u32::from(c);
            code < 0x80 || (code < END && (self.0[code as usize / 64] >> (code % 64)) & 1 == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(text: &str) -> String {
        text.nfc().map(|part| part.0).collect()
    }

    #[test]
    fn stable_characters_stay_after_any_other() {
        let stable = Stable::get();
        let decomposed = |c: char| {
            std::iter::once(c)
                .nfd()
                .map(|part| part.0)
                .collect::<Vec<_>>()
        };
        // All that anything composes with, as far as it is stable itself.
        let firsts: std::collections::BTreeSet<char> = (0..END)
            .filter_map(char::from_u32)
            .filter(|c| !(0xAC01..0xD7A4).contains(&u32::from(*c)))
            .flat_map(|c| {
                let parts = decomposed(c);
                let composes = parts.len() > 1;
                [c, parts[0]].into_iter().filter(move |_| composes)
            })
            .chain(['\u{1100}', '가', '각', '한'])
            .filter(|c| stable.is_composed(&c.to_string()))
            .collect();
        // Beyond these blocks nothing composes but a few marks, of which the ends are enough.
        let seconds = (0..0x3100).chain(0x1_1000..0x1_1A00).chain(0xF900..0xFFFF);
        for c in seconds.filter_map(char::from_u32) {
            if stable.is_composed(&c.to_string()) {
                let text: String = firsts.iter().flat_map(|first| [*first, c]).collect();
                assert_eq!(composed(&text), text, "U+{:04X}", u32::from(c));
            }
        }
    }
}
