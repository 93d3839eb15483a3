//! Documents made to hurt are refused, or used, in bounded time and memory.

use infeng_tokenizer::Tokenizer;
use serde_json::{json, Value};

mod common;
use common::document;

/// Seconds of CPU time that a document and a text may take.
const MOST_SECONDS: f64 = 20.0;
/// Bytes of memory that this process may ever have had.
const MOST_BYTES: usize = 1 << 30;

/// The document with one value put at a JSON pointer (whose parent exists).
fn with(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
    document
}

/// The CPU time of this thread, so that neighbours do not count.
fn cpu_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = status.split(' ').next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

/// Loads and encodes: how many ids, or the message; asserts what it may cost.
fn bounded(document: &Value, text: &str) -> Result<usize, String> {
    let bytes = document.to_string();
    let start = cpu_seconds();
    let result = Tokenizer::from_bytes(bytes.as_bytes())
        .and_then(|tokenizer| tokenizer.encode(text, false))
        .map(|ids| ids.len())
        .map_err(|error| error.to_string());
    let seconds = cpu_seconds() - start;
    assert!(seconds < MOST_SECONDS, "{seconds} s: {bytes:.300}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib * 1024 < MOST_BYTES, "{kib} KiB: {bytes:.300}");
    if let Err(message) = &result {
        assert!(message.len() < 600 && !message.contains('\n'), "{message}");
    }
    result
}

/// A model whose merges are these.
fn merging(vocab: &[&str], merges: &[(&str, &str)]) -> Value {
    let ids: serde_json::Map<String, Value> = (0..)
        .zip(vocab)
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let mut document = document();
    document["added_tokens"] = json!([]);
    document["post_processor"] = Value::Null;
    document["model"]["vocab"] = Value::Object(ids);
    document["model"]["merges"] = json!(merges);
    document
}

#[test]
fn merges_in_a_circle_end() {
    let long = "ab".repeat(50_000);
    // What a merge makes is what it took, or what makes it.
    type Merging<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let circles: [Merging; 4] = [
        (&["a", "b", ""], &[("a", ""), ("", "a"), ("", "")]),
        (
            &["a", "b", "ab", "aba"],
            &[("ab", "a"), ("a", "b"), ("a", "ba")],
        ),
        (
            &["a", "b", "ab", "abab", "aba"],
            &[("ab", "ab"), ("aba", "b"), ("ab", "a"), ("a", "b")],
        ),
        (
            &["a", "b", "aa", "aaa"],
            &[("aa", "a"), ("a", "aa"), ("a", "a")],
        ),
    ];
    for (vocab, merges) in circles {
        // Either way it ends; each merge leaves one symbol less.
        if let Ok(count) = bounded(&merging(vocab, merges), &long) {
            assert!((1..=long.len()).contains(&count));
        }
    }
    let mut prefixed = merging(
        &["a", "b", "##", "##a", "##b"],
        &[("a", "##"), ("##", "##")],
    );
    prefixed["model"]["continuing_subword_prefix"] = json!("##");
    let _ = bounded(&prefixed, &long);
}

#[test]
fn the_same_merge_a_million_times_is_one() {
    let merges = vec![("a", "b"); 1_000_000];
    let count = bounded(&merging(&["a", "b", "ab"], &merges), "abab");
    assert_eq!(count, Ok(2));
}

#[test]
fn tokens_that_are_there_twice_are_refused() {
    let text = document().to_string();
    let twice = text.replace("\"vocab\":{", "\"vocab\":{\"b\":1,");
    let error = Tokenizer::from_bytes(twice.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("\"b\""), "{error}");
    let token = document()["added_tokens"][0].clone();
    let many = bounded(&with("/added_tokens", json!(vec![token; 100_000])), "a");
    assert!(many.unwrap_err().contains("is listed twice"));
}

#[test]
fn sizes_that_a_document_claims_are_not_believed() {
    let claims = [
        ("/model/vocab/a", json!(1_000_000_000)),
        ("/padding", json!({"strategy": {"Fixed": 1u64 << 40}})),
        (
            "/padding",
            json!({"strategy": "BatchLongest", "direction": "Right",
            "pad_to_multiple_of": 1u64 << 40, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}),
        ),
        (
            "/truncation",
            json!({"max_length": 1u64 << 40, "stride": 1u64 << 39,
            "strategy": "LongestFirst", "direction": "Right"}),
        ),
        // A trie of four gigabytes, of which there are but a few bytes.
        (
            "/normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}),
        ),
        (
            "/normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAAgAAAAAA="}),
        ),
        (
            "/post_processor/special_tokens/cls/ids",
            json!([4_000_000_000u32]),
        ),
    ];
    for (pointer, value) in claims {
        let result = bounded(&with(pointer, value), "abc");
        // A length beyond all texts is allowed: it costs nothing.
        assert!(result.is_err() || pointer == "/truncation", "{pointer}");
    }
}

#[test]
fn regexes_without_end_are_errors() {
    let split = |regex: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": regex},
                           "behavior": "Isolated", "invert": false});
        with("/pre_tokenizer", split)
    };
    let text = "a".repeat(30_000) + "c";
    let mut given_up = Vec::new();
    for regex in [
        "(a*)*b",
        "(a|a)*b",
        "(?:a+)+b",
        "(?=(a+)+b)a",
        "(?>a*)*b",
        "(?:a(?=a)|a(?=.))*b",
    ] {
        // A linear engine may find that nothing matches; one that goes back has its limit.
        given_up.extend(bounded(&split(regex), &text).err());
    }
    assert!(
        given_up.iter().any(|m| m.contains("takes too long")),
        "{given_up:?}"
    );
    for regex in [
        "a{1000000000}".to_owned(),
        "(((((a{999}){999}){999}){999}){999}){999}".to_owned(),
        "((((\\p{L}{99}){99}){99}){99})(?!x)".to_owned(),
        "(".repeat(100_000) + &")".repeat(100_000),
        "[".repeat(100_000),
        "a|".repeat(200_000),
    ] {
        let _ = bounded(&split(&regex), "aaa");
    }
}
