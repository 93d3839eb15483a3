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
    /// Where the text of ids depends on their neighbours: those that the next text may need.
    window: Vec<u32>,
    /// How many of the window were given out at the last but one time, and their text.
    given: usize,
    given_text: String,
}

impl<T: Borrow<Tokenizer>> DecodeStream<T> {
    /// A stream at its start.
    pub fn new(tokenizer: T, skip_special_tokens: bool) -> Self {
        Self {
            tokenizer,
            skip_special_tokens,
            pending: Vec::new(),
            window: Vec::new(),
            given: 0,
            given_text: String::new(),
        }
    }

    /// Takes one id and gives the characters that it completes, maybe none.
    ///
    /// # Errors
    /// [`Error::UnknownId`]; the stream is as before.
    pub fn step(&mut self, id: u32) -> Result<String, Error> {
        let tokenizer = self.tokenizer.borrow();
        if !tokenizer.decode.is_bytes() {
            return self.step_in_window(id);
        }
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
        let mut text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        let window = std::mem::take(&mut self.window);
        if let Ok(all) = self
            .tokenizer
            .borrow()
            .decode(&window, self.skip_special_tokens)
        {
            text.push_str(beyond(&all, &self.given_text));
        }
        self.given = 0;
        self.given_text.clear();
        text
    }

    /// Decodes a window of ids, of which the first have been given out, and gives what is new.
    fn step_in_window(&mut self, id: u32) -> Result<String, Error> {
        let tokenizer = self.tokenizer.borrow();
        tokenizer.token_bytes(id, self.skip_special_tokens)?;
        self.window.push(id);
        let all = match tokenizer.decode(&self.window, self.skip_special_tokens) {
            Ok(all) => all,
            Err(error) => {
                self.window.pop();
                return Err(error);
            }
        };
        // A text that ends so may be half a character.
        if all.len() <= self.given_text.len() || all.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let new = beyond(&all, &self.given_text).to_owned();
        // Keep what was new last time: how the next id reads may depend on it.
        let count = self.window.len();
        self.window.drain(..self.given);
        self.given = count - self.given;
        self.given_text = tokenizer.decode(&self.window, self.skip_special_tokens)?;
        Ok(new)
    }
}

/// What `all` has beyond the part that it shares with `given`.
fn beyond<'a>(all: &'a str, given: &str) -> &'a str {
    if let Some(rest) = all.strip_prefix(given) {
        return rest;
    }
    let same = all
        .char_indices()
        .zip(given.chars())
        .find(|((_, a), b)| a != b)
        .map_or(all.len(), |((at, _), _)| at);
    &all[same..]
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
