//! Encoding and decoding with a small tokenizer whose every id is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use infeng_tokenizer::{DecodeStream, Error, Tokenizer};
use serde_json::{json, Value};

mod common;
use common::document;

fn load(document: &Value) -> Tokenizer {
    Tokenizer::from_bytes(document.to_string().as_bytes()).unwrap()
}

#[test]
fn merges_go_by_rank() {
    let tokenizer = load(&document());
    assert_eq!(tokenizer.encode("abcab ab", false).unwrap(), [5, 4, 3, 4]);
    assert_eq!(tokenizer.encode("", true).unwrap(), [7]);
    assert_eq!(tokenizer.encode("a<s>b", true).unwrap(), [7, 0, 7, 1]);
}

#[test]
fn a_byte_without_a_token_is_dropped_and_its_neighbours_merge() {
    let tokenizer = load(&document());
    assert_eq!(tokenizer.encode("axb", false).unwrap(), [4]);
    assert_eq!(tokenizer.encode("é", false).unwrap(), [6]);
}

#[test]
fn unk_token_stands_for_bytes_without_a_token() {
    let mut document = document();
    document["model"]["unk_token"] = json!("c");
    assert_eq!(load(&document).encode("axyb", false).unwrap(), [0, 2, 2, 1]);
    document["model"]["fuse_unk"] = json!(true);
    assert_eq!(load(&document).encode("axyb", false).unwrap(), [0, 2, 1]);
}

#[test]
fn ignore_merges_takes_whole_words_first() {
    let mut document = document();
    document["model"]["merges"] = json!([["b", "c"]]);
    document["model"]["vocab"]["bc"] = json!(7);
    document["added_tokens"][0]["id"] = json!(8);
    document["post_processor"] = json!(null);
    assert_eq!(load(&document).encode("abc", false).unwrap(), [0, 7]);
    document["model"]["ignore_merges"] = json!(true);
    assert_eq!(load(&document).encode("abc", false).unwrap(), [5]);
    assert_eq!(load(&document).encode("abcb", false).unwrap(), [0, 7, 1]);
}

#[test]
fn half_characters_are_held_back() {
    let tokenizer = Arc::new(load(&document()));
    let mut stream = DecodeStream::new(Arc::clone(&tokenizer), true);
    assert_eq!(stream.step(0).unwrap(), "a");
    assert_eq!(stream.step(6).unwrap(), "");
    assert_eq!(stream.step(7).unwrap(), ""); // special: skipped, and no end of the character
    assert_eq!(stream.step(0).unwrap(), "\u{FFFD}a");
    assert_eq!(stream.step(6).unwrap(), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    assert_eq!(stream.finish(), "");
    assert_eq!(
        tokenizer.decode(&[0, 6, 7, 0, 6], true).unwrap(),
        "a\u{FFFD}a\u{FFFD}"
    );
    assert_eq!(tokenizer.decode(&[0, 7], false).unwrap(), "a<s>");
}

#[test]
fn unknown_ids_are_errors() {
    let tokenizer = load(&document());
    for id in [8, u32::MAX] {
        let error = Error::UnknownId { id, vocab_size: 8 };
        assert_eq!(tokenizer.decode(&[0, id], false).unwrap_err(), error);
        assert_eq!(tokenizer.decode_stream(true).step(id).unwrap_err(), error);
    }
}

#[test]
fn gaps_in_ids_are_no_tokens() {
    let mut document = document();
    document["model"]["vocab"]["Ã"] = json!(1000);
    let tokenizer = load(&document);
    assert_eq!(tokenizer.vocab_size(), 8);
    assert_eq!(tokenizer.encode("aé", false).unwrap(), [0, 1000]);
    assert_eq!(tokenizer.id_to_token(999), None);
    assert!(tokenizer.decode(&[999], false).is_err());
    assert!(tokenizer.decode(&[6], false).is_err());
}

#[test]
fn look_ups() {
    let tokenizer = load(&document());
    assert_eq!(tokenizer.token_to_id("<s>"), Some(7));
    assert_eq!(tokenizer.token_to_id("zz"), None);
    assert_eq!(tokenizer.id_to_token(3), Some("Ġ"));
    assert_eq!(tokenizer.special_ids(), [7]);
    assert!(tokenizer.is_special(7) && !tokenizer.is_special(0));
}

/// A quadratic loop would take hours.
#[test]
fn a_word_of_a_megabyte_is_no_trouble() {
    let mut document = document();
    let mut merges = Vec::new();
    for doubling in 0..10 {
        let half = "a".repeat(1 << doubling);
        document["model"]["vocab"][half.repeat(2)] = json!(100 + doubling);
        merges.push(json!([half, half]));
    }
    document["model"]["merges"] = json!(merges);
    document["added_tokens"] = json!([]);
    document["post_processor"] = json!(null);
    let tokenizer = load(&document);
    let start = Instant::now();
    let ids = tokenizer.encode(&"a".repeat(1 << 20), false).unwrap();
    assert_eq!(ids, [109; 1 << 10]);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}
