//! Decoding by the definition: each decoder turns a list of texts into another.

use std::mem::take;

use super::Decoder;
use crate::bytes::bytes_of;
use crate::error::Error;

impl Decoder {
    /// The texts of tokens, decoded; to be joined.
    pub(crate) fn apply(&self, mut tokens: Vec<String>) -> Result<Vec<String>, Error> {
        match self {
            Self::ByteLevel => {
                let mut all = Vec::new();
                for token in tokens {
                    match bytes_of(&token) {
                        Some(bytes) => all.extend_from_slice(&bytes),
                        None => all.extend_from_slice(token.as_bytes()),
                    }
                }
                return Ok(vec![String::from_utf8_lossy(&all).into_owned()]);
            }
            Self::Replace { pattern, content } => {
                for token in &mut tokens {
                    let (mut new, mut done) = (String::with_capacity(token.len()), 0);
                    pattern.matches(token, &mut |range| {
                        new.push_str(&token[done..range.start]);
                        new.push_str(content);
                        done = range.end;
                    })?;
                    new.push_str(&token[done..]);
                    *token = new;
                }
            }
            Self::WordPiece { prefix, cleanup } => {
                for (i, token) in tokens.iter_mut().enumerate() {
                    if i > 0 {
                        *token = match token.strip_prefix(prefix.as_str()) {
                            Some(rest) => rest.to_owned(),
                            None => format!(" {token}"),
                        };
                    }
                    if *cleanup {
                        *token = clean_up(token);
                    }
                }
            }
            Self::ByteFallback => return Ok(byte_fallback(tokens)),
            Self::Fuse => return Ok(vec![tokens.concat()]),
            Self::Strip {
                content,
                start,
                stop,
            } => {
                for token in &mut tokens {
                    *token = strip(token, *content, *start, *stop).to_owned();
                }
            }
            Self::Metaspace { mark, strip_first } => {
                for (i, token) in tokens.iter_mut().enumerate() {
                    let space = if i == 0 && *strip_first { "" } else { " " };
                    *token = token.replace(*mark, space);
                }
            }
            Self::Bpe { suffix } => {
                let last = tokens.len().wrapping_sub(1);
                for (i, token) in tokens.iter_mut().enumerate() {
                    *token = token.replace(suffix, if i == last { "" } else { " " });
                }
            }
            Self::Ctc {
                pad,
                delimiter,
                cleanup,
            } => {
                tokens.dedup();
                for token in &mut tokens {
                    *token = token.replace(pad, "");
                    if *cleanup {
                        *token = clean_up(token).replace(delimiter, " ");
                    }
                }
                tokens.retain(|token| !token.is_empty());
            }
            Self::Sequence(steps) => {
                for step in steps {
                    tokens = step.apply(tokens)?;
                }
            }
        }
        Ok(tokens)
    }
}

/// The byte of a token like `<0x0A>`.
pub(super) fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// Runs of byte tokens become text, or as many U+FFFD as they have bytes.
fn byte_fallback(tokens: Vec<String>) -> Vec<String> {
    let mut new = Vec::with_capacity(tokens.len());
    let mut bytes = Vec::new();
    let flush = |bytes: &mut Vec<u8>, new: &mut Vec<String>| {
        if !bytes.is_empty() {
            new.push(run_text(take(bytes)));
        }
    };
    for token in tokens {
        match fallback_byte(&token) {
            Some(byte) => bytes.push(byte),
            None => {
                flush(&mut bytes, &mut new);
                new.push(token);
            }
        }
    }
    flush(&mut bytes, &mut new);
    new
}

/// The text of a run of bytes.
pub(super) fn run_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| "\u{FFFD}".repeat(e.as_bytes().len()))
}

/// Without up to `start` and `stop` times `content` at the ends.
pub(super) fn strip(text: &str, content: char, start: usize, stop: usize) -> &str {
    let mut text = text;
    // Both ends are measured on the whole: of a text of nothing else, they may overlap.
    let whole = text;
    for _ in 0..start {
        match text.strip_prefix(content) {
            Some(rest) => text = rest,
            None => break,
        }
    }
    let mut end = whole;
    for _ in 0..stop {
        match end.strip_suffix(content) {
            Some(rest) => end = rest,
            None => break,
        }
    }
    let from = whole.len() - text.len();
    whole.get(from..end.len()).unwrap_or_default()
}

/// What the reference cleans up of English.
fn clean_up(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ] {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    text
}
