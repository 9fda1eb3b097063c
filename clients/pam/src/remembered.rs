//! Whether a finger was accepted in this transaction of PAM: PAM keeps it, between the calls of one program.
//!
//! The only unsafe code of this module: PAM keeps a pointer without a type. Invariant: under [`KEY`] there is an [`Accepted`]
//! or nothing.
#![allow(unsafe_code, reason = "PAM gives back a pointer without a type")]

use pam::module::PamHandle;

const KEY: &str = "pam_authenteon_accepted";

/// The person, by a finger.
struct Accepted;

/// Remembers it. What cannot be remembered is not: then another module judges the account.
pub(crate) fn accepted(pamh: &mut PamHandle) {
    let _ = pamh.set_data(KEY, Box::new(Accepted));
}

/// Whether it was.
pub(crate) fn was_accepted(pamh: &PamHandle) -> bool {
    // SAFETY: nobody but `accepted` writes under this name, and only a value of this type.
    unsafe { pamh.get_data::<Accepted>(KEY) }.is_ok()
}
