//! The C ABI of `infeng_tokenizer`: what infeng_tokenizer.h declares and documents.
//!
//! Unsafe code, as the border has it. No panic crosses the border: each entry that
//! does work runs under `catch_unwind` and turns a panic into an error string; the rest
//! are look-ups.

#![deny(unsafe_op_in_unsafe_fn)]

mod border;
mod buffers;
mod encoding;

use std::ffi::{c_char, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use infeng_tokenizer::{DecodeStream, Options, Tokenizer, Unit};

use border::{bytes, guard, ids, text};
use buffers::{InfengIds, InfengText};
use encoding::{InfengEncoding, InfengEncodingView};

/// A loaded tokenizer, shared with its streams.
pub struct InfengTokenizer(Arc<Tokenizer>);

/// A stream and its tokenizer.
pub struct InfengDecodeStream(DecodeStream<Arc<Tokenizer>>);

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_from_file(
    path: *const u8,
    path_len: usize,
    error: *mut *mut c_char,
) -> *mut InfengTokenizer {
    let load = || {
        let path = OsStr::from_bytes(unsafe { bytes(path, path_len) });
        let tokenizer = Tokenizer::from_file(path).map_err(|e| e.to_string())?;
        Ok(boxed(InfengTokenizer(Arc::new(tokenizer))))
    };
    unsafe { guard(error, load) }.unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_from_bytes(
    json: *const u8,
    json_len: usize,
    error: *mut *mut c_char,
) -> *mut InfengTokenizer {
    let load = || {
        let json = unsafe { bytes(json, json_len) };
        let tokenizer = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
        Ok(boxed(InfengTokenizer(Arc::new(tokenizer))))
    };
    unsafe { guard(error, load) }.unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_set_prefix_cache(
    tokenizer: *mut InfengTokenizer,
    bytes: usize,
    entries: usize,
) {
    // A new tokenizer is not shared with any stream yet.
    if let Some(tokenizer) = Arc::get_mut(&mut unsafe { &mut *tokenizer }.0) {
        tokenizer.set_prefix_cache(bytes, entries);
    }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_free(tokenizer: *mut InfengTokenizer) {
    unsafe { free(tokenizer) }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_encode(
    tokenizer: *const InfengTokenizer,
    utf8: *const u8,
    utf8_len: usize,
    flags: u32,
    out: *mut InfengIds,
    error: *mut *mut c_char,
) -> bool {
    let encode = || {
        let (tokenizer, utf8) = unsafe { (&*tokenizer, text(utf8, utf8_len)?) };
        let ids = tokenizer.0.encode_ids(utf8, options(flags));
        unsafe { out.write(InfengIds::new(ids.map_err(|e| e.to_string())?)) };
        Ok(())
    };
    unsafe { guard(error, encode) }.is_some()
}

fn options(flags: u32) -> Options {
    Options {
        add_special_tokens: flags & 1 != 0,
        encode_special_tokens: flags & 2 != 0,
    }
}

/// A text of a batch; see infeng_tokenizer.h.
#[repr(C)]
pub struct InfengInput {
    text: *const u8,
    text_len: usize,
    pair: *const u8,
    pair_len: usize,
}

/// As many as the process may use, for 0.
fn threads(count: usize) -> usize {
    match count {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_encode_batch(
    tokenizer: *const InfengTokenizer,
    inputs: *const InfengInput,
    count: usize,
    flags: u32,
    thread_count: usize,
    out: *mut InfengIds,
    ends: *mut usize,
    error: *mut *mut c_char,
) -> bool {
    let encode = || {
        let (tokenizer, inputs) = unsafe { (&*tokenizer, border::slice(inputs, count)) };
        let texts = inputs
            .iter()
            .map(|input| unsafe { text(input.text, input.text_len) })
            .collect::<Result<Vec<_>, String>>()?;
        let batch = tokenizer
            .0
            .encode_batch(&texts, options(flags), threads(thread_count))
            .map_err(|(number, e)| format!("texts[{number}]: {e}"))?;
        unsafe {
            ends.copy_from_nonoverlapping(batch.ends.as_ptr(), batch.ends.len());
            out.write(InfengIds::new(batch.ids));
        }
        Ok(())
    };
    unsafe { guard(error, encode) }.is_some()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_decode_batch(
    tokenizer: *const InfengTokenizer,
    data: *const *const u32,
    lens: *const usize,
    count: usize,
    skip_special_tokens: bool,
    thread_count: usize,
    out: *mut InfengText,
    error: *mut *mut c_char,
) -> bool {
    let decode = || {
        let tokenizer = unsafe { &*tokenizer };
        let (data, lens) = unsafe { (border::slice(data, count), border::slice(lens, count)) };
        let sequences: Vec<&[u32]> = data
            .iter()
            .zip(lens)
            .map(|(data, len)| unsafe { ids(*data, *len) })
            .collect();
        let texts = tokenizer
            .0
            .decode_batch(&sequences, skip_special_tokens, threads(thread_count))
            .map_err(|(number, e)| format!("sequences[{number}]: {e}"))?;
        for (i, text) in texts.into_iter().enumerate() {
            unsafe { out.add(i).write(InfengText::new(text)) };
        }
        Ok(())
    };
    unsafe { guard(error, decode) }.is_some()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_encode_full(
    tokenizer: *const InfengTokenizer,
    inputs: *const InfengInput,
    count: usize,
    flags: u32,
    out: *mut *mut InfengEncoding,
    error: *mut *mut c_char,
) -> bool {
    let encode = || {
        let (tokenizer, inputs) = unsafe { (&*tokenizer, border::slice(inputs, count)) };
        let texts = inputs
            .iter()
            .map(|input| {
                let first = unsafe { text(input.text, input.text_len)? };
                let second = if input.pair.is_null() {
                    None
                } else {
                    Some(unsafe { text(input.pair, input.pair_len)? })
                };
                Ok((first, second))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let unit = if flags & 4 != 0 {
            Unit::Bytes
        } else {
            Unit::Chars
        };
        let encodings = tokenizer
            .0
            .encode_full_batch(&texts, unit, options(flags))
            .map_err(|e| e.to_string())?;
        for (i, encoding) in encodings.into_iter().enumerate() {
            unsafe { out.add(i).write(boxed(InfengEncoding::new(encoding))) };
        }
        Ok(())
    };
    unsafe { guard(error, encode) }.is_some()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_encoding_view(
    encoding: *const InfengEncoding,
) -> InfengEncodingView {
    unsafe { &*encoding }.view()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_encoding_overflowing(
    encoding: *const InfengEncoding,
    index: usize,
) -> *const InfengEncoding {
    match unsafe { &*encoding }.overflowing.get(index) {
        Some(part) => part,
        None => std::ptr::null(),
    }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_encoding_free(encoding: *mut InfengEncoding) {
    unsafe { free(encoding) }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_decode(
    tokenizer: *const InfengTokenizer,
    data: *const u32,
    len: usize,
    skip_special_tokens: bool,
    out: *mut InfengText,
    error: *mut *mut c_char,
) -> bool {
    let decode = || {
        let (tokenizer, ids) = unsafe { (&*tokenizer, ids(data, len)) };
        let text = tokenizer.0.decode(ids, skip_special_tokens);
        unsafe { out.write(InfengText::new(text.map_err(|e| e.to_string())?)) };
        Ok(())
    };
    unsafe { guard(error, decode) }.is_some()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_vocab_size(tokenizer: *const InfengTokenizer) -> usize {
    unsafe { &*tokenizer }.0.vocab_size()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_is_special(
    tokenizer: *const InfengTokenizer,
    id: u32,
) -> bool {
    unsafe { &*tokenizer }.0.is_special(id)
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_special_ids(
    tokenizer: *const InfengTokenizer,
    len: *mut usize,
) -> *const u32 {
    let ids = unsafe { &*tokenizer }.0.special_ids();
    unsafe { len.write(ids.len()) };
    ids.as_ptr()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_token_to_id(
    tokenizer: *const InfengTokenizer,
    utf8: *const u8,
    utf8_len: usize,
    id: *mut u32,
) -> bool {
    let (tokenizer, token) = unsafe { (&*tokenizer, text(utf8, utf8_len)) };
    match token.ok().and_then(|token| tokenizer.0.token_to_id(token)) {
        Some(found) => {
            unsafe { id.write(found) };
            true
        }
        None => false,
    }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_tokenizer_id_to_token(
    tokenizer: *const InfengTokenizer,
    id: u32,
    len: *mut usize,
) -> *const u8 {
    match unsafe { &*tokenizer }.0.id_to_token(id) {
        Some(token) => {
            unsafe { len.write(token.len()) };
            token.as_ptr()
        }
        None => std::ptr::null(),
    }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_decode_stream_new(
    tokenizer: *const InfengTokenizer,
    skip_special_tokens: bool,
) -> *mut InfengDecodeStream {
    let tokenizer = Arc::clone(&unsafe { &*tokenizer }.0);
    boxed(InfengDecodeStream(DecodeStream::new(
        tokenizer,
        skip_special_tokens,
    )))
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_decode_stream_free(stream: *mut InfengDecodeStream) {
    unsafe { free(stream) }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_decode_stream_step(
    stream: *mut InfengDecodeStream,
    id: u32,
    out: *mut InfengText,
    error: *mut *mut c_char,
) -> bool {
    let step = || {
        let stream = unsafe { &mut *stream };
        let text = stream.0.step(id).map_err(|e| e.to_string())?;
        unsafe { out.write(InfengText::new(text)) };
        Ok(())
    };
    unsafe { guard(error, step) }.is_some()
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_decode_stream_finish(
    stream: *mut InfengDecodeStream,
    out: *mut InfengText,
) {
    let text = unsafe { &mut *stream }.0.finish();
    unsafe { out.write(InfengText::new(text)) };
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_ids_free(ids: InfengIds) {
    unsafe { ids.free() }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_text_free(text: InfengText) {
    unsafe { text.free() }
}

/// # Safety
/// As infeng_tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn infeng_error_free(error: *mut c_char) {
    if !error.is_null() {
        drop(unsafe { std::ffi::CString::from_raw(error) });
    }
}

fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// # Safety
/// `pointer` is null or came from `boxed`, and is not used again.
unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        drop(unsafe { Box::from_raw(pointer) });
    }
}

#[cfg(test)]
mod tests;
