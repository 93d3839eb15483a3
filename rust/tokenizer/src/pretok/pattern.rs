//! Patterns that split a text: a literal, a regex, or a class of characters.

use std::ops::Range;

use super::regex::Regex;
use super::scan::Scanner;
use crate::error::{quote, Error};
use crate::json::Node;

pub(crate) enum Pattern {
    Literal(String),
    /// A known regex by hand.
    Scanner(Scanner),
    Regex(Regex),
}

impl Pattern {
    /// Reads `{"String": …}` or `{"Regex": …}`.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Self, Error> {
        match node.entries()? {
            [(kind, _)] if kind == "String" => {
                Ok(Self::Literal(node.get(kind)?.string()?.to_owned()))
            }
            [(kind, _)] if kind == "Regex" => {
                let regex = node.get(kind)?;
                let source = regex.string()?;
                if let Some(scanner) = Scanner::of(source) {
                    return Ok(Self::Scanner(scanner));
                }
                Regex::new(source)
                    .map(Self::Regex)
                    .map_err(|p| regex.error(format!("{}: {p}", quote(source))))
            }
            _ => Err(node.error("is neither a String nor a Regex")),
        }
    }

    /// Calls `emit` with each match, in order.
    pub(crate) fn matches(
        &self,
        text: &str,
        emit: &mut dyn FnMut(Range<usize>),
    ) -> Result<(), Error> {
        match self {
            Self::Literal(what) if what.is_empty() => {
                // As an empty regex: between all characters, and at the end.
                for (at, _) in text.char_indices() {
                    emit(at..at);
                }
                emit(text.len()..text.len());
            }
            Self::Literal(what) => {
                for (at, what) in text.match_indices(what.as_str()) {
                    emit(at..at + what.len());
                }
            }
            Self::Scanner(scanner) => {
                let mut at = 0;
                while at < text.len() {
                    let end = scanner.word_end(text, at);
                    emit(at..end);
                    at = end;
                }
            }
            Self::Regex(regex) => regex.matches(text, emit)?,
        }
        Ok(())
    }
}

/// What becomes of the matches of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

impl Behavior {
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Self, Error> {
        Ok(match node.string()? {
            "Removed" => Self::Removed,
            "Isolated" => Self::Isolated,
            "MergedWithPrevious" => Self::MergedWithPrevious,
            "MergedWithNext" => Self::MergedWithNext,
            "Contiguous" => Self::Contiguous,
            other => return Err(node.error(format!("{} is not supported", quote(other)))),
        })
    }

    /// Turns pieces that cover a text, each a match or not, into the pieces to keep.
    pub(crate) fn split(self, pieces: Vec<(Range<usize>, bool)>) -> Vec<Range<usize>> {
        let mut kept: Vec<Range<usize>> = Vec::with_capacity(pieces.len());
        let mut before = false;
        match self {
            Self::Removed => kept.extend(pieces.into_iter().filter(|p| !p.1).map(|p| p.0)),
            Self::Isolated => kept.extend(pieces.into_iter().map(|p| p.0)),
            Self::Contiguous => {
                for (range, matched) in pieces {
                    match kept.last_mut() {
                        Some(last) if matched == before => last.end = range.end,
                        _ => kept.push(range),
                    }
                    before = matched;
                }
            }
            Self::MergedWithPrevious => {
                for (range, matched) in pieces {
                    match kept.last_mut() {
                        Some(last) if matched && !before => last.end = range.end,
                        _ => kept.push(range),
                    }
                    before = matched;
                }
            }
            Self::MergedWithNext => {
                for (range, matched) in pieces.into_iter().rev() {
                    match kept.last_mut() {
                        Some(last) if matched && !before => last.start = range.start,
                        _ => kept.push(range),
                    }
                    before = matched;
                }
                kept.reverse();
            }
        }
        kept.retain(|range| range.start < range.end);
        kept
    }
}
