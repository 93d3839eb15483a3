//! From tokenizer.json to a tokenizer.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::added::AddedTokens;
use crate::decode::table::DecodeTable;
use crate::decode::Decoder;
use crate::encoding::{Padding, Side, Strategy, Truncation};
use crate::error::{quote, Error};
use crate::fast::Fast;
use crate::json::{Json, Node};
use crate::model::Model;
use crate::normalize::Normalizer;
use crate::post::PostProcessor;
use crate::pretok::PreTokenizer;
use crate::Tokenizer;

/// The largest vocabularies of today take 35 MB; a hostile file may take sixteen times its size
/// once parsed.
const LARGEST: usize = 64 << 20;

impl Tokenizer {
    /// Loads a tokenizer.json file.
    ///
    /// # Errors
    /// [`Error::File`]: not readable, damaged, or asking for what is not supported.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let in_file = |problem: String| Error::File {
            path: path.to_owned(),
            problem,
        };
        let bytes = read(path).map_err(in_file)?;
        Self::from_bytes(&bytes).map_err(|e| in_file(e.to_string()))
    }

    /// Loads the contents of a tokenizer.json file.
    ///
    /// # Errors
    /// [`Error::Json`] and [`Error::Field`], as for [`Tokenizer::from_file`].
    pub fn from_bytes(json: &[u8]) -> Result<Self, Error> {
        if json.len() > LARGEST {
            return Err(Error::Json {
                problem: format!("it is larger than {} MiB", LARGEST >> 20),
            });
        }
        let tree = Json::parse(json)?;
        let root = Node {
            path: String::new(),
            value: &tree,
        };
        if !matches!(tree, Json::Object(_)) {
            return Err(Error::Json {
                problem: format!("the document is {}", tree.kind()),
            });
        }
        root.only(&[
            "version",
            "truncation",
            "padding",
            "added_tokens",
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model",
        ])
        .map_err(|e| Error::Json {
            problem: match e {
                Error::Field { problem, .. } => problem,
                other => other.to_string(),
            },
        })?;
        let version = root.get("version")?;
        if !version.is_null() && version.string()? != "1.0" {
            let problem = format!("{} is not supported", quote(version.string()?));
            return Err(version.error(problem));
        }
        let (model, mut vocab) = Model::from_json(&root.get("model")?)?;
        let normalizer = Normalizer::from_json(&root.get("normalizer")?)?;
        let added = root.get("added_tokens")?;
        let added = AddedTokens::from_json(&added, normalizer.as_ref(), &mut vocab)?;
        let pretok = PreTokenizer::from_json(&root.get("pre_tokenizer")?)?;
        let post = PostProcessor::from_json(&root.get("post_processor")?, &vocab)?;
        let truncation = truncation(&root.get("truncation")?, &post)?;
        let padding = padding(&root.get("padding")?)?;
        let decoder = Decoder::from_json(&root.get("decoder")?)?;
        Ok(Self {
            fast: Fast::new(
                normalizer.as_ref(),
                pretok.as_ref(),
                &model,
                &vocab,
                added.any_normalized(),
            ),
            decode: DecodeTable::new(decoder, &vocab, added.special(), added.forms())?,
            around: if truncation.is_none() && padding.is_none() {
                post.around()
            } else {
                None
            },
            prefix: None,
            needs_offsets: pretok.as_ref().is_some_and(PreTokenizer::needs_offsets),
            vocab,
            added,
            normalizer,
            pretok,
            model,
            post,
            truncation,
            padding,
        })
    }
}

fn side(node: &Node<'_>) -> Result<Side, Error> {
    match node.optional_string()? {
        None | Some("Right") => Ok(Side::Right),
        Some("Left") => Ok(Side::Left),
        Some(other) => Err(node.error(format!("{} is neither Left nor Right", quote(other)))),
    }
}

fn truncation(node: &Node<'_>, post: &PostProcessor) -> Result<Option<Truncation>, Error> {
    if node.is_null() {
        return Ok(None);
    }
    node.only(&["direction", "max_length", "strategy", "stride"])?;
    let strategy = node.get("strategy")?;
    let truncation = Truncation {
        side: side(&node.get("direction")?)?,
        max_length: node.get("max_length")?.count()?,
        strategy: match strategy.string()? {
            "LongestFirst" => Strategy::LongestFirst,
            "OnlyFirst" => Strategy::OnlyFirst,
            "OnlySecond" => Strategy::OnlySecond,
            other => return Err(strategy.error(format!("{} is not supported", quote(other)))),
        },
        stride: node.get("stride")?.count()?,
    };
    let added = post.added(false);
    if truncation.max_length < added {
        let problem = format!("leaves no room for the {added} tokens that are added");
        return Err(node.get("max_length")?.error(problem));
    }
    Ok(Some(truncation))
}

/// Padding beyond this is a mistake, or an attack.
const LONGEST_PADDING: usize = 1 << 24;

fn padding(node: &Node<'_>) -> Result<Option<Padding>, Error> {
    if node.is_null() {
        return Ok(None);
    }
    node.only(&[
        "strategy",
        "direction",
        "pad_to_multiple_of",
        "pad_id",
        "pad_type_id",
        "pad_token",
    ])?;
    let bounded = |node: &Node<'_>| match node.count()? {
        n if n <= LONGEST_PADDING => Ok(n),
        n => Err(node.error(format!("{n} is more than {LONGEST_PADDING}"))),
    };
    let strategy = node.get("strategy")?;
    let fixed = match strategy.value {
        Json::String(name) if name == "BatchLongest" => None,
        _ => Some(bounded(&strategy.get("Fixed")?)?),
    };
    let multiple = node.get("pad_to_multiple_of")?;
    Ok(Some(Padding {
        fixed,
        side: side(&node.get("direction")?)?,
        multiple_of: if multiple.is_null() {
            0
        } else {
            bounded(&multiple)?
        },
        id: node.get("pad_id")?.u32()?,
        type_id: node.get("pad_type_id")?.u32()?,
        token: node.get("pad_token")?.string()?.to_owned(),
    }))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| format!("cannot open: {e}"))?;
    let mut bytes = Vec::new();
    // Bounded by what is read and not by a stated size, which pipes and devices have not.
    file.take(LARGEST as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read: {e}"))?;
    Ok(bytes)
}
