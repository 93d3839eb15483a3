//! The `model` object of tokenizer.json.

use std::collections::HashMap;

use super::bpe::{Bpe, Unknown, NO_ID};
use super::merge::{Merge, Merges, Scratch};
use super::vocab::Vocab;
use crate::bytes::{byte_of, bytes_of};
use crate::error::{quote, Error};
use crate::json::{Json, Node, MAX_ID};

impl Bpe {
    /// Reads `model`; the vocabulary comes beside it, since added tokens join it.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<(Self, Vocab), Error> {
        let kind = node.get("type")?;
        // Files from before 2021 name no type; of all models only BPE has merges.
        let untyped_bpe = kind.is_null() && !node.get("merges")?.is_null();
        if !untyped_bpe && kind.string()? != "BPE" {
            let problem = format!("model type {} is not supported", quote(kind.string()?));
            return Err(kind.error(problem));
        }
        node.only(&[
            "type",
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
        if !matches!(dropout.value, Json::Null | Json::Unsigned(0))
            && !matches!(dropout.value, Json::Number(n) if *n == 0.0)
        {
            return Err(dropout.error("dropout is not supported: encoding must not be random"));
        }
        node.get("continuing_subword_prefix")?
            .unsupported_unless_empty()?;
        node.get("end_of_word_suffix")?.unsupported_unless_empty()?;
        let fallback = node.get("byte_fallback")?;
        if fallback.bool_or(false)? {
            return Err(fallback.error("byte_fallback is not supported in byte-level BPE"));
        }

        let vocab = Vocab::from_json(&node.get("vocab")?)?;
        let mut byte_ids = [NO_ID; 256];
        for (id, token) in vocab.iter() {
            let mut chars = token.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                if let Some(byte) = byte_of(c) {
                    byte_ids[usize::from(byte)] = id;
                }
            }
        }
        let mut bpe = Self {
            unknown: unknown(node, &vocab, &byte_ids)?,
            byte_ids,
            merges: merges(&node.get("merges")?, &vocab)?,
            whole: HashMap::new(),
        };
        bpe.whole = bpe.whole_words(&vocab, node.get("ignore_merges")?.bool_or(false)?);
        Ok((bpe, vocab))
    }

    /// The tokens whose own bytes encode as just them (all, if merges are ignored).
    fn whole_words(&self, vocab: &Vocab, all: bool) -> HashMap<Box<[u8]>, u32> {
        let mut scratch = Scratch::default();
        vocab
            .iter()
            .filter_map(|(id, token)| {
                let bytes = bytes_of(token)?;
                if !all {
                    self.merge_word(&bytes, &mut scratch);
                }
                (all || scratch.ids == [id]).then(|| (bytes.into(), id))
            })
            .collect()
    }
}

fn unknown(
    node: &Node<'_>,
    vocab: &Vocab,
    byte_ids: &[u32; 256],
) -> Result<Option<Unknown>, Error> {
    let fuse = node.get("fuse_unk")?.bool_or(false)?;
    let token = node.get("unk_token")?;
    if token.is_null() {
        return Ok(None);
    }
    if token.string()?.is_empty() {
        return Err(token.error("an empty token is not supported"));
    }
    match vocab.id(token.string()?) {
        Some(id) => Ok(Some(Unknown { id, fuse })),
        // Harmless when it can never be asked for.
        None if !byte_ids.contains(&NO_ID) => Ok(None),
        None => Err(token.error(format!(
            "{} is not in the vocabulary",
            quote(token.string()?)
        ))),
    }
}

fn merges(node: &Node<'_>, vocab: &Vocab) -> Result<Merges, Error> {
    let mut merges = Merges::default();
    let items = node.array()?;
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
        joined.push_str(right);
        let id_of = |token: &str| {
            vocab
                .id(token)
                .ok_or_else(|| error(format!("{} is not in the vocabulary", quote(token))))
        };
        let merge = Merge {
            rank,
            id: id_of(&joined)?,
        };
        merges.insert(id_of(left)?, id_of(right)?, merge);
        rank += 1;
    }
    Ok(merges)
}
