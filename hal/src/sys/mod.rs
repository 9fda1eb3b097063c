//! The operating system's edge: calls that no safe wrapper offers. Unsafe code of this crate lives
//! here and nowhere else.
#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

mod restart;

pub use restart::restart;
