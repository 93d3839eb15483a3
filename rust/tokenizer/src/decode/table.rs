//! The text that each id stands for, worked out at load.

use super::chain::{fallback_byte, run_text, strip};
use super::Decoder;
use crate::bytes::bytes_of;
use crate::error::Error;
use crate::model::vocab::Vocab;
use crate::pretok::pattern::Pattern;

/// How texts of tokens become a text.
enum Way {
    /// Bytes put together: the ByteLevel decoder.
    Bytes,
    /// Texts put together, byte tokens as bytes, and then the ends stripped: what files made
    /// from SentencePiece models ask for.
    Pieces { strip: Option<(char, usize, usize)> },
    /// Anything else, by the definition; without a decoder, with spaces between.
    Chain(Option<Decoder>),
}

pub(crate) struct DecodeTable {
    way: Way,
    /// Where `way` is `Bytes`: the bytes of each id and in the last how many, or that they are
    /// more, or that no token has the id.
    short: Vec<[u8; SHORT + 1]>,
    bytes: Vec<u8>,
    /// Where the bytes of an id begin; one more than there are ids.
    starts: Vec<u32>,
    kinds: Vec<Kind>,
}

/// The longest token that `short` holds, and what it says of others.
const SHORT: usize = 15;
const LONGER: u8 = 0xFE;
const UNUSED: u8 = 0xFF;

/// How many ids are decoded together.
const TOGETHER: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A gap in the ids.
    Unused,
    Ordinary,
    /// A byte of a fallback.
    Byte(u8),
    Special,
}

impl DecodeTable {
    /// `forms` are those that stand for an added token here, in place of its own text.
    pub(crate) fn new(
        decoder: Option<Decoder>,
        vocab: &Vocab,
        special: &[u32],
        forms: &[(u32, String)],
    ) -> Result<Self, Error> {
        let (way, replace) = Way::of(decoder);
        let mut this = Self {
            way,
            short: Vec::new(),
            bytes: Vec::new(),
            starts: Vec::with_capacity(vocab.id_end() + 1),
            kinds: vec![Kind::Unused; vocab.id_end()],
        };
        let is_special: std::collections::HashSet<&str> =
            special.iter().filter_map(|id| vocab.token(*id)).collect();
        let forms: std::collections::HashMap<u32, &str> = forms
            .iter()
            .map(|(id, form)| (*id, form.as_str()))
            .collect();
        for (id, token) in vocab.iter() {
            let token = forms.get(&id).copied().unwrap_or(token);
            this.starts.resize(id as usize + 1, this.bytes.len() as u32);
            let mut kind = Kind::Ordinary;
            match &this.way {
                // A token with a character outside the byte alphabet (an added one)
                // stands for itself as a whole: the reference's rule.
                Way::Bytes => match bytes_of(token) {
                    Some(bytes) => this.bytes.extend_from_slice(&bytes),
                    None => this.bytes.extend_from_slice(token.as_bytes()),
                },
                Way::Pieces { .. } => {
                    let mut text = vec![token.to_owned()];
                    for step in &replace {
                        text = step.apply(text)?;
                    }
                    let text = text.concat();
                    if let Some(byte) = fallback_byte(&text) {
                        kind = Kind::Byte(byte);
                    }
                    this.bytes.extend_from_slice(text.as_bytes());
                }
                Way::Chain(_) => this.bytes.extend_from_slice(token.as_bytes()),
            }
            this.kinds[id as usize] = if is_special.contains(token) {
                Kind::Special
            } else {
                kind
            };
        }
        this.starts
            .resize(vocab.id_end() + 1, this.bytes.len() as u32);
        if this.is_bytes() {
            this.short = (0..vocab.id_end() as u32)
                .map(|id| this.shortened(id))
                .collect();
        }
        Ok(this)
    }

    fn shortened(&self, id: u32) -> [u8; SHORT + 1] {
        let mut short = [0; SHORT + 1];
        let bytes = self.slice(id);
        short[SHORT] = match short.get_mut(..bytes.len()) {
            _ if !self.exists(id) => UNUSED,
            Some(start) if bytes.len() <= SHORT => {
                start.copy_from_slice(bytes);
                bytes.len() as u8
            }
            _ => LONGER,
        };
        short
    }

