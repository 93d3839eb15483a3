//! Buffers that Rust fills and owns, and C holds until it gives them back.

/// Ids; see infeng_tokenizer.h.
#[repr(C)]
pub struct InfengIds {
    pub(crate) data: *mut u32,
    pub(crate) len: usize,
}

/// UTF-8 text; see infeng_tokenizer.h.
#[repr(C)]
pub struct InfengText {
    pub(crate) data: *mut u8,
    pub(crate) len: usize,
}

impl InfengIds {
    pub(crate) fn new(ids: Vec<u32>) -> Self {
        let (data, len) = into_raw(ids);
        Self { data, len }
    }

    /// # Safety
    /// The buffer came from `new`, unchanged, and is not used again.
    pub(crate) unsafe fn free(self) {
        unsafe { free(self.data, self.len) }
    }
}

impl InfengText {
    pub(crate) fn new(text: String) -> Self {
        let (data, len) = into_raw(text.into_bytes());
        Self { data, len }
    }

    /// # Safety
    /// As for [`InfengIds::free`].
    pub(crate) unsafe fn free(self) {
        unsafe { free(self.data, self.len) }
    }
}

/// Shrinks to the length, so that pointer and length are all one must keep.
fn into_raw<T>(items: Vec<T>) -> (*mut T, usize) {
    let items = items.into_boxed_slice();
    let len = items.len();
    (Box::into_raw(items).cast(), len)
}

/// # Safety
/// Pointer and length came from `into_raw`, or the pointer is null.
unsafe fn free<T>(data: *mut T, len: usize) {
    if !data.is_null() {
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, len)) });
    }
}
