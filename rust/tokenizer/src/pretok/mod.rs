//! Pre-tokenizers: from text to words, which no token crosses.

mod parse;
pub(crate) mod pattern;
pub(crate) mod regex;
pub(crate) mod scan;

use std::ops::Range;

use crate::error::Error;
use crate::normalize::{byte_level, is_punctuation};
use crate::text::Text;
use crate::unicode::{split_script, Class, Classes, IS_DIGIT, IS_SPACE, IS_WORD};
pub(crate) use parse::prepend_scheme;
use pattern::{Behavior, Pattern};
use scan::Scanner;

/// A part of the input on its way: still text, or an added token.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) text: Text,
    /// The id, if it is an added token.
    pub(crate) added: Option<u32>,
}

/// When `Metaspace` puts its mark before a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepend {
    /// Where the text is the beginning of the input.
    First,
    Never,
    Always,
}

/// Any pre-tokenizer of tokenizer.json.
pub(crate) enum PreTokenizer {
    Bert,
    ByteLevel {
        add_prefix_space: bool,
        use_regex: bool,
    },
    Delimiter(char),
    Metaspace {
        mark: char,
        prepend: Prepend,
        split: bool,
    },
    Whitespace,
    WhitespaceSplit,
    Punctuation(Behavior),
    Digits {
        individual: bool,
    },
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    UnicodeScripts,
    FixedLength(usize),
    Sequence(Vec<PreTokenizer>),
}

impl PreTokenizer {
    /// Splits, and maybe changes, all pieces that are still text.
    pub(crate) fn apply(&self, pieces: &mut Vec<Piece>) -> Result<(), Error> {
        match self {
            Self::Sequence(steps) => {
                for step in steps {
                    step.apply(pieces)?;
                }
                return Ok(());
            }
            Self::Bert => {
                Self::WhitespaceSplit.apply(pieces)?;
                return Self::Punctuation(Behavior::Isolated).apply(pieces);
            }
            _ => {}
        }
        let mut done = Vec::with_capacity(pieces.len() * 4);
        for mut piece in pieces.drain(..) {
            if piece.added.is_some() {
                done.push(piece);
                continue;
            }
            self.prepare(&mut piece.text);
            let whole = 0..piece.text.as_str().len();
            let ranges = self.ranges(piece.text.as_str())?;
            if ranges == [whole] {
                done.push(piece);
            } else {
                done.extend(ranges.into_iter().map(|range| Piece {
                    text: piece.text.slice(range),
                    added: None,
                }));
            }
        }
        if matches!(self, Self::ByteLevel { .. }) {
            for piece in done.iter_mut().filter(|piece| piece.added.is_none()) {
                byte_level(&mut piece.text);
            }
        }
        *pieces = done;
        Ok(())
    }

    /// Whether where a piece stands in the original decides what becomes of it.
    pub(crate) fn needs_offsets(&self) -> bool {
        match self {
            Self::Metaspace { prepend, .. } => *prepend == Prepend::First,
            Self::Sequence(steps) => steps.iter().any(Self::needs_offsets),
            _ => false,
        }
    }

    /// What changes in a text before it is split.
    fn prepare(&self, text: &mut Text) {
        match self {
            Self::ByteLevel {
                add_prefix_space: true,
                ..
            } if !text.as_str().starts_with(' ') => text.prepend(" "),
            Self::Metaspace { mark, prepend, .. } => {
                let mark_text = mark.encode_utf8(&mut [0; 4]).to_owned();
                let spaces: Vec<_> = text
                    .as_str()
                    .match_indices(' ')
                    .map(|(i, _)| i..i + 1)
                    .collect();
                text.replace(&spaces, &mark_text);
                let wanted = match prepend {
                    Prepend::Always => true,
                    Prepend::First => text.start() == 0,
                    Prepend::Never => false,
                };
                if wanted && !text.as_str().starts_with(*mark) {
                    text.prepend(&mark_text);
                }
            }
            _ => {}
        }
    }

