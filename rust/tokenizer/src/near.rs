//! Asking for memory before it is needed.

/// Brings what is at `index` near, while other work goes on; nothing if there is nothing.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn near<T>(items: &[T], index: usize) {
    let Some(item) = items.get(index) else { return };
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that the program sees and cannot fault.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}
