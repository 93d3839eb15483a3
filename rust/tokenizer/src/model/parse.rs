//! The `model` object of tokenizer.json.

use super::bpe::Bpe;
use super::pairs::Pairs;
use super::trie::{Trie, ROOT};
use super::unigram::Unigram;
use super::vocab::Vocab;
use super::wordpiece::WordPiece;
use super::{Model, Unknown};
use crate::error::{quote, Error};
use crate::json::{Json, Node, MAX_ID};

impl Model {
    /// Reads `model`; the vocabulary comes beside it, since added tokens join it.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<(Self, Vocab), Error> {
        let kind = node.get("type")?;
        // Files from before 2021 name no type; of all models only BPE has merges.
        if kind.is_null() && !node.get("merges")?.is_null() {
            return bpe(node);
        }
        match kind.string()? {
            "BPE" => bpe(node),
            "Unigram" => unigram(node),
            "WordPiece" => wordpiece(node),
            "WordLevel" => {
                node.only_typed(&["vocab", "unk_token"])?;
                let vocab = Vocab::from_json(&node.get("vocab")?)?;
                let unknown = Unknown::new(node.get("unk_token")?.string()?, &vocab);
                Ok((Self::WordLevel { unknown }, vocab))
            }
            other => Err(kind.error(format!("model type {} is not supported", quote(other)))),
        }
    }
}

fn bpe(node: &Node<'_>) -> Result<(Model, Vocab), Error> {
    node.only_typed(&[
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
        "vocab",
        "merges",
    ])?;
    let dropout = node.get("dropout")?;
    if !dropout.is_null() && dropout.f64()? != 0.0 {
        return Err(dropout.error("dropout is not supported: encoding must not be random"));
    }
    let affix = |name| -> Result<String, Error> {
        Ok(node
            .get(name)?
            .optional_string()?
            .unwrap_or_default()
            .to_owned())
    };
    let prefix = affix("continuing_subword_prefix")?;
    let vocab = Vocab::from_json(&node.get("vocab")?)?;
    let model = Bpe {
        merges: merges(&node.get("merges")?, &vocab, &prefix)?,
        unknown: node
            .get("unk_token")?
            .optional_string()?
            .map(|token| Unknown::new(token, &vocab)),
        fuse_unknown: node.get("fuse_unk")?.bool_or(false)?,
        bytes: byte_tokens(node, &vocab)?,
        ignore_merges: node.get("ignore_merges")?.bool_or(false)?,
        prefix,
        suffix: affix("end_of_word_suffix")?,
    };
    Ok((Model::Bpe(Box::new(model)), vocab))
}

/// The ids of the tokens `<0x00>` to `<0xFF>`, if `byte_fallback` is set.
fn byte_tokens(node: &Node<'_>, vocab: &Vocab) -> Result<Option<Box<[Option<u32>; 256]>>, Error> {
    if !node.get("byte_fallback")?.bool_or(false)? {
        return Ok(None);
    }
    let mut ids = Box::new([None; 256]);
    for (byte, id) in ids.iter_mut().enumerate() {
        *id = vocab.id(&format!("<0x{byte:02X}>"));
    }
    Ok(Some(ids))
}

fn unigram(node: &Node<'_>) -> Result<(Model, Vocab), Error> {
    node.only_typed(&["unk_id", "vocab", "byte_fallback"])?;
    let list = node.get("vocab")?;
    if list.array()?.len() > MAX_ID as usize {
        return Err(list.error("has too many tokens"));
    }
    let (mut tokens, mut scores) = (Vec::new(), Vec::new());
    for item in list.items()? {
        let mut pair = item.items()?;
        match (pair.next(), pair.next(), pair.next()) {
            (Some(token), Some(score), None) => {
                tokens.push(token.string()?);
                scores.push(score.f64()?);
            }
            _ => return Err(item.error("is not a pair of token and score")),
        }
    }
    let unknown = node.get("unk_id")?;
    let unknown = if unknown.is_null() {
        None
    } else {
        let id = unknown.id()?;
        if id as usize >= tokens.len() {
            let problem = format!("is {id}, of {} tokens", tokens.len());
            return Err(unknown.error(problem));
        }
        Some(id)
    };
    let vocab = Vocab::from_list(tokens.iter().copied());
    let model = Unigram {
        trie: Trie::new(
            tokens
                .iter()
                .zip(0..)
                .map(|(token, id)| (token.as_bytes(), id)),
        ),
        least: scores.iter().copied().fold(f64::INFINITY, f64::min),
        scores,
        unknown,
        bytes: byte_tokens(node, &vocab)?,
    };
    Ok((Model::Unigram(model), vocab))
}

fn wordpiece(node: &Node<'_>) -> Result<(Model, Vocab), Error> {
    node.only_typed(&[
        "unk_token",
        "continuing_subword_prefix",
        "max_input_chars_per_word",
        "vocab",
    ])?;
    let vocab = Vocab::from_json(&node.get("vocab")?)?;
    let trie = Trie::new(vocab.iter().map(|(id, token)| (token.as_bytes(), id)));
    let prefix = node.get("continuing_subword_prefix")?.string()?;
    let model = WordPiece {
        continuing: trie.node(ROOT, prefix.as_bytes()),
        trie,
        unknown: Unknown::new(node.get("unk_token")?.string()?, &vocab),
        max_chars: node.get("max_input_chars_per_word")?.count()?,
    };
    Ok((Model::WordPiece(model), vocab))
}

fn merges(node: &Node<'_>, vocab: &Vocab, prefix: &str) -> Result<Pairs, Error> {
    let items = node.array()?;
    let mut merges = Pairs::with_capacity(items.len().min(MAX_ID as usize));
    // Rank and id share the bounds of ids, so that neither meets a sentinel.
    if items.len() > MAX_ID as usize {
        return Err(node.error(format!("{} merges are too many", items.len())));
    }
    let all_strings = items.iter().all(|item| matches!(item, Json::String(_)));
    let mut joined = String::new();
    let mut rank = 0;
    for (i, item) in items.iter().enumerate() {
        let error = |problem: String| Error::field(format!("{}[{i}]", node.path), problem);
        let (left, right) = match item {
            Json::Array(pair) => match pair.as_slice() {
                [Json::String(left), Json::String(right)] => (left.as_str(), right.as_str()),
                _ => return Err(error("is not a pair of strings".to_owned())),
            },
            // The older form. A "#version" line in it is a comment.
            Json::String(line) if all_strings => {
                if line.starts_with("#version") {
                    continue;
                }
                line.split_once(' ')
                    .filter(|(_, right)| !right.contains(' '))
                    .ok_or_else(|| error(format!("{} is not a pair", quote(line))))?
            }
            other => return Err(error(format!("is {}, not a pair of strings", other.kind()))),
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(right.get(prefix.len()..).ok_or_else(|| {
            error(format!(
                "{} is shorter than continuing_subword_prefix",
                quote(right)
            ))
        })?);
        let id_of = |token: &str| {
            vocab
                .id(token)
                .ok_or_else(|| error(format!("{} is not in the vocabulary", quote(token))))
        };
        merges.insert(id_of(left)?, id_of(right)?, rank, id_of(&joined)?);
        rank += 1;
    }
    merges.finish();
    Ok(merges)
}
