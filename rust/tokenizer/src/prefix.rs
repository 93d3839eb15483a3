//! Texts that begin alike: the ids of beginnings that were met before.
//!
//! A text can be cut at a space between two ASCII letters, whatever follows: each split pattern
//! begins a word there, and each SentencePiece model a unit, as long as no merge joins a letter
//! and a space and no added token reaches over the cut. So the ids of a text are those of its
//! beginning up to the last such space, and those of the rest.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};

/// A bounded store; the oldest entry goes first.
pub(crate) struct PrefixCache {
    bytes: usize,
    entries: usize,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    ids: HashMap<Arc<str>, Arc<[u32]>>,
    order: VecDeque<Arc<str>>,
}

impl PrefixCache {
    /// Of up to `entries` beginnings of up to `bytes` bytes.
    pub(crate) fn new(bytes: usize, entries: usize) -> Self {
        Self {
            bytes,
            entries,
            known: RwLock::default(),
        }
    }

    /// Where to cut a text that is longer than a beginning.
    pub(crate) fn cut(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes().get(..self.bytes + 2)?;
        (1..=self.bytes).rev().find(|&at| {
            bytes[at] == b' '
                && bytes[at - 1].is_ascii_alphabetic()
                && bytes[at + 1].is_ascii_alphabetic()
        })
    }

    pub(crate) fn get(&self, beginning: &str) -> Option<Arc<[u32]>> {
        self.known.read().ok()?.ids.get(beginning).cloned()
    }

    pub(crate) fn put(&self, beginning: &str, ids: &[u32]) {
        let Ok(mut known) = self.known.write() else {
            return;
        };
        if self.entries == 0 || known.ids.contains_key(beginning) {
            return;
        }
        if known.order.len() >= self.entries {
            if let Some(oldest) = known.order.pop_front() {
                known.ids.remove(&oldest);
            }
        }
        let key: Arc<str> = beginning.into();
        known.order.push_back(Arc::clone(&key));
        known.ids.insert(key, ids.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_between_letters() {
        let cache = PrefixCache::new(10, 2);
        assert_eq!(cache.cut("one two three four"), Some(7));
        assert_eq!(cache.cut("one two  3"), None); // not longer than a beginning
        assert_eq!(cache.cut("one two  three four"), Some(3));
        assert_eq!(cache.cut("1 2 3 4 5 6 7 8 9"), None);
        assert_eq!(cache.cut(""), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let cache = PrefixCache::new(10, 2);
        for (n, beginning) in (0..).zip(["a", "b", "a", "c"]) {
            cache.put(beginning, &[n]);
        }
        assert_eq!(cache.get("a"), None);
        assert_eq!(cache.get("b").as_deref(), Some(&[1][..]));
        assert_eq!(cache.get("c").as_deref(), Some(&[3][..]));
    }
}
