//! Regular expressions as the reference's engine (Oniguruma, Ruby syntax) reads them.
//!
//! A pattern is read here and written anew for the `fancy-regex` crate, with each class of
//! characters as explicit ranges: so the reference's tables of Unicode apply, and what is not
//! the same in both engines is refused by name instead of meaning something else.

use std::ops::Range;

use fancy_regex::{Regex as Engine, RegexBuilder};

use crate::error::{quote, Error};
use crate::unicode::set::Set;

/// Steps that one search may take. Beyond, the pattern is held to be catastrophic.
const MAX_STEPS: usize = 2_000_000;

/// The longest pattern; the known ones have some hundred bytes.
const LONGEST: usize = 10_000;

pub(crate) struct Regex(Engine);

impl Regex {
    /// Compiles a pattern, or says what in it is not supported.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > LONGEST {
            return Err(format!("a pattern of {} bytes is too long", pattern.len()));
        }
        let mut reader = Reader {
            rest: pattern,
            out: String::new(),
            depth: 0,
        };
        reader.alternatives(false)?;
        if !reader.rest.is_empty() {
            return Err("unmatched )".to_owned());
        }
        RegexBuilder::new(&reader.out)
            .backtrack_limit(MAX_STEPS)
            .build()
            .map(Self)
            .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())
    }

    /// Calls `emit` with each match, in order; empty ones too, but not right after another match.
    pub(crate) fn matches(
        &self,
        text: &str,
        emit: &mut dyn FnMut(Range<usize>),
    ) -> Result<(), Error> {
        let (mut from, mut last_end) = (0, None);
        while from <= text.len() {
            let found = self.0.find_from_pos(text, from).map_err(|_| Error::Text {
                problem: format!("the split pattern takes too long from byte {from} on"),
            })?;
            let Some(found) = found else { break };
            if found.start() == found.end() && last_end == Some(found.end()) {
                from += text[from..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            from = found.end();
            last_end = Some(found.end());
            emit(found.start()..found.end());
        }
        Ok(())
    }
}

/// Writes a set as a class.
fn write_set(set: &Set, out: &mut String) {
    use std::fmt::Write;
    out.push('[');
    let mut any = false;
    for &(first, last) in set.ranges() {
        // Surrogates are no characters.
        for (first, last) in [(first, last.min(0xD7FF)), (first.max(0xE000), last)] {
            if first <= last {
                any = true;
                let _ = write!(out, "\\x{{{first:X}}}-\\x{{{last:X}}}");
            }
        }
    }
    if any {
        out.push(']');
    } else {
        out.pop();
        out.push_str("(?!)");
    }
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, what: &str) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Up to the end or an unmatched `)`, which is left.
    fn alternatives(&mut self, mut fold: bool) -> Result<(), String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("groups are nested too deep".to_owned());
        }
        let mut before: Option<char> = None;
        while let Some(c) = self.peek() {
            if c == ')' {
                break;
            }
            self.next();
            if c == '|' {
                self.out.push('|');
                before = None;
                continue;
            }
            if c == '(' && self.rest.starts_with("?i)") {
                // As in Ruby, it reaches to the end of the group and over its alternatives.
                self.eat("?i)");
                if before.is_some() || self.out.ends_with('|') {
                    return Err("(?i) within a pattern is not supported".to_owned());
                }
                fold = true;
                continue;
            }
            let literal = self.item(c, fold)?;
            if let (true, Some(pair)) = (fold, before.zip(literal)) {
                if folds_as_one(pair) {
                    let pair: String = [pair.0, pair.1].iter().collect();
                    return Err(format!("{} without case is not supported", quote(&pair)));
                }
            }
            before = if self.quantifier()? { None } else { literal };
        }
        self.depth -= 1;
        Ok(())
    }

    /// One item that begins with `c`; the character if it is a plain one.
    fn item(&mut self, c: char, fold: bool) -> Result<Option<char>, String> {
        match c {
            '(' => {
                let mut fold = fold;
                if self.eat("?i:") {
                    fold = true;
                    self.out.push_str("(?:");
                } else if self.eat("?-i:") {
                    fold = false;
                    self.out.push_str("(?:");
                } else {
                    let kinds = ["?:", "?=", "?!", "?<=", "?<!", "?>"];
                    match kinds.iter().find(|kind| self.rest.starts_with(**kind)) {
                        Some(kind) => {
                            self.eat(kind);
                            self.out.push('(');
                            self.out.push_str(kind);
                        }
                        None if self.rest.starts_with('?') => {
                            let kind: String = self.rest.chars().take(3).collect();
                            return Err(format!(
                                "group {} is not supported",
                                quote(&format!("({kind}"))
                            ));
                        }
                        None => self.out.push_str("(?:"),
                    }
                }
                self.alternatives(fold)?;
                if self.next() != Some(')') {
                    return Err("a group is not closed".to_owned());
                }
                self.out.push(')');
                Ok(None)
            }
            '[' => {
                let set = self.class(fold)?;
                write_set(&set, &mut self.out);
                Ok(None)
            }
            '.' => {
                write_set(&Set::of([(10, 10)]).complement(), &mut self.out);
                Ok(None)
            }
            '^' => {
                self.out.push_str(r"(?m:^)");
                Ok(None)
            }
            '$' => {
                self.out.push_str(r"(?m:$)");
                Ok(None)
            }
            '\\' => {
                let boundary = match self.peek() {
                    Some('A') => Some(r"\A".to_owned()),
                    Some('z') => Some(r"\z".to_owned()),
                    Some('Z') => Some(r"(?=\n?\z)".to_owned()),
                    Some(c @ ('b' | 'B')) => {
                        let mut word = String::new();
                        write_set(&Set::word(), &mut word);
                        let (here, there) = if c == 'b' { ("!", "=") } else { ("=", "!") };
                        Some(format!(
                            "(?:(?<={word})(?{here}{word})|(?<!{word})(?{there}{word}))"
                        ))
                    }
                    _ => None,
                };
                if let Some(boundary) = boundary {
                    self.next();
                    self.out.push_str(&boundary);
                    return Ok(None);
                }
                match self.escape()? {
                    Escape::Set(set) => {
                        write_set(&set, &mut self.out);
                        Ok(None)
                    }
                    Escape::Char(c) => self.literal(c, fold).map(Some),
                }
            }
            '*' | '+' | '?' => Err(format!("nothing to repeat before {c:?}")),
            c => self.literal(c, fold).map(Some),
        }
    }

    fn literal(&mut self, c: char, fold: bool) -> Result<char, String> {
        let code = u32::from(c);
        let set = Set::of([(code, code)]);
        write_set(&if fold { without_case(&set)? } else { set }, &mut self.out);
        Ok(c)
    }

    /// What repeats the item before it.
    fn quantifier(&mut self) -> Result<bool, String> {
        let mut found = false;
        if let Some(c @ ('*' | '+' | '?')) = self.peek() {
            self.next();
            self.out.push(c);
            found = true;
            if let Some(mode @ ('?' | '+')) = self.peek() {
                self.next();
                self.out.push(mode);
            }
        } else if let Some(range) = self.counted() {
            self.out.push_str(&range);
            found = true;
            match self.peek() {
                // In Ruby these have other meanings after a count.
                Some('+') => return Err("possessive {} is not supported".to_owned()),
                Some('?') if !range.contains(',') => {
                    return Err("{n}? is not supported".to_owned());
                }
                Some('?') => {
                    self.next();
                    self.out.push('?');
                }
                _ => {}
            }
        }
        if found && (matches!(self.peek(), Some('*' | '+' | '?')) || self.counted().is_some()) {
            return Err("a repeated repetition is not supported".to_owned());
        }
        Ok(found)
    }

    /// `{n}`, `{n,}`, `{,m}`, `{n,m}`; a brace that is none of them is a plain character.
    fn counted(&mut self) -> Option<String> {
        let (inside, rest) = self.rest.strip_prefix('{')?.split_once('}')?;
        let (low, high) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |part: &str| part.len() < 5 && part.bytes().all(|b| b.is_ascii_digit());
        if !number(low) || !number(high) || (low.is_empty() && high.is_empty()) {
            return None;
        }
        self.rest = rest;
        let low = if low.is_empty() { "0" } else { low };
        Some(if inside.contains(',') {
            format!("{{{low},{high}}}")
        } else {
            format!("{{{low}}}")
        })
    }

    fn escape(&mut self) -> Result<Escape, String> {
        let Some(c) = self.next() else {
            return Err(r"\ at the end".to_owned());
        };
        let digits = Set::of([(0x30, 0x39)]);
        Ok(match c {
            's' => Escape::Set(Set::space()),
            'S' => Escape::Set(Set::space().complement()),
            'w' => Escape::Set(Set::word()),
            'W' => Escape::Set(Set::word().complement()),
            'd' => Escape::Set(Set::property("Nd").unwrap_or_default()),
            'D' => Escape::Set(Set::property("Nd").unwrap_or_default().complement()),
            'h' => Escape::Set(digits.union(&Set::of([(0x41, 0x46), (0x61, 0x66)]))),
            'p' | 'P' => {
                let closed = self
                    .rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.split_once('}'));
                let Some((name, rest)) = closed else {
                    return Err(format!(r"\{c} without {{}} is not supported"));
                };
                self.rest = rest;
                let (name, negated) = match name.strip_prefix('^') {
                    Some(name) => (name, c == 'p'),
                    None => (name, c == 'P'),
                };
                let set = Set::property(name)
                    .ok_or_else(|| format!(r"property {} is not supported", quote(name)))?;
                Escape::Set(if negated { set.complement() } else { set })
            }
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            't' => Escape::Char('\t'),
            'f' => Escape::Char('\x0C'),
            'v' => Escape::Char('\x0B'),
            'a' => Escape::Char('\x07'),
            'e' => Escape::Char('\x1B'),
            'x' | 'u' => Escape::Char(self.hexadecimal(c)?),
            c if c.is_ascii_alphanumeric() => {
                return Err(format!(r"\{c} is not supported"));
            }
            c => Escape::Char(c),
        })
    }

    fn hexadecimal(&mut self, kind: char) -> Result<char, String> {
        let digits = match self.rest.strip_prefix('{') {
            Some(rest) if kind == 'x' => {
                let (digits, rest) = rest.split_once('}').ok_or(r"\x{ is not closed")?;
                self.rest = rest;
                digits
            }
            _ => {
                let count = if kind == 'x' { 2 } else { 4 };
                let digits = self.rest.get(..count).ok_or(r"\x without digits")?;
                self.rest = &self.rest[count..];
                digits
            }
        };
        let code =
            u32::from_str_radix(digits, 16).map_err(|_| format!("{digits:?} is no number"))?;
        // A byte above 0x7F would be one of UTF-8 and not a code point.
        if kind == 'x' && digits.len() == 2 && code > 0x7F {
            return Err(format!(r"\x{digits} is not supported"));
        }
        char::from_u32(code).ok_or_else(|| format!("U+{code:04X} is no character"))
    }

    /// The rest of a class after its `[`.
    fn class(&mut self, fold: bool) -> Result<Set, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("classes are nested too deep".to_owned());
        }
        let negated = self.eat("^");
        let mut all: Option<Set> = None;
        let mut set = Set::default();
        let mut first = true;
        loop {
            if self.rest.starts_with("[:") {
                return Err("POSIX classes like [:alpha:] are not supported".to_owned());
            }
            if self.eat("&&") {
                all = Some(all.map_or(set.clone(), |all| all.intersection(&set)));
                set = Set::default();
                first = false;
                continue;
            }
            let low = match self.next() {
                None => return Err("a class is not closed".to_owned()),
                Some(']') if !first => break,
                Some('[') => {
                    set = set.union(&self.class(fold)?);
                    first = false;
                    continue;
                }
                Some('\\') => match self.escape_in_class()? {
                    Escape::Set(part) => {
                        set = set.union(&part);
                        first = false;
                        continue;
                    }
                    Escape::Char(c) => c,
                },
                Some(c) => c,
            };
            first = false;
            let ahead = self
                .rest
                .strip_prefix('-')
                .and_then(|rest| rest.chars().next());
            let high = match ahead {
                None | Some(']') => low,
                Some('[') => return Err("a range up to a class is not supported".to_owned()),
                Some(_) => {
                    self.next();
                    match self.next() {
                        Some('\\') => match self.escape_in_class()? {
                            Escape::Char(c) => c,
                            Escape::Set(_) => {
                                return Err("a range up to a class is not supported".to_owned());
                            }
                        },
                        Some(c) => c,
                        None => return Err("a class is not closed".to_owned()),
                    }
                }
            };
            if high < low {
                return Err(format!("range {low:?}-{high:?} is empty"));
            }
            let part = Set::of([(u32::from(low), u32::from(high))]);
            set = set.union(&if fold { without_case(&part)? } else { part });
        }
        if let Some(all) = all {
            set = all.intersection(&set);
        }
        self.depth -= 1;
        Ok(if negated { set.complement() } else { set })
    }

    fn escape_in_class(&mut self) -> Result<Escape, String> {
        if self.eat("b") {
            return Ok(Escape::Char('\x08'));
        }
        self.escape()
    }
}

