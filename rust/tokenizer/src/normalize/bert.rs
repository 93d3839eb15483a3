//! The normalizer of BERT's vocabularies.

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

use super::is_white_space;
use crate::text::Text;
use crate::unicode::lowercase;

/// Options as tokenizer.json names them.
pub(crate) struct Bert {
    pub(super) clean_text: bool,
    pub(super) handle_chinese_chars: bool,
    /// As `lowercase` if not said.
    pub(super) strip_accents: bool,
    pub(super) lowercase: bool,
}

impl Bert {
    pub(super) fn apply(&self, text: &mut Text) {
        if self.clean_text {
            text.filter(|c| !(c == '\0' || c == '\u{FFFD}' || is_control(c)));
            text.map(|c| if is_white_space(c) { ' ' } else { c });
        }
        if self.handle_chinese_chars && text.as_str().chars().any(is_chinese) {
            text.expand(|c| {
                let (chars, len) = if is_chinese(c) {
                    ([' ', c, ' '], 3)
                } else {
                    ([c; 3], 1)
                };
                chars.into_iter().take(len)
            });
        }
        if self.strip_accents && !text.as_str().is_ascii() {
            let old = text.as_str().to_owned();
            text.transform(old.nfd(), 0);
            text.filter(|c| !UnicodeCategories::is_mark_nonspacing(c));
        }
        if self.lowercase {
            text.expand(lowercase);
        }
    }
}

/// Tabs and line ends count as white space here.
fn is_control(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r') && UnicodeCategories::is_other(c)
}

/// The blocks of ideographs that BERT's authors listed.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}
