//! The C ABI of `infeng_tokenizer`: what infeng_tokenizer.h declares and documents.
//!
//! The only unsafe code of the Rust side. No panic crosses the border: each entry that
//! does work runs under `catch_unwind` and turns a panic into an error string; the rest
//! are look-ups.

#![deny(unsafe_op_in_unsafe_fn)]

mod border;
mod buffers;

use std::ffi::{c_char, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use infeng_tokenizer::{DecodeStream, Tokenizer};

use border::{bytes, guard, ids, text};
use buffers::{InfengIds, InfengText};

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
    add_special_tokens: bool,
    out: *mut InfengIds,
    error: *mut *mut c_char,
) -> bool {
    let encode = || {
        let (tokenizer, utf8) = unsafe { (&*tokenizer, text(utf8, utf8_len)?) };
        let ids = tokenizer.0.encode(utf8, add_special_tokens);
        unsafe { out.write(InfengIds::new(ids.map_err(|e| e.to_string())?)) };
        Ok(())
    };
    unsafe { guard(error, encode) }.is_some()
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