enum Escape {
    Char(char),
    Set(Set),
}

/// The set with the other case of each letter. Only ASCII letters have their partners here.
fn without_case(set: &Set) -> Result<Set, String> {
    let mut all = set.clone();
    for &(first, last) in set.ranges() {
        for code in first..=last {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            if c.is_ascii_alphabetic() {
                let other = u32::from(c) ^ 0x20;
                all = all.union(&Set::of([(other, other)]));
                // The long s and the Kelvin sign.
                if let Some(code) = match c.to_ascii_lowercase() {
                    's' => Some(0x17F),
                    'k' => Some(0x212A),
                    _ => None,
                } {
                    all = all.union(&Set::of([(code, code)]));
                }
            } else if c.is_alphabetic() {
                return Err(format!("{c:?} without case is not supported"));
            }
        }
    }
    Ok(all)
}

/// Whether two letters without case also match one character, like ß for ss.
fn folds_as_one(pair: (char, char)) -> bool {
    let pair = (pair.0.to_ascii_lowercase(), pair.1.to_ascii_lowercase());
    matches!(
        pair,
        ('s', 's' | 't')
            | ('f', 'f' | 'i' | 'l')
            | ('\'' | 'ʼ', 'n')
            | (
                'i' | 'j' | 'h' | 't' | 'w' | 'y' | 'a',
                '\u{307}'..='\u{331}' | 'ʾ'
            )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Regex::new(pattern)
            .unwrap()
            .matches(text, &mut |range| found.push(text[range].to_owned()))
            .unwrap();
        found
    }

    #[test]
    fn matches_are_those_of_ruby() {
        assert_eq!(find(r"\p{L}+|\p{N}", "ab12 é"), ["ab", "1", "2", "é"]);
        assert_eq!(find(r"[^\s\p{^Lu}]", "aB C"), ["B", "C"]);
        assert_eq!(find(r"[a-z&&[^aeiou]]+", "hello"), ["h", "ll"]);
        assert_eq!(find(r"(?i:'s|'re)", "'S 're 'ſ"), ["'S", "'re", "'ſ"]);
        assert_eq!(find(r"^.|.$", "ab\ncd"), ["a", "b", "c", "d"]);
        assert_eq!(find(r"\bx{,2}?", "x"), ["", ""]);
        assert_eq!(find(r"a{2}b|{", "aab{"), ["aab", "{"]);
        assert_eq!(find(r"[]a]+", "a]"), ["a]"]);
        assert_eq!(find(r"\s+(?!\S)|\s", "a  b"), [" ", " "]);
    }

    #[test]
    fn what_differs_is_refused_by_name() {
        for (pattern, problem) in [
            (r"\p{Klingon}", "property \"Klingon\" is not supported"),
            (r"(a)\1", r"\1 is not supported"),
            (
                "[[:alpha:]]",
                "POSIX classes like [:alpha:] are not supported",
            ),
            ("(?i:straße)", "\"st\" without case is not supported"),
            ("(?i:é)", "'é' without case is not supported"),
            ("(?<n>a)", "group \"(?<n\" is not supported"),
            ("(a", "a group is not closed"),
            ("a)", "unmatched )"),
            ("[a", "a class is not closed"),
            ("a{2}+", "possessive {} is not supported"),
            ("a+*", "a repeated repetition is not supported"),
            (r"\", r"\ at the end"),
        ] {
            assert_eq!(Regex::new(pattern).err().unwrap(), problem, "{pattern}");
        }
        assert!(Regex::new(&"(".repeat(5000)).is_err());
        assert!(Regex::new(&"a".repeat(20_000)).is_err());
    }

    #[test]
    fn a_catastrophic_pattern_ends() {
        let regex = Regex::new(r"(?:(?=a)a+)+b(?=c)").unwrap();
        let text = "a".repeat(60);
        let error = regex.matches(&text, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("takes too long"), "{error}");
    }
}
