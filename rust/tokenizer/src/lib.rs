//! Any tokenizer of Hugging Face's `tokenizer.json`, with the same answers as the
//! `tokenizers` package: encoding, decoding, and decoding as a stream.
//!
//! What a file asks for and this crate has not is refused at load, by name.
//! See rust/README.md for the map of modules and the algorithm.

#![deny(unsafe_code)]

mod added;
mod batch;
mod bytes;
mod decode;
mod encode;
mod encoding;
mod error;
mod fast;
mod json;
mod load;
mod model;
mod near;
mod normalize;
mod post;
mod prefix;
mod pretok;
mod text;
mod unicode;

use added::AddedTokens;
use decode::table::DecodeTable;
use encoding::{Padding, Truncation};
use fast::{Fast, Parts, State};
use model::vocab::Vocab;
use model::Model;
use normalize::Normalizer;
use post::PostProcessor;
use prefix::PrefixCache;
use pretok::PreTokenizer;

pub use batch::Batch;
pub use decode::stream::DecodeStream;
pub use encode::{Options, Unit};
pub use encoding::Encoding;
pub use error::Error;

/// A loaded tokenizer. Immutable, so any number of threads may share it.
pub struct Tokenizer {
    vocab: Vocab,
    added: AddedTokens,
    normalizer: Option<Normalizer>,
    pretok: Option<PreTokenizer>,
    model: Model,
    post: PostProcessor,
    /// What the post-processor puts around a single text, if nothing else happens to it.
    around: Option<(Vec<u32>, Vec<u32>)>,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    decode: DecodeTable,
    /// The short way from text to ids, where there is one.
    fast: Option<Fast>,
    /// Where it is wanted, and the tokenizer allows it.
    prefix: Option<PrefixCache>,
    /// Whether the way of a text depends on its place in the original.
    needs_offsets: bool,
}

impl Tokenizer {
    /// The ids of `text`. Added tokens in the text are recognised, special ones too;
    /// with `add_special_tokens` the ids that the post-processor puts around a text are there.
    ///
    /// # Errors
    /// As [`Self::encode_full`].
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Error> {
        let options = Options {
            add_special_tokens,
            ..Options::default()
        };
        self.encode_ids(text, options)
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// As [`Self::encode_full`].
    pub fn encode_ids(&self, text: &str, options: Options) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 4);
        let mut encoder = self.encoder(options);
        encoder.append(text, &mut ids)?;
        Ok(ids)
    }

    /// Keeps the ids of up to `entries` beginnings of texts, each of up to `bytes` bytes: for
    /// prompts that begin alike. Changes no id. A tokenizer for which beginnings cannot be told
    /// from the rest stays as it is.
    pub fn set_prefix_cache(&mut self, bytes: usize, entries: usize) {
        let can = self.fast.as_ref().is_some_and(Fast::cuts_at_spaces) && self.added.leave_spaces();
        self.prefix = (can && bytes > 0 && entries > 0).then(|| PrefixCache::new(bytes, entries));
    }

    /// For many texts in a row.
    fn encoder(&self, options: Options) -> Encoder<'_> {
        Encoder {
            tokenizer: self,
            options,
            state: self.fast.as_ref().map(Fast::take_state),
        }
    }

    /// The ids of `text` by the definition, without the short way: for tests and comparisons.
    ///
    /// # Errors
    /// As [`Self::encode_full`].
    #[doc(hidden)]
    pub fn encode_by_definition(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        self.general_ids(text, Options::default(), &mut ids)?;
        Ok(ids)
    }

    /// Whether there is a short way.
    #[doc(hidden)]
    pub fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// The text of `ids`. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for the first id that no token has.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        if !skip_special_tokens {
            if let Some(text) = self.decode.decode_bytes(ids) {
                return Ok(text);
            }
        }
        if let Some(&id) = ids.iter().find(|id| !self.decode.exists(**id)) {
            return Err(Error::UnknownId {
                id,
                vocab_size: self.vocab_size(),
            });
        }
        self.decode.decode(ids, skip_special_tokens)
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
        self.added.special().contains(&id)
    }

    /// Ids of the added tokens marked special, in the order of the file.
    pub fn special_ids(&self) -> &[u32] {
        self.added.special()
    }
}

/// Encodes texts one after the other.
struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    options: Options,
    state: Option<State>,
}

impl Encoder<'_> {
    /// Appends the ids of a text.
    fn append(&mut self, text: &str, out: &mut Vec<u32>) -> Result<(), Error> {
        let Tokenizer { around, fast, .. } = self.tokenizer;
        let Some((before, after)) = around else {
            let full = self
                .tokenizer
                .encode_full(text, None, Unit::None, self.options)?;
            out.extend(full.ids);
            return Ok(());
        };
        if self.options.add_special_tokens {
            out.extend_from_slice(before);
        }
        let done = match (fast, &mut self.state) {
            (Some(fast), Some(state)) => {
                let parts = Parts {
                    added: &self.tokenizer.added,
                    vocab: &self.tokenizer.vocab,
                    model: &self.tokenizer.model,
                    special_is_text: self.options.encode_special_tokens,
                };
                match &self.tokenizer.prefix {
                    Some(prefix) => in_two(prefix, fast, &parts, state, text, out)?,
                    None => fast.encode(&parts, state, text, false, out)?,
                }
            }
            _ => false,
        };
        if !done {
            self.tokenizer.general_ids(text, self.options, out)?;
        }
        if self.options.add_special_tokens {
            out.extend_from_slice(after);
        }
        Ok(())
    }
}

/// The ids of a text by its beginning, which may be known, and the rest.
fn in_two(
    prefix: &PrefixCache,
    fast: &Fast,
    parts: &Parts<'_>,
    state: &mut State,
    text: &str,
    out: &mut Vec<u32>,
) -> Result<bool, Error> {
    // What special tokens are text changes the ids of a beginning.
    let cut = if parts.special_is_text || !fast.takes(text) {
        None
    } else {
        prefix.cut(text)
    };
    let Some(cut) = cut else {
        return fast.encode(parts, state, text, false, out);
    };
    let (beginning, rest) = text.split_at(cut);
    match prefix.get(beginning) {
        Some(ids) => out.extend_from_slice(&ids),
        None => {
            let before = out.len();
            fast.encode(parts, state, beginning, false, out)?;
            prefix.put(beginning, &out[before..]);
        }
    }
    fast.encode(parts, state, rest, true, out)
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if let (Some(fast), Some(state)) = (&self.tokenizer.fast, self.state.take()) {
            fast.give_back(state);
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}
