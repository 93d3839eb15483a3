//! An encoding as flat columns, which C reads in place.

use infeng_tokenizer::Encoding;

/// Stands for "none" where a number may be missing.
const NO_NUMBER: u32 = u32::MAX;

/// An encoding that C holds.
pub struct InfengEncoding {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    offsets: Vec<u32>,
    words: Vec<u32>,
    sequences: Vec<u32>,
    special_tokens_mask: Vec<u8>,
    attention_mask: Vec<u8>,
    tokens: String,
    token_ends: Vec<usize>,
    pub(crate) overflowing: Vec<InfengEncoding>,
}

/// Pointers into an encoding; see infeng_tokenizer.h.
#[repr(C)]
pub struct InfengEncodingView {
    len: usize,
    ids: *const u32,
    type_ids: *const u32,
    offsets: *const u32,
    words: *const u32,
    sequences: *const u32,
    special_tokens_mask: *const u8,
    attention_mask: *const u8,
    tokens: *const u8,
    token_ends: *const usize,
    overflowing: usize,
}

impl InfengEncoding {
    pub(crate) fn new(encoding: Encoding) -> Self {
        let sequences = encoding
            .sequence_ids()
            .into_iter()
            .map(|id| id.map_or(NO_NUMBER, |id| id as u32))
            .collect();
        let mut tokens = String::new();
        let mut token_ends = Vec::with_capacity(encoding.tokens.len());
        for token in &encoding.tokens {
            tokens.push_str(token);
            token_ends.push(tokens.len());
        }
        Self {
            sequences,
            tokens,
            token_ends,
            offsets: encoding.offsets.iter().flat_map(|o| [o.0, o.1]).collect(),
            words: encoding
                .words
                .iter()
                .map(|w| w.unwrap_or(NO_NUMBER))
                .collect(),
            ids: encoding.ids,
            type_ids: encoding.type_ids,
            special_tokens_mask: encoding.special_tokens_mask,
            attention_mask: encoding.attention_mask,
            overflowing: encoding.overflowing.into_iter().map(Self::new).collect(),
        }
    }

    pub(crate) fn view(&self) -> InfengEncodingView {
        InfengEncodingView {
            len: self.ids.len(),
            ids: self.ids.as_ptr(),
            type_ids: self.type_ids.as_ptr(),
            offsets: self.offsets.as_ptr(),
            words: self.words.as_ptr(),
            sequences: self.sequences.as_ptr(),
            special_tokens_mask: self.special_tokens_mask.as_ptr(),
            attention_mask: self.attention_mask.as_ptr(),
            tokens: self.tokens.as_ptr(),
            token_ends: self.token_ends.as_ptr(),
            overflowing: self.overflowing.len(),
        }
    }
}
