//! What is remembered of a transaction of PAM, between the calls of one program: who was accepted, and where his ticket was put.
//!
//! Unsafe code: PAM keeps a pointer without a type. Invariant: under each key there is a value of its one type or nothing; and
//! an accept is that of a login, so that it says nothing of whoever the program means later.
#![allow(unsafe_code, reason = "PAM gives back a pointer without a type")]

use std::path::PathBuf;

use authenteon_agent_protocol::Login;
use pam::module::PamHandle;

const ACCEPTED: &str = "pam_authenteon_accepted";
const PLACED: &str = "pam_authenteon_placed";

/// Who, by a finger.
struct Accepted(Option<Login>);

/// Where, if it is there still.
struct Placed(Option<PathBuf>);

/// Remembers who was accepted, or that nobody is. What cannot be remembered is not: then another module judges the account.
pub(crate) fn accepted(pamh: &mut PamHandle, login: Option<Login>) {
    let _ = pamh.set_data(ACCEPTED, Box::new(Accepted(login)));
}

/// Whether it was he.
pub(crate) fn was_accepted(pamh: &PamHandle, login: &Login) -> bool {
    // SAFETY: nobody but `accepted` writes under this name, and only a value of this type.
    let found = unsafe { pamh.get_data::<Accepted>(ACCEPTED) };
    found.is_ok_and(|found| found.0.as_ref() == Some(login))
}

/// Remembers where a ticket was put, or that none is there.
pub(crate) fn placed(pamh: &mut PamHandle, path: Option<PathBuf>) {
    let _ = pamh.set_data(PLACED, Box::new(Placed(path)));
}

/// Where it was put.
pub(crate) fn where_placed(pamh: &PamHandle) -> Option<PathBuf> {
    // SAFETY: nobody but `placed` writes under this name, and only a value of this type.
    let found = unsafe { pamh.get_data::<Placed>(PLACED) };
    found.ok().and_then(|found| found.0.clone())
}
