//! What was encoded before: a small table of each thread, and a larger one that all share.

use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

use super::words::{Key, NONE, SHORT};
use crate::near::near;

/// How many ids an entry holds.
pub(super) const MOST: usize = 4;

/// The ids of a short string: half a cache line.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// 0: nothing.
    pub(super) key: Key,
    /// Then `NONE`. In a thread's own table the last may be `MANY` and the number of ids.
    pub(super) ids: [u32; MOST],
}

pub(super) const EMPTY: Entry = Entry {
    key: 0,
    ids: [NONE; MOST],
};

/// In place of an entry's last id: more than it holds, of which those from there on are elsewhere.
const MANY: u32 = 1 << 31;
const ELSEWHERE: usize = SHORT - (MOST - 1);

impl Entry {
    pub(super) fn new(key: Key, ids: &[u32]) -> Self {
        let mut entry = Self { key, ..EMPTY };
        entry.ids[..ids.len()].copy_from_slice(ids);
        entry
    }

    /// How many ids there are, if they are more than it holds.
    #[inline]
    fn many(&self) -> Option<usize> {
        let last = self.ids[MOST - 1];
        (last & MANY != 0 && last != NONE).then_some((last & !MANY) as usize)
    }

    /// How many ids it holds.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.ids.iter().filter(|id| **id != NONE).count()
    }

    #[inline]
    pub(super) fn push_to(&self, out: &mut Vec<u32>) {
        // All, and those that are none away again: no branch has to guess how many.
        let len = out.len() + self.count();
        out.extend_from_slice(&self.ids);
        out.truncate(len);
    }
}

/// Two entries that share a cache line, the newer one first.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([Entry; 2]);

/// Lines of a thread's own table: 2 MB, of which text by its nature uses a small part most.
const OWN: usize = 1 << 15;

/// The table of one thread. A newer entry takes the place of an older one.
pub(super) struct Own {
    lines: Vec<Line>,
    /// For each entry the ids that it does not hold itself.
    elsewhere: Vec<[u32; ELSEWHERE]>,
}

impl Own {
    pub(super) fn new() -> Self {
        Self {
            lines: vec![Line([EMPTY; 2]); OWN],
            elsewhere: vec![[0; ELSEWHERE]; 2 * OWN],
        }
    }

    /// The entry of a string, if it is there and holds all ids.
    #[inline]
    pub(super) fn few(&self, key: Key, hash: u64) -> Option<&Entry> {
        let Line([newer, older]) = &self.lines[slot(hash)];
        // Which of the two it is depends on the text, so no branch guesses it.
        let entry = [newer, older][usize::from(newer.key != key)];
        (entry.key == key && entry.many().is_none() && key != 0).then_some(entry)
    }

    /// Appends the ids of a string, if they are there.
    #[inline]
    pub(super) fn append(&self, key: Key, hash: u64, out: &mut Vec<u32>) -> bool {
        let slot = slot(hash);
        let Line([newer, older]) = &self.lines[slot];
        let way = usize::from(newer.key != key);
        let entry = [newer, older][way];
        if entry.key != key {
            return false;
        }
        entry.push_to(out);
        if let Some(count) = entry.many() {
            out.truncate(out.len() - 1);
            let rest = &self.elsewhere[2 * slot + way];
            out.extend_from_slice(&rest[..(count - (MOST - 1)).min(ELSEWHERE)]);
        }
        true
    }

    /// Brings near what `append` will look at.
    #[inline]
    pub(super) fn near(&self, hash: u64) {
        near(&self.lines, slot(hash));
    }

    /// Whether an entry is there.
    #[inline]
    pub(super) fn has(&self, key: Key, hash: u64) -> bool {
        let Line([newer, older]) = &self.lines[slot(hash)];
        (newer.key == key) | (older.key == key)
    }

    /// Keeps an entry of the shared table.
    #[inline]
    pub(super) fn put_entry(&mut self, hash: u64, entry: Entry) {
        let slot = slot(hash);
        self.make_room(slot);
        self.lines[slot].0[0] = entry;
    }

    /// Moves the newer entry of a line to the place of the older.
    #[inline]
    fn make_room(&mut self, slot: usize) {
        let Line([newer, older]) = &mut self.lines[slot];
        if newer.many().is_some() {
            self.elsewhere[2 * slot + 1] = self.elsewhere[2 * slot];
        }
        *older = *newer;
    }

    /// Keeps the ids of a string; they are not more than its bytes.
    #[inline]
    pub(super) fn put(&mut self, key: Key, hash: u64, ids: &[u32]) {
        let slot = slot(hash);
        self.make_room(slot);
        let newer = &mut self.lines[slot].0[0];
        if ids.len() <= MOST {
            *newer = Entry::new(key, ids);
        } else if let (Some(first), Some(rest)) = (
            ids.get(..MOST - 1),
            self.elsewhere[2 * slot].get_mut(..ids.len() - (MOST - 1)),
        ) {
            *newer = Entry::new(key, first);
            newer.ids[MOST - 1] = MANY | ids.len() as u32;
            rest.copy_from_slice(&ids[MOST - 1..]);
        }
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

    /// Brings near what `get` will look at.
    #[inline]
    pub(super) fn near(&self, hash: u64) {
        near(&self.0, Self::place(hash));
    }

    fn slot(&self, hash: u64) -> &Slot {
        &self.0[Self::place(hash)]
    }

    fn place(hash: u64) -> usize {
        (hash as usize >> 20) & (SHARED - 1)
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

    /// Keeps up to `MOST` ids.
    pub(super) fn put(&self, hash: u64, key: Key, ids: &[u32]) {
        let entry = Entry::new(key, ids);
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
    fn own_entries_keep_as_many_ids_as_a_string_has_bytes() {
        let mut own = Own::new();
        let ids: Vec<u32> = (0..SHORT as u32).collect();
        // Of one line, so that each takes the place of the one before the last.
        for count in (1..=SHORT).chain((1..=SHORT).rev()) {
            let get = |own: &Own, key| {
                let mut out = vec![77];
                own.append(key, 0, &mut out).then_some(out)
            };
            own.put(count as Key, 0, &ids[..count]);
            let expected = |count: usize| Some([&[77], &ids[..count]].concat());
            assert_eq!(get(&own, count as Key), expected(count));
            for other in (1..=SHORT).filter(|other| *other != count) {
                let found = get(&own, other as Key);
                assert!(found.is_none() || found == expected(other));
                assert_eq!(found.is_some(), own.has(other as Key, 0));
            }
        }
    }

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
                            None => shared.put(0, key, &[n; MOST]),
                        }
                    }
                });
            }
        });
    }
}
