//! Decoding token by token, in whole characters.

use std::borrow::Borrow;

use crate::error::Error;
use crate::Tokenizer;

/// Turns ids into text as they come, and never gives out half a character.
///
/// All texts given out, put together, are what [`Tokenizer::decode`] gives for
/// all ids. `T` is a reference to the tokenizer or an `Arc` of it.
#[derive(Debug)]
pub struct DecodeStream<T> {
    tokenizer: T,
    skip_special_tokens: bool,
    /// The beginning of a character whose other bytes are yet to come: at most three.
    pending: Vec<u8>,
}

impl<T: Borrow<Tokenizer>> DecodeStream<T> {
    /// A stream at its start.
    pub fn new(tokenizer: T, skip_special_tokens: bool) -> Self {
        Self {
            tokenizer,
            skip_special_tokens,
            pending: Vec::new(),
        }
    }

    /// Takes one id and gives the characters that it completes, maybe none.
    ///
    /// # Errors
    /// [`Error::UnknownId`]; the stream is as before.
    pub fn step(&mut self, id: u32) -> Result<String, Error> {
        let tokenizer = self.tokenizer.borrow();
        let mut text = String::new();
        if let Some(bytes) = tokenizer.token_bytes(id, self.skip_special_tokens)? {
            self.pending.extend_from_slice(bytes);
            let used = take_complete(&self.pending, &mut text);
            self.pending.drain(..used);
        }
        Ok(text)
    }

    /// Ends the text: a character left incomplete becomes U+FFFD. The stream is then at its start.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Appends to `text` what of `bytes` no later byte can change, and tells how many bytes that was.
/// Bytes that can begin no character become U+FFFD, by the rule of `String::from_utf8_lossy`.
fn take_complete(bytes: &[u8], text: &mut String) -> usize {
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        if used + invalid.len() == bytes.len() && may_continue(invalid) {
            return used;
        }
        if !invalid.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
    }
    used
}

/// Whether `invalid` is invalid only for want of more bytes.
fn may_continue(invalid: &[u8]) -> bool {
    matches!(std::str::from_utf8(invalid), Err(e) if e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::take_complete;

    /// The same text as all at once, whatever the cuts, and nothing that is taken back.
    fn check(bytes: &[u8]) {
        for cut in 0..=bytes.len() {
            for second in cut..=bytes.len() {
                let mut text = String::new();
                let mut pending = Vec::new();
                for part in [&bytes[..cut], &bytes[cut..second], &bytes[second..]] {
                    pending.extend_from_slice(part);
                    let used = take_complete(&pending, &mut text);
                    pending.drain(..used);
                    assert!(pending.len() <= 3);
                }
                text.push_str(&String::from_utf8_lossy(&pending));
                assert_eq!(text, String::from_utf8_lossy(bytes), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn cuts_do_not_matter() {
        check("aé漢🙂b".as_bytes());
        check(b"\xF0\x9F\x99\xE6\xBC\xA2\x80\xC3\xC3\xA9\xFF\xF0\x9F");
        check(b"\xED\xA0\x80\xC0\x80\xF4\x90\x80\x80\xE0\x80");
    }

    #[test]
    fn all_short_byte_strings() {
        let interesting = [
            0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5,
        ];
        for a in interesting {
            for b in interesting {
                for c in interesting {
                    for d in interesting {
                        check(&[a, b, c, d]);
                    }
                }
            }
        }
    }
}
