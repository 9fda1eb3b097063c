//! The watchdog, armed before anything can hang: a trial that never comes up ends by itself.
//!
//! Whoever opens the device arms it; it is closed without the letter that would disarm it, so it goes
//! on until the `watchdog` of the system feeds it.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    thread,
    time::{Duration, Instant},
};

/// Hardware counts 15 seconds at least.
const EVERY: Duration = Duration::from_secs(4);
/// A check of a large file system may take so long.
const AT_MOST: Duration = Duration::from_secs(900);

/// Arms the watchdog and feeds it from a thread, which ends with this program's `exec`.
pub(crate) fn arm() -> bool {
    let Ok(device) = OpenOptions::new().write(true).open("/dev/watchdog") else { return false };
    thread::Builder::new().spawn(move || feed(device)).is_ok()
}

fn feed(mut device: File) {
    let began = Instant::now();
    while began.elapsed() < AT_MOST && device.write_all(b"\0").is_ok() {
        thread::sleep(EVERY);
    }
    // Kept open: some drivers disarm when the device is closed.
    std::mem::forget(device);
}