    /// The text of ids that are bytes put together; none if this is not so or some id is none.
    pub(crate) fn decode_bytes(&self, ids: &[u32]) -> Option<String> {
        if !self.is_bytes() {
            return None;
        }
        let mut out = Vec::with_capacity(ids.len() * 5 + TOGETHER * (SHORT + 1));
        for some in ids.chunks(TOGETHER) {
            let mut at = out.len();
            // Each is written as a whole, and the next one over what it has not.
            out.resize(at + some.len() * (SHORT + 1), 0);
            for &id in some {
                let short = self.short.get(id as usize)?;
                match short[SHORT] {
                    UNUSED => return None,
                    LONGER => {
                        let (long, room) = (self.slice(id), out.len());
                        out.resize(room + long.len(), 0);
                        out[at..at + long.len()].copy_from_slice(long);
                        at += long.len();
                    }
                    len => {
                        out[at..=at + SHORT].copy_from_slice(short);
                        at += usize::from(len);
                    }
                }
            }
            out.truncate(at);
        }
        Some(text_of(out))
    }

    /// Whether the text of ids is that of their bytes, one after the other.
    pub(crate) fn is_bytes(&self) -> bool {
        matches!(self.way, Way::Bytes)
    }

    /// The text of ids that all exist.
    pub(crate) fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Error> {
        let wanted = |id: &&u32| !(skip_special && self.is_special(**id));
        let ids = ids.iter().filter(wanted);
        Ok(match &self.way {
            Way::Bytes => {
                let mut bytes = Vec::with_capacity(ids.size_hint().1.unwrap_or(0) * 5);
                for &id in ids {
                    bytes.extend_from_slice(self.slice(id));
                }
                text_of(bytes)
            }
            Way::Pieces { strip: ends } => {
                let mut text = Vec::with_capacity(ids.size_hint().1.unwrap_or(0) * 5);
                let mut run = Vec::new();
                for &id in ids {
                    if let Some(byte) = self.byte(id) {
                        run.push(byte);
                        continue;
                    }
                    if !run.is_empty() {
                        text.extend_from_slice(run_text(std::mem::take(&mut run)).as_bytes());
                    }
                    text.extend_from_slice(self.slice(id));
                }
                if !run.is_empty() {
                    text.extend_from_slice(run_text(run).as_bytes());
                }
                let text = text_of(text);
                match *ends {
                    Some((content, start, stop)) => strip(&text, content, start, stop).to_owned(),
                    None => text,
                }
            }
            Way::Chain(decoder) => {
                let tokens = ids
                    .map(|id| String::from_utf8_lossy(self.slice(*id)).into_owned())
                    .collect::<Vec<_>>();
                match decoder {
                    Some(decoder) => decoder.apply(tokens)?.concat(),
                    None => tokens.join(" "),
                }
            }
        })
    }

    fn slice(&self, id: u32) -> &[u8] {
        let index = id as usize;
        &self.bytes[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    fn byte(&self, id: u32) -> Option<u8> {
        match self.kinds[id as usize] {
            Kind::Byte(byte) => Some(byte),
            // A special token may look like a byte.
            Kind::Special => std::str::from_utf8(self.slice(id))
                .ok()
                .and_then(fallback_byte),
            _ => None,
        }
    }

    /// The bytes of `id`, none if no token has it.
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.exists(id).then(|| self.slice(id))
    }

    pub(crate) fn exists(&self, id: u32) -> bool {
        !matches!(self.kinds.get(id as usize), None | Some(Kind::Unused))
    }

    /// Whether decoding skips `id` when it skips special tokens.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize) == Some(&Kind::Special)
    }
}

/// Bytes that are not UTF-8 become U+FFFD.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

impl Way {
    /// The way, and what of the decoder each token goes through by itself.
    fn of(decoder: Option<Decoder>) -> (Self, Vec<Decoder>) {
        let steps = match decoder {
            Some(Decoder::ByteLevel) => return (Self::Bytes, Vec::new()),
            Some(Decoder::Sequence(steps)) => steps,
            other => return (Self::Chain(other), Vec::new()),
        };
        let replaces = steps
            .iter()
            .take_while(|step| {
                matches!(step, Decoder::Replace { pattern: Pattern::Literal(what), .. }
                    if !what.is_empty())
            })
            .count();
        let strip = match &steps[replaces..] {
            [Decoder::ByteFallback, Decoder::Fuse] => None,
            [Decoder::ByteFallback, Decoder::Fuse, Decoder::Strip {
                content,
                start,
                stop,
            }] => Some((*content, *start, *stop)),
            _ => return (Self::Chain(Some(Decoder::Sequence(steps))), Vec::new()),
        };
        let mut steps = steps;
        steps.truncate(replaces);
        (Self::Pieces { strip }, steps)
    }
}
