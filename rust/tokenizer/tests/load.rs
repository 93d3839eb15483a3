//! What is refused at load, and by which name.

use infeng_tokenizer::Tokenizer;
use serde_json::{json, Value};

mod common;
use common::document;

fn load(document: &Value) -> Result<Tokenizer, String> {
    Tokenizer::from_bytes(document.to_string().as_bytes()).map_err(|e| e.to_string())
}

/// The document with one value put at a JSON pointer (whose parent exists).
fn with(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(object) => {
            object.insert(name.to_owned(), value);
        }
        Value::Array(array) => array[name.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer} is in {other}"),
    }
    document
}

fn refusal(pointer: &str, value: Value) -> String {
    load(&with(pointer, value)).expect_err(pointer)
}

#[test]
fn the_document_itself_loads() {
    assert_eq!(load(&document()).unwrap().vocab_size(), 8);
}

#[test]
fn unsupported_parts_are_named() {
    let cases = [
        (
            "/version",
            json!("2.0"),
            "version: \"2.0\" is not supported",
        ),
        (
            "/truncation",
            json!({"max_length": 4}),
            "truncation: is not supported: it must be null",
        ),
        (
            "/padding",
            json!({}),
            "padding: is not supported: it must be null",
        ),
        (
            "/normalizer",
            json!({"type": "NFC"}),
            "normalizer.type: normalizer \"NFC\" is not supported",
        ),
        (
            "/pre_tokenizer",
            json!(null),
            "pre_tokenizer: ByteLevel is missing: other vocabularies are not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "x"}}),
            "pre_tokenizer.type: pre-tokenizer \"Split\" is not supported",
        ),
        (
            "/pre_tokenizer/use_rexeg",
            json!(true),
            "pre_tokenizer: unknown field \"use_rexeg\"",
        ),
        (
            "/pre_tokenizer/use_regex",
            json!(1),
            "pre_tokenizer.use_regex: is a number where true or false is needed",
        ),
        (
            "/post_processor",
            json!({"type": "BertProcessing"}),
            "post_processor.type: post-processor \"BertProcessing\" is not supported",
        ),
        (
            "/decoder",
            json!(null),
            "decoder: is missing: only ByteLevel is supported",
        ),
        (
            "/decoder",
            json!({"type": "Metaspace"}),
            "decoder.type: decoder \"Metaspace\" is not supported",
        ),
        (
            "/model/type",
            json!("Unigram"),
            "model.type: model type \"Unigram\" is not supported",
        ),
        (
            "/model/dropout",
            json!(0.1),
            "model.dropout: dropout is not supported: encoding must not be random",
        ),
        (
            "/model/byte_fallback",
            json!(true),
            "model.byte_fallback: byte_fallback is not supported in byte-level BPE",
        ),
        (
            "/model/end_of_word_suffix",
            json!("</w>"),
            "model.end_of_word_suffix: \"</w>\" is not supported",
        ),
        (
            "/model/continuing_subword_prefix",
            json!("##"),
            "model.continuing_subword_prefix: \"##\" is not supported",
        ),
        (
            "/model/new_flag",
            json!(false),
            "model: unknown field \"new_flag\"",
        ),
        (
            "/extra",
            json!(1),
            "not a tokenizer.json: unknown field \"extra\"",
        ),
    ];
    for (pointer, value, message) in cases {
        assert_eq!(refusal(pointer, value), message);
    }
}

