//! Tokens and their ids.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{quote, Error};
use crate::json::{id_of, Node, ID_EXPECTED};

/// A bijection of tokens (as tokenizer.json writes them) and ids, which may have gaps.
#[derive(Default)]
pub(crate) struct Vocab {
    ids: HashMap<Arc<str>, u32>,
    tokens: Vec<Option<Arc<str>>>,
}

impl Vocab {
    /// Reads an object of token → id.
    pub(crate) fn from_json(node: &Node<'_>) -> Result<Self, Error> {
        let entries = node.entries()?;
        let mut vocab = Self {
            ids: HashMap::with_capacity(entries.len()),
            tokens: Vec::with_capacity(entries.len()),
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

    /// Adds a new token, or says whose id it takes.
    pub(crate) fn insert(&mut self, token: &str, id: u32) -> Result<(), String> {
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
