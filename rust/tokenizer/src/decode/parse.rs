//! The `decoder` object of tokenizer.json.

use super::Decoder;
use crate::error::{quote, Error};
use crate::json::Node;
use crate::pretok::pattern::Pattern;
use crate::pretok::{prepend_scheme, Prepend};

impl Decoder {
    /// None for null.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Option<Self>, Error> {
        if node.is_null() {
            return Ok(None);
        }
        let kind = node.get("type")?;
        let name = kind.string()?;
        let known: &[&str] = match name {
            // None of its options bears on decoding.
            "ByteLevel" => &["add_prefix_space", "trim_offsets", "use_regex"],
            "Replace" => &["pattern", "content"],
            "WordPiece" => &["prefix", "cleanup"],
            "Strip" => &["content", "start", "stop"],
            "Metaspace" => &[
                "replacement",
                "add_prefix_space",
                "prepend_scheme",
                "split",
                "str_rep",
            ],
            "BPEDecoder" => &["suffix"],
            "CTC" => &["pad_token", "word_delimiter_token", "cleanup"],
            "Sequence" => &["decoders"],
            _ => &[],
        };
        node.only_typed(known)?;
        let string = |name| -> Result<String, Error> { Ok(node.get(name)?.string()?.to_owned()) };
        Ok(Some(match name {
            "ByteLevel" => Self::ByteLevel,
            "Replace" => Self::Replace {
                pattern: Pattern::from_json(&node.get("pattern")?)?,
                content: string("content")?,
            },
            "WordPiece" => Self::WordPiece {
                prefix: string("prefix")?,
                cleanup: node.get("cleanup")?.bool()?,
            },
            "ByteFallback" => Self::ByteFallback,
            "Fuse" => Self::Fuse,
            "Strip" => Self::Strip {
                content: node.get("content")?.char()?,
                start: node.get("start")?.count()?,
                stop: node.get("stop")?.count()?,
            },
            "Metaspace" => Self::Metaspace {
                mark: node.get("replacement")?.char()?,
                strip_first: prepend_scheme(node)? != Prepend::Never,
            },
            "BPEDecoder" => Self::Bpe {
                suffix: string("suffix")?,
            },
            "CTC" => Self::Ctc {
                pad: string("pad_token")?,
                delimiter: string("word_delimiter_token")?,
                cleanup: node.get("cleanup")?.bool()?,
            },
            "Sequence" => {
                let mut steps = Vec::new();
                for item in node.get("decoders")?.items()? {
                    steps.extend(Self::from_json(&item)?);
                }
                Self::Sequence(steps)
            }
            other => {
                return Err(kind.error(format!("decoder {} is not supported", quote(other))));
            }
        }))
    }
}
