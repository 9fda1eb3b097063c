//! The environment that PAM gives a session: what outlives the process that authenticated, where a program has several.
//!
//! Invariant: nothing secret is in it. Unsafe code, since the library of modules has no word for these two calls.
#![allow(unsafe_code, reason = "calls of libpam that the library has not")]

use std::ffi::{CStr, CString, c_char, c_int};

use pam::constants::PamResultCode;
use pam::module::PamHandle;

unsafe extern "C" {
    fn pam_putenv(pamh: *mut PamHandle, name_value: *const c_char) -> c_int;
    fn pam_getenv(pamh: *mut PamHandle, name: *const c_char) -> *const c_char;
}

/// Sets a variable.
///
/// # Errors
/// PAM takes none.
pub(crate) fn set(pamh: &mut PamHandle, name: &str, value: &str) -> Result<(), String> {
    put(pamh, &format!("{name}={value}"))
}

/// Takes a variable away. One that was not there stays away.
pub(crate) fn unset(pamh: &mut PamHandle, name: &str) {
    let _ = put(pamh, name);
}

fn put(pamh: &mut PamHandle, text: &str) -> Result<(), String> {
    let text = CString::new(text).map_err(|why| why.to_string())?;
    // SAFETY: both pointers are good during the call, and libpam copies the text.
    let code = unsafe { pam_putenv(pamh, text.as_ptr()) };
    if code == PamResultCode::PAM_SUCCESS as c_int {
        Ok(())
    } else {
        Err(format!("PAM takes no variable: {code}"))
    }
}

/// What a variable is.
pub(crate) fn get(pamh: &mut PamHandle, name: &str) -> Option<String> {
    let name = CString::new(name).ok()?;
    // SAFETY: both pointers are good during the call.
    let found = unsafe { pam_getenv(pamh, name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: what is not null is a string that libpam keeps, and it is copied before anything is changed.
    let found = unsafe { CStr::from_ptr(found) };
    found.to_str().ok().map(str::to_owned)
}
