//! Has what is soon looked at come from memory: a hint, which changes nothing but the time.

/// The beginning of a list.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a hint, which reads nothing")]
pub(crate) fn fetch<T>(of: &[T]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is of the first x86-64, and takes any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(of.as_ptr().cast()) }
}

/// No stable Rust has the hint there.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fetch<T>(_: &[T]) {}
