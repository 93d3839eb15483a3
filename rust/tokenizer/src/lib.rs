//! Byte-level BPE from Hugging Face's `tokenizer.json`, with the same ids as the
//! `tokenizers` package: encoding, decoding, and decoding as a stream.
//!
//! What a file asks for and this crate has not is refused at load, by name.
//! See rust/README.md for the map of modules and the algorithm.

#![forbid(unsafe_code)]

mod added;
mod bytes;
mod decode;
mod error;
mod json;
mod load;
mod model;
mod post;
mod pretok;

use added::{AddedTokens, Segment};
use decode::table::DecodeTable;
use model::bpe::Bpe;
use model::vocab::Vocab;
use post::PostProcessor;
use pretok::PreTokenizer;

pub use decode::stream::DecodeStream;
pub use error::Error;

/// A loaded tokenizer. Immutable, so any number of threads may share it.
pub struct Tokenizer {
    vocab: Vocab,
    added: AddedTokens,
    pretok: PreTokenizer,
    bpe: Bpe,
    post: PostProcessor,
    decode: DecodeTable,
}

impl Tokenizer {
    /// The ids of `text`. Added tokens in the text are recognised, special ones too;
    /// with `add_special_tokens` the ids that the post-processor puts around a text are there.
    ///
    /// # Errors
    /// [`Error::TooLong`] from 4 GiB on.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Error> {
        if text.len() >= u32::MAX as usize {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let mut ids = Vec::with_capacity(text.len() / 4 + 4);
        let mut scratch = model::bpe::Scratch::default();
        if add_special_tokens {
            ids.extend_from_slice(&self.post.before);
        }
        self.added.split(text, &mut |segment| match segment {
            Segment::Token(id) => ids.push(id),
            Segment::Text(text) => self.pretok.split(text, &mut |word| {
                self.bpe
                    .encode_word(word.as_bytes(), &mut scratch, &mut ids);
            }),
        });
        if add_special_tokens {
            ids.extend_from_slice(&self.post.after);
        }
        Ok(ids)
    }

    /// The text of `ids`. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for the first id that no token has.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            if let Some(token) = self.token_bytes(id, skip_special_tokens)? {
                bytes.extend_from_slice(token);
            }
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// A stream that decodes one id at a time.
    pub fn decode_stream(&self, skip_special_tokens: bool) -> DecodeStream<&Self> {
        DecodeStream::new(self, skip_special_tokens)
    }

    /// The bytes of `id`; none if it is special and those are skipped.
    fn token_bytes(&self, id: u32, skip_special_tokens: bool) -> Result<Option<&[u8]>, Error> {
        match self.decode.bytes(id) {
            None => Err(Error::UnknownId {
                id,
                vocab_size: self.vocab_size(),
            }),
            Some(_) if skip_special_tokens && self.decode.is_special(id) => Ok(None),
            some => Ok(some),
        }
    }

    /// The id of a token as tokenizer.json writes it (`"Ġthe"`, `"<|im_end|>"`).
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.vocab.id(token)
    }

    /// The token of an id as tokenizer.json writes it.
    pub fn id_to_token(&self, id: u32) -> Option<&str> {
        self.vocab.token(id)
    }

    /// How many tokens there are, added ones among them. Ids may have gaps and be greater.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// Whether `id` is an added token marked special.
    pub fn is_special(&self, id: u32) -> bool {
        self.decode.is_special(id)
    }

    /// Ids of the added tokens marked special, in the order of the file.
    pub fn special_ids(&self) -> &[u32] {
        self.added.special()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}