    /// The parts of a text to keep, none of them empty.
    fn ranges(&self, text: &str) -> Result<Vec<Range<usize>>, Error> {
        let of = |class: Class| {
            let classes = Classes::get();
            move |c: char| classes.of(c) & class != 0
        };
        Ok(match self {
            Self::ByteLevel {
                use_regex: false, ..
            }
            | Self::Sequence(_)
            | Self::Bert => whole(text),
            Self::ByteLevel { .. } => {
                let (scanner, mut at, mut words) = (Scanner::gpt2(), 0, Vec::new());
                while at < text.len() {
                    let end = scanner.word_end(text, at);
                    words.push(at..end);
                    at = end;
                }
                words
            }
            Self::Delimiter(delimiter) => by_char(text, Behavior::Removed, |c| c == *delimiter),
            Self::Metaspace { split: false, .. } => whole(text),
            Self::Metaspace { mark, .. } => by_char(text, Behavior::MergedWithNext, |c| c == *mark),
            Self::WhitespaceSplit => by_char(text, Behavior::Removed, of(IS_SPACE)),
            Self::Punctuation(behavior) => by_char(text, *behavior, is_punctuation),
            Self::Digits { individual: true } => by_char(text, Behavior::Isolated, of(IS_DIGIT)),
            Self::Digits { .. } => by_char(text, Behavior::Contiguous, of(IS_DIGIT)),
            Self::Whitespace => {
                // `\w+|[^\w\s]+`: runs of equal class, white space left out.
                let classes = Classes::get();
                let class = |c| classes.of(c) & (IS_WORD | IS_SPACE);
                let mut words: Vec<Range<usize>> = Vec::new();
                let mut before = None;
                for (at, c) in text.char_indices() {
                    let class = if class(c) & IS_WORD != 0 {
                        IS_WORD
                    } else {
                        class(c)
                    };
                    if class != IS_SPACE {
                        match words.last_mut() {
                            Some(word) if before == Some(class) => word.end = at + c.len_utf8(),
                            _ => words.push(at..at + c.len_utf8()),
                        }
                    }
                    before = Some(class);
                }
                words
            }
            Self::Split {
                pattern,
                behavior,
                invert,
            } => {
                let mut pieces = Vec::new();
                let mut done = 0;
                pattern.matches(text, &mut |range| {
                    if done < range.start {
                        pieces.push((done..range.start, *invert));
                    }
                    done = range.end;
                    pieces.push((range, !invert));
                })?;
                if done < text.len() {
                    pieces.push((done..text.len(), *invert));
                }
                behavior.split(pieces)
            }
            Self::UnicodeScripts => by_script(text),
            Self::FixedLength(length) => {
                let mut starts: Vec<_> = text
                    .char_indices()
                    .step_by(*length)
                    .map(|(at, _)| at)
                    .collect();
                starts.push(text.len());
                starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
            }
        })
    }
}

fn whole(text: &str) -> Vec<Range<usize>> {
    if text.is_empty() {
        Vec::new()
    } else {
        std::iter::once(0..text.len()).collect()
    }
}

fn by_char(text: &str, behavior: Behavior, is: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut done = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is(*c)) {
        if done < at {
            pieces.push((done..at, false));
        }
        done = at + c.len_utf8();
        pieces.push((at..done, true));
    }
    if done < text.len() {
        pieces.push((done..text.len(), false));
    }
    behavior.split(pieces)
}

/// Cuts where the script changes. What comes before the first character of a script is lost:
/// the reference's rule.
fn by_script(text: &str) -> Vec<Range<usize>> {
    let mut last = None;
    let mut starts = Vec::new();
    for (at, c) in text.char_indices() {
        if let Some(script) = split_script(c) {
            if last != Some(script) {
                starts.push(at);
            }
            last = Some(script);
        }
    }
    starts.push(text.len());
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}
