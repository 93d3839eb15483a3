//! The bytes that each id stands for.

use crate::bytes::bytes_of;
use crate::error::{quote, Error};
use crate::json::Node;
use crate::model::vocab::Vocab;

/// Decoder of type ByteLevel, worked out for each id at load.
pub(crate) struct DecodeTable {
    bytes: Vec<u8>,
    /// Where the bytes of an id begin; one more than there are ids.
    starts: Vec<usize>,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A gap in the ids.
    Unused,
    Ordinary,
    Special,
}

impl DecodeTable {
    pub(crate) fn new(vocab: &Vocab, special: &[u32]) -> Self {
        let mut this = Self {
            bytes: Vec::new(),
            starts: Vec::with_capacity(vocab.id_end() + 1),
            kinds: vec![Kind::Unused; vocab.id_end()],
        };
        for (id, token) in vocab.iter() {
            this.starts.resize(id as usize + 1, this.bytes.len());
            // A token with a character outside the byte alphabet (an added one)
            // stands for itself as a whole: the reference's rule.
            match bytes_of(token) {
                Some(bytes) => this.bytes.extend_from_slice(&bytes),
                None => this.bytes.extend_from_slice(token.as_bytes()),
            }
            this.kinds[id as usize] = Kind::Ordinary;
        }
        this.starts.resize(vocab.id_end() + 1, this.bytes.len());
        for &id in special {
            this.kinds[id as usize] = Kind::Special;
        }
        this
    }

    /// Refuses decoders other than ByteLevel.
    pub(crate) fn check_json(node: &Node<'_>) -> Result<(), Error> {
        if node.is_null() {
            return Err(node.error("is missing: only ByteLevel is supported"));
        }
        let kind = node.get("type")?;
        if kind.string()? != "ByteLevel" {
            let problem = format!("decoder {} is not supported", quote(kind.string()?));
            return Err(kind.error(problem));
        }
        // None of its options bears on decoding.
        node.only(&["type", "add_prefix_space", "trim_offsets", "use_regex"])
    }

    /// The bytes of `id`, none if no token has it.
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        let index = id as usize;
        match self.kinds.get(index)? {
            Kind::Unused => None,
            _ => Some(&self.bytes[self.starts[index]..self.starts[index + 1]]),
        }
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize) == Some(&Kind::Special)
    }
}
