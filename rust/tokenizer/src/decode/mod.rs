//! Decoders: from ids to bytes, and from bytes to text.

pub(crate) mod stream;
pub(crate) mod table;
