//! Models: from the bytes of a word to ids.

pub(crate) mod bpe;
mod merge;
mod parse;
pub(crate) mod vocab;
