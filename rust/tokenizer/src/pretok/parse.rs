//! The `pre_tokenizer` object of tokenizer.json.

use super::pattern::{Behavior, Pattern};
use super::{PreTokenizer, Prepend};
use crate::error::{quote, Error};
use crate::json::Node;

impl PreTokenizer {
    /// None for null.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Option<Self>, Error> {
        if node.is_null() {
            return Ok(None);
        }
        let kind = node.get("type")?;
        let name = kind.string()?;
        let known: &[&str] = match name {
            "ByteLevel" => &["add_prefix_space", "trim_offsets", "use_regex"],
            "CharDelimiterSplit" => &["delimiter"],
            "Metaspace" => &[
                "replacement",
                "add_prefix_space",
                "prepend_scheme",
                "split",
                "str_rep",
            ],
            "Punctuation" => &["behavior"],
            "Digits" => &["individual_digits"],
            "Split" => &["pattern", "behavior", "invert"],
            "FixedLength" => &["length"],
            "Sequence" => &["pretokenizers"],
            _ => &[],
        };
        node.only_typed(known)?;
        Ok(Some(match name {
            "BertPreTokenizer" => Self::Bert,
            "ByteLevel" => {
                node.get("trim_offsets")?.bool()?; // of the post-processor only
                Self::ByteLevel {
                    add_prefix_space: node.get("add_prefix_space")?.bool()?,
                    use_regex: node.get("use_regex")?.bool_or(true)?,
                }
            }
            "CharDelimiterSplit" => Self::Delimiter(node.get("delimiter")?.char()?),
            "Metaspace" => metaspace(node)?,
            "Whitespace" => Self::Whitespace,
            "WhitespaceSplit" => Self::WhitespaceSplit,
            "Punctuation" => {
                let behavior = node.get("behavior")?;
                Self::Punctuation(if behavior.is_null() {
                    Behavior::Isolated
                } else {
                    Behavior::from_json(&behavior)?
                })
            }
            "Digits" => Self::Digits {
                individual: node.get("individual_digits")?.bool()?,
            },
            "Split" => Self::Split {
                pattern: Pattern::from_json(&node.get("pattern")?)?,
                behavior: Behavior::from_json(&node.get("behavior")?)?,
                invert: node.get("invert")?.bool()?,
            },
            "UnicodeScripts" => Self::UnicodeScripts,
            "FixedLength" => {
                let length = node.get("length")?;
                match if length.is_null() { 5 } else { length.count()? } {
                    0 => return Err(length.error("is 0")),
                    length => Self::FixedLength(length),
                }
            }
            "Sequence" => {
                let mut steps = Vec::new();
                for item in node.get("pretokenizers")?.items()? {
                    steps.extend(Self::from_json(&item)?);
                }
                Self::Sequence(steps)
            }
            other => {
                return Err(kind.error(format!("pre-tokenizer {} is not supported", quote(other))));
            }
        }))
    }
}

fn metaspace(node: &Node<'_>) -> Result<PreTokenizer, Error> {
    Ok(PreTokenizer::Metaspace {
        mark: node.get("replacement")?.char()?,
        prepend: prepend_scheme(node)?,
        split: node.get("split")?.bool_or(true)?,
    })
}

/// `prepend_scheme`, or what older files have in its place.
pub(crate) fn prepend_scheme(node: &Node<'_>) -> Result<Prepend, Error> {
    let scheme = node.get("prepend_scheme")?;
    let prepend = match scheme.optional_string()? {
        None | Some("always") => Prepend::Always,
        Some("first") => Prepend::First,
        Some("never") => Prepend::Never,
        Some(other) => return Err(scheme.error(format!("{} is not supported", quote(other)))),
    };
    let older = node.get("add_prefix_space")?;
    if !older.bool_or(true)? && prepend != Prepend::Never {
        return Err(older.error("does not go with prepend_scheme"));
    }
    Ok(prepend)
}
