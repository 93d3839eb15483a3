//! The alphabet of byte-level vocabularies: a printable character for each byte.
//!
//! Bytes that print in Latin-1 stand for themselves; the other 68 are written,
//! in order, as the characters from U+0100 on (GPT-2's choice).

/// The characters from U+0100 on that stand for bytes.
const SHIFTED: usize = 68;

const fn prints(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn shifted() -> [u8; SHIFTED] {
    let mut table = [0; SHIFTED];
    let (mut byte, mut n) = (0u16, 0);
    while byte < 256 {
        if !prints(byte as u8) {
            table[n] = byte as u8;
            n += 1;
        }
        byte += 1;
    }
    table
}

static FROM_SHIFTED: [u8; SHIFTED] = shifted();

/// The byte that `c` stands for, if it is of the alphabet.
pub(crate) fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0..=0xFF => Some(code as u8).filter(|b| prints(*b)),
        code => FROM_SHIFTED.get(code as usize - 0x100).copied(),
    }
}

const fn char_table() -> [char; 256] {
    let mut table = ['\0'; 256];
    let (mut byte, mut n) = (0u16, 0);
    while byte < 256 {
        table[byte as usize] = if prints(byte as u8) {
            byte as u8 as char
        } else {
            n += 1;
            match char::from_u32(0xFF + n) {
                Some(c) => c,
                None => unreachable!(),
            }
        };
        byte += 1;
    }
    table
}

static CHARS: [char; 256] = char_table();

/// The character that stands for `byte`.
pub(crate) fn char_of(byte: u8) -> char {
    CHARS[usize::from(byte)]
}

/// The bytes of a token, or none if it has a character outside the alphabet.
pub(crate) fn bytes_of(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut seen = [false; 256];
        for c in '\0'..='\u{FFFF}' {
            if let Some(byte) = byte_of(c) {
                assert!(!seen[usize::from(byte)], "{byte} twice");
                seen[usize::from(byte)] = true;
            }
        }
        assert!(seen.iter().all(|s| *s));
        for byte in 0..=255 {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
    }

    #[test]
    fn known_characters() {
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of('Ń'), Some(0xAD));
        assert_eq!(byte_of(' '), None);
        assert_eq!(bytes_of("ĠaÃ©"), Some(b" a\xC3\xA9".to_vec()));
        assert_eq!(bytes_of("a b"), None);
    }
}
