//! Tokens and their ids.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{quote, Error};
use crate::json::{id_of, Node, ID_EXPECTED};

/// A bijection of tokens (as tokenizer.json writes them) and ids, which may have gaps.
#[derive(Default)]
pub(crate) struct Vocab {
    ids: HashMap<Arc<str>, u32>,
    tokens: Vec<Option<Arc<str>>>,
    /// Ids of added tokens that the model has not.
    beyond: HashSet<u32>,
    /// How many tokens the model has, as the reference counts them.
    model_len: usize,
}

impl Vocab {
    /// Reads an object of token → id.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Self, Error> {
        let entries = node.entries()?;
        let mut vocab = Self {
            ids: HashMap::with_capacity(entries.len()),
            tokens: Vec::with_capacity(entries.len()),
            beyond: HashSet::new(),
            model_len: entries.len(),
        };
        for (token, value) in entries {
            let id = id_of(value).ok_or_else(|| {
                node.error(format!("token {} has not {ID_EXPECTED}", quote(token)))
            })?;
            vocab
                .insert(token, id)
                .map_err(|problem| node.error(problem))?;
        }
        Ok(vocab)
    }

    /// Of tokens in the order of ids. Of equal tokens the last has the id.
    pub(crate) fn from_list<'a>(tokens: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut vocab = Self {
            model_len: tokens.len(),
            ..Self::default()
        };
        for (id, token) in (0u32..).zip(tokens) {
            let token: Arc<str> = token.into();
            vocab.tokens.push(Some(Arc::clone(&token)));
            vocab.ids.insert(token, id);
        }
        vocab
    }

    /// Adds a token that the model has not, or says whose id it takes.
    pub(crate) fn insert_added(&mut self, token: &str, id: u32) -> Result<(), String> {
        self.insert(token, id)?;
        self.beyond.insert(id);
        Ok(())
    }

    /// The id that the next added token gets that the model has not.
    pub(crate) fn next_added(&self) -> usize {
        self.model_len + self.beyond.len()
    }

    /// The id of a token of the model.
    pub(crate) fn model_id(&self, token: &str) -> Option<u32> {
        self.id(token).filter(|id| !self.beyond.contains(id))
    }

    /// Tokens and ids of the model in the order of ids.
    pub(crate) fn model_iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.iter().filter(|(id, _)| !self.beyond.contains(id))
    }

    /// Adds a new token, or says whose id it takes.
    fn insert(&mut self, token: &str, id: u32) -> Result<(), String> {
        let index = id as usize;
        if index >= self.tokens.len() {
            self.tokens.resize(index + 1, None);
        }
        if let Some(holder) = &self.tokens[index] {
            return Err(format!(
                "id {id} belongs to both {} and {}",
                quote(holder),
                quote(token)
            ));
        }
        let token: Arc<str> = token.into();
        self.tokens[index] = Some(Arc::clone(&token));
        self.ids.insert(token, id);
        Ok(())
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// One more than the greatest id.
    pub(crate) fn id_end(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub(crate) fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize)?.as_deref()
    }

    /// Tokens and ids in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0u32..)
            .zip(&self.tokens)
            .filter_map(|(id, token)| Some((id, token.as_deref()?)))
    }
}
