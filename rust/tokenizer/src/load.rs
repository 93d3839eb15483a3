//! From tokenizer.json to a tokenizer.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::added::AddedTokens;
use crate::decode::table::DecodeTable;
use crate::error::{quote, Error};
use crate::json::{Json, Node};
use crate::model::bpe::Bpe;
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
        for name in ["truncation", "padding"] {
            let node = root.get(name)?;
            if !node.is_null() {
                return Err(node.error("is not supported: it must be null"));
            }
        }
        let normalizer = root.get("normalizer")?;
        if !normalizer.is_null() {
            let kind = normalizer.get("type")?;
            let problem = format!("normalizer {} is not supported", quote(kind.string()?));
            return Err(kind.error(problem));
        }

        let (bpe, mut vocab) = Bpe::from_json(&root.get("model")?)?;
        let added = AddedTokens::from_json(&root.get("added_tokens")?, &mut vocab)?;
        let pretok = PreTokenizer::from_json(&root.get("pre_tokenizer")?)?;
        let post = PostProcessor::from_json(&root.get("post_processor")?, &vocab)?;
        DecodeTable::check_json(&root.get("decoder")?)?;
        Ok(Self {
            decode: DecodeTable::new(&vocab, added.special()),
            vocab,
            added,
            pretok,
            bpe,
            post,
        })
    }
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
