//! Decoders: from ids to text.

mod chain;
mod parse;
pub(crate) mod stream;
pub(crate) mod table;

use crate::pretok::pattern::Pattern;

/// Any decoder of tokenizer.json.
pub(crate) enum Decoder {
    ByteLevel,
    Replace {
        pattern: Pattern,
        content: String,
    },
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    ByteFallback,
    Fuse,
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    Metaspace {
        mark: char,
        strip_first: bool,
    },
    Bpe {
        suffix: String,
    },
    Ctc {
        pad: String,
        delimiter: String,
        cleanup: bool,
    },
    Sequence(Vec<Decoder>),
}
