//! The `normalizer` object of tokenizer.json.

use super::bert::Bert;
use super::precompiled::Precompiled;
use super::Normalizer;
use crate::error::{quote, Error};
use crate::json::Node;
use crate::pretok::pattern::Pattern;

impl Normalizer {
    /// None for null.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Option<Self>, Error> {
        if node.is_null() {
            return Ok(None);
        }
        let kind = node.get("type")?;
        let name = kind.string()?;
        let known: &[&str] = match name {
            "BertNormalizer" => &[
                "clean_text",
                "handle_chinese_chars",
                "strip_accents",
                "lowercase",
            ],
            "Strip" => &["strip_left", "strip_right"],
            "Precompiled" => &["precompiled_charsmap"],
            "Replace" => &["pattern", "content"],
            "Prepend" => &["prepend"],
            "Sequence" => &["normalizers"],
            _ => &[],
        };
        node.only_typed(known)?;
        Ok(Some(match name {
            "BertNormalizer" => {
                let lowercase = node.get("lowercase")?.bool()?;
                Self::Bert(Bert {
                    clean_text: node.get("clean_text")?.bool()?,
                    handle_chinese_chars: node.get("handle_chinese_chars")?.bool()?,
                    strip_accents: node.get("strip_accents")?.bool_or(lowercase)?,
                    lowercase,
                })
            }
            "Strip" => Self::Strip {
                left: node.get("strip_left")?.bool()?,
                right: node.get("strip_right")?.bool()?,
            },
            "StripAccents" => Self::StripAccents,
            "NFC" => Self::Nfc,
            "NFD" => Self::Nfd,
            "NFKC" => Self::Nfkc,
            "NFKD" => Self::Nfkd,
            "Lowercase" => Self::Lowercase,
            "Nmt" => Self::Nmt,
            "ByteLevel" => Self::ByteLevel,
            "Precompiled" => {
                let map = node.get("precompiled_charsmap")?;
                let charsmap = Precompiled::new(map.string()?).map_err(|p| map.error(p))?;
                Self::Precompiled(Box::new(charsmap))
            }
            "Replace" => Self::Replace {
                pattern: Pattern::from_json(&node.get("pattern")?)?,
                content: node.get("content")?.string()?.to_owned(),
            },
            "Prepend" => Self::Prepend(node.get("prepend")?.string()?.to_owned()),
            "Sequence" => {
                let mut steps = Vec::new();
                for item in node.get("normalizers")?.items()? {
                    steps.extend(Self::from_json(&item)?);
                }
                Self::Sequence(steps)
            }
            other => {
                return Err(kind.error(format!("normalizer {} is not supported", quote(other))));
            }
        }))
    }
}
