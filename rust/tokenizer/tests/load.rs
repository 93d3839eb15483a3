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
            json!({"max_length": 0, "stride": 0, "strategy": "LongestFirst"}),
            "truncation.max_length: leaves no room for the 1 tokens that are added",
        ),
        (
            "/truncation",
            json!({"max_length": 4, "stride": 0, "strategy": "Random"}),
            "truncation.strategy: \"Random\" is not supported",
        ),
        (
            "/padding",
            json!({"strategy": {"Fixed": 1_000_000_000}}),
            "padding.strategy.Fixed: 1000000000 is more than 16777216",
        ),
        (
            "/normalizer",
            json!({"type": "NFX"}),
            "normalizer.type: normalizer \"NFX\" is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAA="}),
            "normalizer.precompiled_charsmap: is too short",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [{"type": "Splat"}]}),
            "pre_tokenizer.pretokenizers[0].type: pre-tokenizer \"Splat\" is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "[[:upper:]]"}, "behavior": "Removed"}),
            "pre_tokenizer.pattern.Regex: \"[[:upper:]]\": POSIX classes like [:alpha:] are not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"String": "x"}, "behavior": "Kept"}),
            "pre_tokenizer.behavior: \"Kept\" is not supported",
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
            json!({"type": "AlbertProcessing"}),
            "post_processor.type: post-processor \"AlbertProcessing\" is not supported",
        ),
        (
            "/decoder",
            json!({"type": "Metaphor"}),
            "decoder.type: decoder \"Metaphor\" is not supported",
        ),
        (
            "/model/type",
            json!("Bigram"),
            "model.type: model type \"Bigram\" is not supported",
        ),
        (
            "/model/dropout",
            json!(0.1),
            "model.dropout: dropout is not supported: encoding must not be random",
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
            "model.merges[1]: \"z\" is not in the vocabulary",
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
    let template = document()["post_processor"].clone();
    let both = json!({"type": "Sequence", "processors": [template, template]});
    assert_eq!(
        refusal("/post_processor", both),
        "post_processor.processors[1]: a second processor that adds tokens is not supported"
    );
}

#[test]
fn an_unknown_token_that_is_not_there_is_an_error_when_needed() {
    let tokenizer = load(&with("/model/unk_token", json!("nil"))).unwrap();
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [4]);
    assert_eq!(
        tokenizer.encode("z", false).unwrap_err().to_string(),
        "the text has what the vocabulary lacks, and so is unk_token \"nil\""
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
