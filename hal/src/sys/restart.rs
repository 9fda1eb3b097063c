//! `reboot(2)`: at once, without asking any other process. Whoever calls has synced before.

use std::{ffi::CStr, io};

/// Restarts the machine, with an argument for its firmware or none. Returns only if it may not.
///
/// On a Pi the argument `0 tryboot` makes the firmware start the other slot, once.
///
/// # Errors
/// What the system says, which is never "done".
pub fn restart(argument: Option<&CStr>) -> io::Error {
    let (command, pointer) = match argument {
        Some(text) => (libc::LINUX_REBOOT_CMD_RESTART2, text.as_ptr()),
        None => (libc::LINUX_REBOOT_CMD_RESTART, std::ptr::null()),
    };
    // SAFETY: the magic numbers and the command are the kernel's own; `pointer` is null where the
    // command takes none, and otherwise a text that ends in NUL and outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            command,
            pointer,
        );
    }
    io::Error::last_os_error()
}
