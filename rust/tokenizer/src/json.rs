//! tokenizer.json as a tree that keeps order and refuses duplicate keys, and
//! views of it that know their path for error messages.
//!
//! `serde_json::Value` would let the last of two equal keys win in silence.

use std::collections::HashSet;
use std::fmt;

use serde_core::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{quote, Error};

#[derive(Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Negative or fractional.
    Number(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|e| Error::Json {
            problem: e.to_string(),
        })
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        let mut seen = HashSet::with_capacity(entries.len());
        if let Some((key, _)) = entries.iter().find(|(key, _)| !seen.insert(key.as_str())) {
            return Err(A::Error::custom(format_args!(
                "duplicate key {}",
                quote(key)
            )));
        }
        Ok(Json::Object(entries))
    }
}

static NULL: Json = Json::Null;

/// A value and the path that leads to it.
pub(crate) struct Node<'a> {
    pub(crate) path: String,
    pub(crate) value: &'a Json,
}

impl<'a> Node<'a> {
    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        Error::field(self.path.as_str(), problem)
    }

    fn mismatch(&self, expected: &str) -> Error {
        self.error(match self.value {
            Json::Null => format!("is missing: {expected} is needed"),
            other => format!("is {} where {expected} is needed", other.kind()),
        })
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Json::Null)
    }

    pub(crate) fn string(&self) -> Result<&'a str, Error> {
        match self.value {
            Json::String(s) => Ok(s),
            _ => Err(self.mismatch("a string")),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, Error> {
        match self.value {
            Json::Bool(b) => Ok(*b),
            _ => Err(self.mismatch("true or false")),
        }
    }

    pub(crate) fn bool_or(&self, default: bool) -> Result<bool, Error> {
        if self.is_null() {
            Ok(default)
        } else {
            self.bool()
        }
    }

    /// A token id.
    pub(crate) fn id(&self) -> Result<u32, Error> {
        id_of(self.value).ok_or_else(|| self.mismatch(ID_EXPECTED))
    }

    pub(crate) fn array(&self) -> Result<&'a [Json], Error> {
        match self.value {
            Json::Array(items) => Ok(items),
            _ => Err(self.mismatch("an array")),
        }
    }

    /// The array's items as nodes.
    pub(crate) fn items(&self) -> Result<impl Iterator<Item = Node<'a>> + use<'a, '_>, Error> {
        Ok(self.array()?.iter().enumerate().map(|(i, value)| Node {
            path: format!("{}[{i}]", self.path),
            value,
        }))
    }

    pub(crate) fn entries(&self) -> Result<&'a [(String, Json)], Error> {
        match self.value {
            Json::Object(entries) => Ok(entries),
            _ => Err(self.mismatch("an object")),
        }
    }

    /// The field `name` of this object; null when absent.
    pub(crate) fn get(&self, name: &str) -> Result<Node<'a>, Error> {
        let value = self
            .entries()?
            .iter()
            .find(|(key, _)| key == name)
            .map_or(&NULL, |(_, value)| value);
        Ok(Node {
            path: join(&self.path, name),
            value,
        })
    }

    /// Refuses fields that this version would ignore.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self
            .entries()?
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(self.error(format!("unknown field {}", quote(key)))),
        }
    }

    /// As `only`, beside `type`.
    pub(crate) fn only_typed(&self, known: &[&str]) -> Result<(), Error> {
        match self
            .entries()?
            .iter()
            .find(|(key, _)| key != "type" && !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(self.error(format!("unknown field {}", quote(key)))),
        }
    }

    /// A string, or none for null.
    pub(crate) fn optional_string(&self) -> Result<Option<&'a str>, Error> {
        if self.is_null() {
            Ok(None)
        } else {
            self.string().map(Some)
        }
    }

    /// One character.
    pub(crate) fn char(&self) -> Result<char, Error> {
        let mut chars = self.string()?.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err(self.error("is not one character")),
        }
    }

    /// A whole number, not negative, that fits in memory.
    pub(crate) fn count(&self) -> Result<usize, Error> {
        match self.value {
            Json::Unsigned(n) => Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
            _ => Err(self.mismatch("a whole number")),
        }
    }

    /// Any 32-bit whole number, which need not be an id of the vocabulary.
    pub(crate) fn u32(&self) -> Result<u32, Error> {
        u32::try_from(self.count()?).map_err(|_| self.mismatch("a number below 2^32"))
    }

    /// A number.
    pub(crate) fn f64(&self) -> Result<f64, Error> {
        match self.value {
            Json::Unsigned(n) => Ok(*n as f64),
            Json::Number(n) => Ok(*n),
            _ => Err(self.mismatch("a number")),
        }
    }
}

/// Ids above this are refused, since tables are as long as the greatest id.
pub(crate) const MAX_ID: u32 = (1 << 22) - 1;

pub(crate) const ID_EXPECTED: &str = "an id from 0 to 4194303";

pub(crate) fn id_of(value: &Json) -> Option<u32> {
    match value {
        Json::Unsigned(n) => u32::try_from(*n).ok().filter(|id| *id <= MAX_ID),
        _ => None,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        let error = Json::parse(br#"{"a": [{"b": 1, "c": 2, "b": 3}]}"#).unwrap_err();
        assert!(error.to_string().contains("duplicate key \"b\""), "{error}");
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        let deep = "[".repeat(1_000_000);
        let error = Json::parse(deep.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }

    #[test]
    fn messages_name_the_path() {
        let tree = Json::parse(br#"{"a": {"b": "x"}, "n": -1}"#).unwrap();
        let root = Node {
            path: String::new(),
            value: &tree,
        };
        let b = root.get("a").unwrap().get("b").unwrap();
        assert_eq!(
            b.bool().unwrap_err().to_string(),
            "a.b: is a string where true or false is needed"
        );
        let n = root.get("n").unwrap();
        assert_eq!(
            n.id().unwrap_err().to_string(),
            "n: is a number where an id from 0 to 4194303 is needed"
        );
        assert_eq!(
            root.get("z").unwrap().string().unwrap_err().to_string(),
            "z: is missing: a string is needed"
        );
    }
}
