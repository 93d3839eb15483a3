//! The short way from text to ids gives what the definition gives.

use infeng_tokenizer::Tokenizer;
use serde_json::{json, Value};

/// BPE trained in the plainest way on `text`, over the characters of `alphabet(text)`.
fn train(words: &[Vec<String>], size: usize) -> (Vec<String>, Vec<[String; 2]>) {
    let mut words = words.to_vec();
    let mut vocab: Vec<String> = Vec::new();
    let add = |token: &str, vocab: &mut Vec<String>| {
        if !vocab.iter().any(|known| known == token) {
            vocab.push(token.to_owned());
        }
    };
    for word in &words {
        for symbol in word {
            add(symbol, &mut vocab);
        }
    }
    let mut merges = Vec::new();
    while vocab.len() < size {
        let mut counts = std::collections::BTreeMap::new();
        for word in &words {
            for pair in word.windows(2) {
                *counts
                    .entry([pair[0].clone(), pair[1].clone()])
                    .or_insert(0) += 1;
            }
        }
        let Some((pair, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
            break;
        };
        let joined = pair.concat();
        for word in &mut words {
            let mut at = 0;
            while at + 1 < word.len() {
                if word[at] == pair[0] && word[at + 1] == pair[1] {
                    word[at] = joined.clone();
                    word.remove(at + 1);
                }
                at += 1;
            }
        }
        add(&joined, &mut vocab);
        merges.push(pair);
    }
    (vocab, merges)
}

const TEXT: &str = "The cat sat on the mat, and the dog's dinner was 1234 bones. I'll say: \
    'tokenizers are exact'!  Über café naïve. 漢字と仮名、漢字交じり文。Жили-были дед да баба. \
    नमस्ते दुनिया สวัสดีชาวโลก مرحبا بالعالم 🙂👩\u{200d}👩 for (int i = 0; i < n; ++i) {\n    x[i] += 1;\n}\n";

/// The character that stands for a byte.
fn byte_char(byte: u8) -> char {
    match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
        0..=b' ' => char::from_u32(0x100 + u32::from(byte)).unwrap(),
        0x7F..=0xA0 => char::from_u32(0x100 + 33 + u32::from(byte - 0x7F)).unwrap(),
        _ => char::from_u32(0x100 + 67).unwrap(),
    }
}

fn byte_level(pre_tokenizer: Value, normalizer: Value, ignore_merges: bool, drop: usize) -> Value {
    let words: Vec<Vec<String>> = TEXT
        .split_inclusive(' ')
        .map(|word| word.bytes().map(|b| byte_char(b).to_string()).collect())
        .collect();
    let (mut vocab, merges) = train(&words, 400);
    for byte in 0..=255u8 {
        let token = byte_char(byte).to_string();
        if !vocab.contains(&token) && usize::from(byte) % 7 >= drop {
            vocab.push(token);
        }
    }
    if ignore_merges {
        vocab.extend([
            "Ġtokenz".to_owned(),
            "å¼å".to_owned(),
            "abcdefghijklmnopqrst".to_owned(),
        ]);
    }
    let ids: serde_json::Map<String, Value> = vocab
        .iter()
        .zip(0..)
        .map(|(token, id)| (token.clone(), json!(id)))
        .collect();
    json!({
        "added_tokens": [
            {"id": vocab.len(), "content": "<s>", "single_word": false, "lstrip": true,
             "rstrip": false, "normalized": false, "special": true},
            {"id": vocab.len() + 1, "content": "dog", "single_word": true, "lstrip": false,
             "rstrip": true, "normalized": true, "special": false}
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "ignore_merges": ignore_merges, "vocab": ids, "merges": merges}
    })
}

fn over_chars(pre_tokenizer: Value, normalizer: Value, end: usize) -> Value {
    let marked = TEXT.replace(' ', "▁");
    let words: Vec<Vec<String>> = marked
        .split_inclusive('▁')
        .map(|word| word.chars().take(end).map(String::from).collect())
        .collect();
    let (mut vocab, merges) = train(&words, 300);
    vocab.insert(0, "<unk>".to_owned());
    vocab.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let ids: serde_json::Map<String, Value> = vocab
        .iter()
        .zip(0..)
        .map(|(token, id)| (token.clone(), json!(id)))
        .collect();
    json!({
        "added_tokens": [
            {"id": vocab.len(), "content": "<s>", "single_word": false, "lstrip": false,
             "rstrip": true, "normalized": false, "special": true}
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": null,
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                  "vocab": ids, "merges": merges}
    })
}

fn documents() -> Vec<Value> {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let plain = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                       "use_regex": false});
    let split = |regex: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            plain]})
    };
    let digits = |individual: bool| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": individual}, bytes]})
    };
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prepend = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, replace]});
    let metaspace = |scheme: &str, split: bool| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split});
    vec![
        byte_level(bytes.clone(), Value::Null, false, 0),
        byte_level(bytes.clone(), json!({"type": "NFC"}), false, 2),
        byte_level(digits(true), Value::Null, false, 1),
        byte_level(digits(false), Value::Null, true, 0),
        byte_level(split(llama3), Value::Null, true, 3),
        over_chars(Value::Null, replace, 99),
        over_chars(Value::Null, prepend, 4),
        over_chars(metaspace("first", false), Value::Null, 99),
        over_chars(metaspace("always", true), Value::Null, 99),
        over_chars(metaspace("never", true), Value::Null, 3),
    ]
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn both_ways_agree() {
    let pieces: Vec<&str> = TEXT
        .split_inclusive(' ')
        .chain([
            "<s>", "dog", " dog ", "▁", "\u{301}", "é", "e\u{301}", "\0", "\n\n", "   ", "ｱ",
        ])
        .chain([
            "'ſ",
            "12345",
            "abcdefghijklmnopqrst",
            "xabcdefghijklmnopqrstuvw",
            "\u{1F3FD}",
            "쀍",
        ])
        .collect();
    let chars: Vec<char> = TEXT.chars().collect();
    for document in documents() {
        let mut tokenizer = Tokenizer::from_bytes(document.to_string().as_bytes()).unwrap();
        assert!(tokenizer.is_fast());
        let mut random = Random(5);
        for round in 0..6000 {
            let text: String = if round % 2 == 0 {
                (0..random.below(12))
                    .map(|_| pieces[random.below(pieces.len())])
                    .collect()
            } else {
                (0..random.below(40))
                    .map(|_| chars[random.below(chars.len())])
                    .collect()
            };
            let want = tokenizer.encode_by_definition(&text).unwrap();
            assert_eq!(tokenizer.encode(&text, false).unwrap(), want, "{text:?}");
        }
        tokenizer.set_prefix_cache(24, 8);
        for _ in 0..3000 {
            let text: String = (0..random.below(14))
                .map(|_| pieces[random.below(6)])
                .collect();
            let want = tokenizer.encode_by_definition(&text).unwrap();
            assert_eq!(tokenizer.encode(&text, false).unwrap(), want, "{text:?}");
        }
        for unit in ["a", " ", "the", "漢", "\n", "🙂", "é"] {
            for count in [47, 48, 49, 999, 1001, 3000] {
                let text = unit.repeat(count);
                let want = tokenizer.encode_by_definition(&text).unwrap();
                assert_eq!(
                    tokenizer.encode(&text, false).unwrap(),
                    want,
                    "{unit:?} {count}"
                );
            }
        }
    }
}
