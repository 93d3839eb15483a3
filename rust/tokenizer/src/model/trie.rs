//! A trie of byte strings, for all tokens that a text begins with.

use std::collections::HashMap;

use super::pairs::{Pairs, NONE};

/// The node of the empty string.
pub(super) const ROOT: u32 = 0;

/// Nodes are numbers; an edge is a look-up by (node, byte).
pub(super) struct Trie {
    edges: Pairs,
    /// The value at each node, or `NONE`.
    values: Vec<u32>,
}

impl Trie {
    /// Of byte strings and values; of equal strings the last counts.
    pub(super) fn new<'a>(entries: impl Iterator<Item = (&'a [u8], u32)>) -> Self {
        let mut edges: HashMap<(u32, u8), u32> = HashMap::new();
        let mut values = vec![NONE];
        for (bytes, value) in entries {
            let mut node = ROOT;
            for &byte in bytes {
                node = *edges.entry((node, byte)).or_insert_with(|| {
                    values.push(NONE);
                    (values.len() - 1) as u32
                });
            }
            values[node as usize] = value;
        }
        let mut table = Pairs::with_capacity(edges.len());
        for ((node, byte), child) in edges {
            table.insert(node, u32::from(byte), 0, child);
        }
        Self {
            edges: table,
            values,
        }
    }

    /// The node that `byte` leads to.
    #[inline]
    pub(super) fn child(&self, node: u32, byte: u8) -> Option<u32> {
        self.edges.get(node, u32::from(byte)).map(|edge| edge.id)
    }

    /// The node that `bytes` lead to.
    pub(super) fn node(&self, from: u32, bytes: &[u8]) -> Option<u32> {
        bytes
            .iter()
            .try_fold(from, |node, byte| self.child(node, *byte))
    }

    /// The value at a node.
    #[inline]
    pub(super) fn value(&self, node: u32) -> Option<u32> {
        Some(self.values[node as usize]).filter(|value| *value != NONE)
    }

    /// The value of a whole string.
    pub(super) fn get(&self, bytes: &[u8]) -> Option<u32> {
        self.value(self.node(ROOT, bytes)?)
    }
}
