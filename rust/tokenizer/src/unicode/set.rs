//! Sets of code points, for the classes of regular expressions.

use super::classes::{LETTER, NUMBER, REGEX_WORD, SPACE};
use super::{categories, scripts};

const LAST: u32 = 0x10FFFF;

/// Sorted inclusive ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set(Vec<(u32, u32)>);

impl Set {
    pub(crate) fn of(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    #[cfg(test)]
    fn contains(&self, code: u32) -> bool {
        let at = self.0.partition_point(|range| range.1 < code);
        self.0.get(at).is_some_and(|range| range.0 <= code)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied())
    }

    pub(crate) fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = 0;
        for &(first, last) in &self.0 {
            if next < first {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        Self(gaps)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.complement().union(&other.complement()).complement()
    }

    pub(crate) fn space() -> Self {
        flat(SPACE)
    }

    pub(crate) fn word() -> Self {
        flat(REGEX_WORD)
    }

    /// A general category, a group of them, or a script, by its name in a regex.
    pub(crate) fn property(name: &str) -> Option<Self> {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, ' ' | '_' | '-'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let group = match plain.as_str() {
            "l" | "letter" => return Some(flat(LETTER)),
            "n" | "number" => return Some(flat(NUMBER)),
            "any" => return Some(Self(vec![(0, LAST)])),
            "m" | "mark" => "M",
            "p" | "punctuation" => "P",
            "s" | "symbol" => "S",
            "z" | "separator" => "Z",
            "c" | "other" => "C",
            _ => "",
        };
        let mut found = false;
        let mut ranges = Vec::new();
        for name in categories::NAMES {
            let wanted = if group.is_empty() {
                name.eq_ignore_ascii_case(&plain)
            } else {
                name.starts_with(group)
            };
            if wanted {
                found = true;
                ranges.extend(category(name));
            }
        }
        for (index, name) in scripts::NAMES.iter().enumerate() {
            if name.eq_ignore_ascii_case(&plain) {
                found = true;
                ranges.extend(labelled(scripts::STARTS, 8, index));
            }
        }
        found.then(|| Self::of(ranges))
    }
}

fn flat(table: &[u32]) -> Set {
    Set::of(table.chunks_exact(2).map(|range| (range[0], range[1])))
}

/// The ranges of a general category.
pub(super) fn category(name: &str) -> impl Iterator<Item = (u32, u32)> {
    let index = categories::NAMES.iter().position(|known| *known == name);
    labelled(categories::STARTS, 5, index.unwrap_or(usize::MAX))
}

fn labelled(starts: &'static [u32], bits: u32, index: usize) -> impl Iterator<Item = (u32, u32)> {
    let mask = (1 << bits) - 1;
    starts.iter().enumerate().filter_map(move |(i, entry)| {
        let last = starts.get(i + 1).map_or(LAST, |next| (next >> bits) - 1);
        ((entry & mask) as usize == index).then_some((entry >> bits, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algebra() {
        let set = Set::of([(5, 9), (1, 2), (3, 3), (8, 12)]);
        assert_eq!(set.ranges(), [(1, 3), (5, 12)]);
        assert_eq!(set.complement().ranges(), [(0, 0), (4, 4), (13, LAST)]);
        assert_eq!(set.complement().complement(), set);
        assert_eq!(
            set.intersection(&Set::of([(2, 6)])).ranges(),
            [(2, 3), (5, 6)]
        );
        assert!(set.contains(12) && !set.contains(4));
    }

    #[test]
    fn properties() {
        let letters = Set::property("L").unwrap();
        let parts = ["Lu", "Ll", "Lt", "Lm", "Lo"]
            .map(|name| Set::property(name).unwrap())
            .iter()
            .fold(Set::default(), |all, part| all.union(part));
        assert_eq!(letters, parts);
        assert!(Set::property("Han").unwrap().contains(0x6F22));
        assert_eq!(Set::property("Klingon"), None);
    }
}
