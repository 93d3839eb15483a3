//! SentencePiece's `precompiled_charsmap`: a trie of texts and what each becomes.
//!
//! Layout: a little-endian u32 with the trie's size in bytes, the trie as a double array of u32,
//! and the replacements, each ended by a NUL. A unit of the trie has its label in bits 0–7, whether
//! a value follows in bit 8, and the offset to its children in bits 10–30, times 256 if bit 9 is set.

use unicode_segmentation::UnicodeSegmentation;

use crate::text::Text;

pub(crate) struct Precompiled {
    trie: Vec<u32>,
    replacements: String,
}

impl Precompiled {
    /// Reads the map, or says what is wrong with it.
    pub(super) fn new(base64: &str) -> Result<Self, String> {
        let bytes = decode_base64(base64).ok_or("is not base64")?;
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or("is too short")?;
        let size = u32::from_le_bytes(*size) as usize;
        if size % 4 != 0 || size > rest.len() || size == 0 {
            return Err(format!("states a trie of {size} bytes in {}", rest.len()));
        }
        let (trie, replacements) = rest.split_at(size);
        let replacements = String::from_utf8(replacements.to_vec())
            .map_err(|_| "has replacements that are not UTF-8")?;
        let trie = trie
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        Ok(Self { trie, replacements })
    }

    pub(super) fn apply(&self, text: &mut Text) {
        let old = text.as_str().to_owned();
        let mut new: Vec<(char, isize)> = Vec::with_capacity(old.len());
        let mut changed = false;
        for cluster in old.graphemes(true) {
            // Long clusters are looked at by character: the reference's rule.
            if cluster.len() < 6 {
                if let Some(with) = self.get(cluster) {
                    changed = true;
                    replace(&mut new, cluster.chars().count(), with);
                    continue;
                }
            }
            for c in cluster.chars() {
                match self.get(c.encode_utf8(&mut [0; 4])) {
                    Some(with) => {
                        changed = true;
                        replace(&mut new, 1, with);
                    }
                    None => new.push((c, 0)),
                }
            }
        }
        if changed {
            text.transform(new.into_iter(), 0);
        }
    }

    /// The replacement of the shortest beginning of `part` that has one.
    fn get(&self, part: &str) -> Option<&str> {
        let mut at = offset(*self.trie.first()?);
        for byte in part.bytes() {
            if byte == 0 {
                return None;
            }
            at ^= usize::from(byte);
            let unit = *self.trie.get(at)?;
            if unit & ((1 << 31) | 0xFF) != u32::from(byte) {
                return None;
            }
            at ^= offset(unit);
            if (unit >> 8) & 1 == 1 {
                let start = (self.trie.get(at)? & !(1 << 31)) as usize;
                let rest = self.replacements.get(start..)?;
                return rest.split('\0').next();
            }
        }
        None
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

/// Adds `with` in place of `count` characters. The reference looks back over all that was added
/// before when it marks insertions and deletions, and so do we.
fn replace(new: &mut Vec<(char, isize)>, count: usize, with: &str) {
    let before = new.len();
    new.extend(with.chars().map(|c| (c, 0)));
    let difference = (new.len() - before) as isize - count as isize;
    if difference > 0 {
        for (_, change) in new.iter_mut().rev().take(difference as usize) {
            *change = 1;
        }
    } else if let Some((_, change)) = new.last_mut() {
        *change += difference;
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for chunk in text.chunks(4) {
        let mut bits = 0u32;
        for &c in chunk {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = (bits << 6) | u32::from(value);
        }
        match chunk.len() {
            4 => bytes.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
            2 => bytes.push((bits >> 4) as u8),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        assert_eq!(decode_base64("TWFu").unwrap(), b"Man");
        assert_eq!(decode_base64("TWE=").unwrap(), b"Ma");
        assert_eq!(decode_base64("TQ==").unwrap(), b"M");
        assert_eq!(decode_base64("").unwrap(), b"");
        assert_eq!(decode_base64("T"), None);
        assert_eq!(decode_base64("T W="), None);
    }

    #[test]
    fn damaged_maps_are_refused() {
        for (map, problem) in [
            ("!", "is not base64"),
            ("AAA=", "is too short"),
            ("/wAAAA==", "states a trie of 255 bytes in 0"),
        ] {
            assert_eq!(Precompiled::new(map).err().unwrap(), problem);
        }
    }
}
