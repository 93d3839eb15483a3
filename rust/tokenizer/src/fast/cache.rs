//! What was encoded before: a small table of each thread, and a larger one that all share.

use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

use super::words::{Key, NONE};

/// How many ids an entry holds. Longer results are not kept.
pub(super) const MOST: usize = 4;

/// The ids of a short string: half a cache line.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// 0: nothing.
    pub(super) key: Key,
    /// Then `NONE`.
    pub(super) ids: [u32; MOST],
}

pub(super) const EMPTY: Entry = Entry {
    key: 0,
    ids: [NONE; MOST],
};

impl Entry {
    pub(super) fn new(key: Key, ids: &[u32]) -> Self {
        let mut entry = Self { key, ..EMPTY };
        entry.ids[..ids.len()].copy_from_slice(ids);
        entry
    }

    #[inline]
    pub(super) fn push_to(&self, out: &mut Vec<u32>) {
        // All, and those that are none away again: no branch has to guess how many.
        let len = out.len() + self.ids.iter().filter(|id| **id != NONE).count();
        out.extend_from_slice(&self.ids);
        out.truncate(len);
    }
}

/// Two entries that share a cache line, the newer one first.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([Entry; 2]);

/// Lines of a thread's own table: 1 MB, of which text by its nature uses a small part most.
const OWN: usize = 1 << 14;

/// The table of one thread. A newer entry takes the place of an older one.
pub(super) struct Own(Vec<Line>);

impl Own {
    pub(super) fn new() -> Self {
        Self(vec![Line([EMPTY; 2]); OWN])
    }

    #[inline]
    pub(super) fn get(&self, key: Key, hash: u64) -> Option<&Entry> {
        let Line([newer, older]) = &self.0[slot(hash)];
        // Which of the two it is depends on the text, so no branch guesses it.
        let entry = &[older, newer][usize::from(newer.key == key)];
        (entry.key == key).then_some(entry)
    }

    /// Brings near what `get` will look at; what it gives means nothing.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        self.0[slot(hash)].0[0].key as u32
    }

    /// Whether an entry is there.
    #[inline]
    pub(super) fn has(&self, key: Key, hash: u64) -> bool {
        let Line([newer, older]) = &self.0[slot(hash)];
        (newer.key == key) | (older.key == key)
    }

    #[inline]
    pub(super) fn put(&mut self, hash: u64, entry: Entry) {
        let Line([newer, older]) = &mut self.0[slot(hash)];
        *older = std::mem::replace(newer, entry);
    }
}

#[inline]
fn slot(hash: u64) -> usize {
    (hash as usize >> 7) & (OWN - 1)
}

/// The longest string, and the most ids, of an entry for strings that are no keys by value.
pub(super) const LONG: usize = 40;
const MOST_LONG: usize = 10;

/// The ids of a longer string.
#[derive(Clone)]
struct LongEntry {
    bytes: [u8; LONG],
    len: u8,
    unit: bool,
    count: u8,
    ids: [u32; MOST_LONG],
}

/// Entries of a thread's own table of longer strings.
const OWN_LONG: usize = 8192;

/// Words of more than fifteen bytes: most of those that are not in Latin letters.
pub(super) struct OwnLong(Vec<LongEntry>);

impl OwnLong {
    pub(super) fn new() -> Self {
        let empty = LongEntry {
            bytes: [0; LONG],
            len: 0,
            unit: false,
            count: 0,
            ids: [0; MOST_LONG],
        };
        Self(vec![empty; OWN_LONG])
    }

    #[inline]
    pub(super) fn get(&self, word: &[u8], hash: u64, unit: bool) -> Option<&[u32]> {
        let entry = &self.0[hash as usize & (OWN_LONG - 1)];
        let same = usize::from(entry.len) == word.len()
            && entry.unit == unit
            && entry.bytes.get(..word.len())? == word;
        same.then(|| &entry.ids[..usize::from(entry.count).min(MOST_LONG)])
    }

    pub(super) fn put(&mut self, word: &[u8], hash: u64, unit: bool, ids: &[u32]) {
        if word.len() <= LONG && ids.len() <= MOST_LONG {
            let entry = &mut self.0[hash as usize & (OWN_LONG - 1)];
            entry.bytes[..word.len()].copy_from_slice(word);
            entry.ids[..ids.len()].copy_from_slice(ids);
            entry.len = word.len() as u8;
            entry.unit = unit;
            entry.count = ids.len() as u8;
        }
    }
}

/// Entries of the shared table.
const SHARED: usize = 1 << 15;

/// An entry that threads read without a lock: a reader that meets a writer sees by the version
/// that what it read may be mixed, and takes it for nothing.
#[derive(Default)]
struct Slot {
    /// Odd while a thread writes.
    version: AtomicU32,
    key: [AtomicU64; 2],
    ids: [AtomicU32; MOST],
}

/// The table that all threads share: for strings of several tokens, which took work to find.
pub(super) struct Shared(Vec<Slot>);

impl Shared {
    pub(super) fn new() -> Self {
        Self((0..SHARED).map(|_| Slot::default()).collect())
    }

    fn slot(&self, hash: u64) -> &Slot {
        &self.0[(hash as usize >> 20) & (SHARED - 1)]
    }

    pub(super) fn get(&self, key: Key, hash: u64) -> Option<Entry> {
        let slot = self.slot(hash);
        let before = slot.version.load(Ordering::Acquire);
        if slot.key[0].load(Ordering::Relaxed) != key as u64
            || slot.key[1].load(Ordering::Relaxed) != (key >> 64) as u64
        {
            return None;
        }
        let mut entry = Entry { key, ..EMPTY };
        for (id, shared) in entry.ids.iter_mut().zip(&slot.ids) {
            *id = shared.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let after = slot.version.load(Ordering::Relaxed);
        (before == after && before % 2 == 0).then_some(entry)
    }

    pub(super) fn put(&self, hash: u64, entry: Entry) {
        let slot = self.slot(hash);
        let version = slot.version.load(Ordering::Relaxed);
        // Another writer is at it: its entry is as good.
        if version % 2 != 0
            || slot
                .version
                .compare_exchange(
                    version,
                    version.wrapping_add(1),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_err()
        {
            return;
        }
        fence(Ordering::Release);
        slot.key[0].store(entry.key as u64, Ordering::Relaxed);
        slot.key[1].store((entry.key >> 64) as u64, Ordering::Relaxed);
        for (id, shared) in entry.ids.iter().zip(&slot.ids) {
            shared.store(*id, Ordering::Relaxed);
        }
        slot.version
            .store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_see_whole_entries_or_none() {
        let shared = Shared::new();
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                let shared = &shared;
                scope.spawn(move || {
                    for round in 0..20_000u32 {
                        // Keys of one slot.
                        let n = (round * 7 + thread) % 5 + 1;
                        let key = (Key::from(n) << 64) | Key::from(n);
                        match shared.get(key, 0) {
                            Some(entry) => assert_eq!(entry.ids, [n; MOST]),
                            None => shared.put(0, Entry::new(key, &[n; MOST])),
                        }
                    }
                });
            }
        });
    }
}