#[test]
fn damaged_parts_are_named() {
    let cases = [
        (
            "/model",
            json!(null),
            "model: is missing: an object is needed",
        ),
        (
            "/model/vocab",
            json!([]),
            "model.vocab: is an array where an object is needed",
        ),
        (
            "/model/vocab/a",
            json!(-1),
            "model.vocab: token \"a\" has not an id from 0 to 4194303",
        ),
        (
            "/model/vocab/a",
            json!(1.5),
            "model.vocab: token \"a\" has not an id from 0 to 4194303",
        ),
        (
            "/model/vocab/a",
            json!(4_194_304),
            "model.vocab: token \"a\" has not an id from 0 to 4194303",
        ),
        (
            "/model/vocab/a",
            json!(u64::MAX),
            "model.vocab: token \"a\" has not an id from 0 to 4194303",
        ),
        (
            "/model/merges",
            json!("a b"),
            "model.merges: is a string where an array is needed",
        ),
        (
            "/model/merges/1",
            json!(["ab", "z"]),
            "model.merges[1]: \"abz\" is not in the vocabulary",
        ),
        (
            "/model/merges/1",
            json!(["ab"]),
            "model.merges[1]: is not a pair of strings",
        ),
        (
            "/model/merges/1",
            json!("ab c"),
            "model.merges[1]: is a string, not a pair of strings",
        ),
        (
            "/model/merges",
            json!(["a b", "ab  c"]),
            "model.merges[1]: \"ab  c\" is not a pair",
        ),
        (
            "/model/unk_token",
            json!("nil"),
            "model.unk_token: \"nil\" is not in the vocabulary",
        ),
        (
            "/added_tokens/0/id",
            json!(9),
            "added_tokens[0].id: of \"<s>\" is 9 where 7 is due",
        ),
        (
            "/added_tokens/0/content",
            json!("ab"),
            "added_tokens[0].id: is 7, but the model has \"ab\" as 4",
        ),
        (
            "/added_tokens/0/content",
            json!(""),
            "added_tokens[0].content: is empty",
        ),
        (
            "/added_tokens/0/lstrip",
            json!(null),
            "added_tokens[0].lstrip: is missing: true or false is needed",
        ),
        (
            "/added_tokens/0/colour",
            json!(1),
            "added_tokens[0]: unknown field \"colour\"",
        ),
        (
            "/added_tokens",
            json!([[1]]),
            "added_tokens[0]: is an array where an object is needed",
        ),
        (
            "/post_processor/single",
            json!([]),
            "post_processor.single: has no Sequence for the text",
        ),
        (
            "/post_processor/single/0",
            json!({"Sequence": {"id": "B"}}),
            "post_processor.single[0]: is not the one text of a single template",
        ),
        (
            "/post_processor/single/0",
            json!(3),
            "post_processor.single[0]: is a number where an object is needed",
        ),
        (
            "/post_processor/special_tokens/cls/ids",
            json!([8]),
            "post_processor.special_tokens.cls.ids[0]: id 8 is not in the vocabulary",
        ),
        (
            "/post_processor/special_tokens",
            json!({}),
            "post_processor.special_tokens.cls: is missing: an object is needed",
        ),
    ];
    for (pointer, value, message) in cases {
        assert_eq!(refusal(pointer, value), message, "{pointer}");
    }
}

#[test]
fn shared_ids_are_named() {
    let message = refusal("/model/vocab/a", json!(1));
    // Objects of serde_json are sorted, so "a" comes before "b".
    assert_eq!(message, "model.vocab: id 1 belongs to both \"a\" and \"b\"");

    let mut twice = document();
    let token = twice["added_tokens"][0].clone();
    twice["added_tokens"].as_array_mut().unwrap().push(token);
    assert_eq!(
        load(&twice).unwrap_err(),
        "added_tokens[1].content: \"<s>\" is listed twice"
    );
}

#[test]
fn steps_that_cannot_be_combined_are_refused() {
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let digits = json!({"type": "Digits", "individual_digits": true});
    let steps = json!({"type": "Sequence", "pretokenizers": [byte_level, digits]});
    assert_eq!(
        refusal("/pre_tokenizer", steps),
        "pre_tokenizer.pretokenizers[1]: a step after ByteLevel is not supported"
    );
    let template = document()["post_processor"].clone();
    let both = json!({"type": "Sequence", "processors": [template, template]});
    assert_eq!(
        refusal("/post_processor", both),
        "post_processor.processors[1]: a second processor that adds tokens is not supported"
    );
}

#[test]
fn long_names_are_cut_in_messages() {
    let message = refusal("/model/type", json!("x\n".repeat(10_000)));
    assert!(message.len() < 300 && !message.contains('\n'), "{message}");
}

#[test]
fn files_are_named() {
    let error = Tokenizer::from_file("no/such/tokenizer.json").unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("no/such/tokenizer.json: cannot open: "),
        "{message}"
    );
}

#[test]
fn sizes_are_bounded() {
    let error = Tokenizer::from_bytes(&vec![b' '; (64 << 20) + 1]).unwrap_err();
    let message = "not a tokenizer.json: it is larger than 64 MiB";
    assert_eq!(error.to_string(), message);
    let error = Tokenizer::from_file("/dev/zero").unwrap_err();
    assert_eq!(error.to_string(), format!("/dev/zero: {message}"));
}

#[test]
fn truncation_and_mutation_never_panic() {
    let text = document().to_string();
    for end in 0..text.len() {
        assert!(
            Tokenizer::from_bytes(&text.as_bytes()[..end]).is_err(),
            "{end}"
        );
    }
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes[at] = b"0123456789\"[]{},:-en\\u"[random(22)],
                _ => {
                    bytes.remove(at);
                }
            }
        }
        match Tokenizer::from_bytes(&bytes) {
            Ok(tokenizer) => {
                loaded += 1;
                let ids = tokenizer.encode("abc<s> ab!\u{85}é", true).unwrap();
                tokenizer.decode(&ids, false).unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(loaded > 100 && refused > 10_000, "{loaded} {refused}");
}
