//! What comes over the border, and how errors go back.

use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `body`; on an error or a panic stores a message at `error` and gives none.
///
/// # Safety
/// `error` is null or may be written to.
pub(crate) unsafe fn guard<T>(
    error: *mut *mut c_char,
    body: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    // Nothing of a call that panicked is used again but immutable tables and,
    // for a stream, at most three bytes: a broken invariant cannot be seen.
    let problem = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(problem)) => problem,
        Err(panic) => format!("tokenizer bug: {}", panic_text(panic.as_ref())),
    };
    if !error.is_null() {
        // A message that quotes a NUL from the input would end there in C.
        let message = CString::new(problem.replace('\0', "\\0")).unwrap_or_default();
        unsafe { error.write(message.into_raw()) };
    }
    None
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown panic")
}

/// # Safety
/// `data` points to `len` readable bytes, or `len` is 0.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    unsafe { slice(data, len) }
}

/// # Safety
/// `data` points to `len` readable ids, or `len` is 0.
pub(crate) unsafe fn ids<'a>(data: *const u32, len: usize) -> &'a [u32] {
    unsafe { slice(data, len) }
}

/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn text<'a>(data: *const u8, len: usize) -> Result<&'a str, String> {
    std::str::from_utf8(unsafe { bytes(data, len) })
        .map_err(|e| format!("text is not UTF-8: byte {}", e.valid_up_to()))
}

/// # Safety
/// `data` is aligned and points to `len` readable elements, or `len` is 0.
pub(crate) unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        // C callers give null for an empty range, which a slice must not hold.
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(data, len) }
    }
}
