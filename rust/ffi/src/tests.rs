//! The ABI as C sees it.

use std::ffi::{c_char, CStr};
use std::ptr::{null, null_mut};

use super::*;

const JSON: &str = r#"{
  "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true}],
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
}"#;

fn load(json: &str) -> Result<*mut InfengTokenizer, String> {
    let mut error = null_mut();
    let tokenizer = unsafe { infeng_tokenizer_from_bytes(json.as_ptr(), json.len(), &mut error) };
    if tokenizer.is_null() {
        Err(take_error(error))
    } else {
        assert!(error.is_null());
        Ok(tokenizer)
    }
}

fn take_error(error: *mut c_char) -> String {
    assert!(!error.is_null());
    let message = unsafe { CStr::from_ptr(error) }
        .to_str()
        .unwrap()
        .to_owned();
    unsafe { infeng_error_free(error) };
    message
}

fn take_text(fill: impl FnOnce(*mut InfengText)) -> String {
    let mut out = InfengText::new(String::new());
    fill(&mut out);
    let text = unsafe { text(out.data, out.len) }.unwrap().to_owned();
    unsafe { infeng_text_free(out) };
    text
}

fn encode(tokenizer: *const InfengTokenizer, input: &[u8]) -> Result<Vec<u32>, String> {
    let mut out = InfengIds::new(Vec::new());
    let mut error = null_mut();
    let (data, len) = (input.as_ptr(), input.len());
    if unsafe { infeng_tokenizer_encode(tokenizer, data, len, 1, &mut out, &mut error) } {
        let found = unsafe { ids(out.data, out.len) }.to_vec();
        unsafe { infeng_ids_free(out) };
        Ok(found)
    } else {
        Err(take_error(error))
    }
}

#[test]
fn round_trip() {
    let tokenizer = load(JSON).unwrap();
    assert_eq!(encode(tokenizer, b"<s>abba").unwrap(), [3, 2, 1, 0]);
    assert_eq!(encode(tokenizer, b"").unwrap(), [0; 0]);
    let ids = [3, 2, 1];
    let decode = |skip| {
        take_text(|out| unsafe {
            assert!(infeng_tokenizer_decode(
                tokenizer,
                ids.as_ptr(),
                3,
                skip,
                out,
                null_mut()
            ));
        })
    };
    assert_eq!(decode(false), "<s>abb");
    assert_eq!(decode(true), "abb");
    unsafe { infeng_tokenizer_free(tokenizer) };
}

#[test]
fn look_ups() {
    let tokenizer = load(JSON).unwrap();
    let (mut id, mut len) = (99, 99);
    unsafe {
        assert_eq!(infeng_tokenizer_vocab_size(tokenizer), 4);
        assert!(infeng_tokenizer_token_to_id(
            tokenizer,
            "ab".as_ptr(),
            2,
            &mut id
        ));
        assert_eq!(id, 2);
        assert!(!infeng_tokenizer_token_to_id(
            tokenizer,
            "abc".as_ptr(),
            3,
            &mut id
        ));
        assert!(!infeng_tokenizer_token_to_id(
            tokenizer,
            [0xFF].as_ptr(),
            1,
            &mut id
        ));
        assert_eq!(id, 2);
        let token = infeng_tokenizer_id_to_token(tokenizer, 3, &mut len);
        assert_eq!(bytes(token, len), b"<s>");
        assert_eq!(infeng_tokenizer_id_to_token(tokenizer, 4, &mut len), null());
        assert!(infeng_tokenizer_is_special(tokenizer, 3));
        assert!(!infeng_tokenizer_is_special(tokenizer, 2));
        let special = infeng_tokenizer_special_ids(tokenizer, &mut len);
        assert_eq!(std::slice::from_raw_parts(special, len), [3]);
        infeng_tokenizer_free(tokenizer);
    }
}

#[test]
fn a_stream_outlives_its_tokenizer() {
    let tokenizer = load(JSON).unwrap();
    unsafe {
        let stream = infeng_decode_stream_new(tokenizer, true);
        infeng_tokenizer_free(tokenizer);
        let step =
            |id| take_text(|out| assert!(infeng_decode_stream_step(stream, id, out, null_mut())));
        assert_eq!(step(2), "ab");
        assert_eq!(step(3), "");
        let mut error = null_mut();
        let mut out = InfengText::new(String::new());
        assert!(!infeng_decode_stream_step(stream, 4, &mut out, &mut error));
        assert_eq!(
            take_error(error),
            "id 4 is not in the vocabulary of 4 tokens"
        );
        infeng_text_free(out);
        assert_eq!(step(0), "a");
        assert_eq!(
            take_text(|out| infeng_decode_stream_finish(stream, out)),
            ""
        );
        infeng_decode_stream_free(stream);
    }
}

#[test]
fn errors_are_strings() {
    assert_eq!(
        load("[]").unwrap_err(),
        "not a tokenizer.json: the document is an array"
    );
    let tokenizer = load(JSON).unwrap();
    assert_eq!(
        encode(tokenizer, b"ab\xFF").unwrap_err(),
        "text is not UTF-8: byte 2"
    );
    unsafe { infeng_tokenizer_free(tokenizer) };

    let path = b"no/such\0file";
    let mut error = null_mut();
    let none = unsafe { infeng_tokenizer_from_file(path.as_ptr(), path.len(), &mut error) };
    assert!(none.is_null());
    assert!(take_error(error).starts_with("no/such\\0file: cannot open: "));
}

#[test]
fn a_panic_stays_inside() {
    let mut error = null_mut();
    let none: Option<()> = unsafe { guard(&mut error, || panic!("on purpose")) };
    assert!(none.is_none());
    assert_eq!(take_error(error), "tokenizer bug: on purpose");
}

#[test]
fn null_is_freed_in_peace() {
    unsafe {
        infeng_tokenizer_free(null_mut());
        infeng_decode_stream_free(null_mut());
        infeng_error_free(null_mut());
    }
}
