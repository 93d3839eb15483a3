//! Normalizers: what a text goes through before it is split.

mod bert;
mod parse;
mod precompiled;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::is_combining_mark;
use unicode_normalization_alignments::UnicodeNormalization;

use crate::bytes::char_of;
use crate::error::Error;
use crate::pretok::pattern::Pattern;
use crate::text::Text;
use crate::unicode::{lowercase, Classes, IS_SPACE};
use bert::Bert;
use precompiled::Precompiled;

/// Any normalizer of tokenizer.json.
pub(crate) enum Normalizer {
    Bert(Bert),
    Strip { left: bool, right: bool },
    StripAccents,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    Nmt,
    Precompiled(Box<Precompiled>),
    Replace { pattern: Pattern, content: String },
    Prepend(String),
    ByteLevel,
    Sequence(Vec<Normalizer>),
}

impl Normalizer {
    /// Changes `text` in place.
    pub(crate) fn apply(&self, text: &mut Text) -> Result<(), Error> {
        match self {
            Self::Bert(bert) => bert.apply(text),
            Self::Strip { left, right } => strip(text, *left, *right),
            Self::StripAccents => text.filter(|c| !is_combining_mark(c)),
            Self::Nfc => unicode(text, true, false),
            Self::Nfd => unicode(text, false, false),
            Self::Nfkc => unicode(text, true, true),
            Self::Nfkd => unicode(text, false, true),
            Self::Lowercase => text.expand(lowercase),
            Self::Nmt => nmt(text),
            Self::Precompiled(charsmap) => charsmap.apply(text),
            Self::Replace { pattern, content } => {
                let mut ranges = Vec::new();
                pattern.matches(text.as_str(), &mut |range| ranges.push(range))?;
                text.replace(&ranges, content);
            }
            Self::Prepend(what) => text.prepend(what),
            Self::ByteLevel => byte_level(text),
            Self::Sequence(steps) => {
                for step in steps {
                    step.apply(text)?;
                }
            }
        }
        Ok(())
    }
}

/// One of the four Unicode forms.
fn unicode(text: &mut Text, compose: bool, compatible: bool) {
    // ASCII is in all of them.
    if text.as_str().is_ascii() {
        return;
    }
    let old = text.as_str().to_owned();
    match (compose, compatible) {
        (true, false) => text.transform(old.nfc(), 0),
        (false, false) => text.transform(old.nfd(), 0),
        (true, true) => text.transform(old.nfkc(), 0),
        (false, true) => text.transform(old.nfkd(), 0),
    }
}

fn is_white_space(c: char) -> bool {
    Classes::get().of(c) & IS_SPACE != 0
}

fn strip(text: &mut Text, left: bool, right: bool) {
    let all = text.as_str();
    let end = if right {
        all.trim_end_matches(is_white_space).len()
    } else {
        all.len()
    };
    let kept = &all[..end];
    let start = if left {
        end - kept.trim_start_matches(is_white_space).len()
    } else {
        0
    };
    if (start, end) != (0, all.len()) {
        text.keep(start..end);
    }
}

/// SentencePiece's `nmt` rules: no control characters, and one white space.
fn nmt(text: &mut Text) {
    text.filter(|c| {
        !matches!(u32::from(c),
            0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0x8F | 0x9F)
    });
    text.map(|c| match u32::from(c) {
        0x09
        | 0x0A
        | 0x0C
        | 0x0D
        | 0x1680
        | 0x200B..=0x200F
        | 0x2028
        | 0x2029
        | 0x2581
        | 0xFEFF
        | 0xFFFD => ' ',
        _ => c,
    });
}

/// Each byte becomes the character that stands for it in byte-level vocabularies.
pub(crate) fn byte_level(text: &mut Text) {
    text.expand(|c| {
        let mut buffer = [0; 4];
        let len = c.encode_utf8(&mut buffer).len();
        buffer.into_iter().take(len).map(char_of)
    });
}

/// What the Bert parts of the reference take for punctuation.
pub(crate) fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || UnicodeCategories::is_punctuation(c)
}
