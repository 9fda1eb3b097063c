//! What an administrator reads in the system's log of logins. Neither names nor anything of a finger are in it: the program
//! that asks says who logs in.
//!
//! Invariant: nobody waits for the log, and nothing depends on it.

use std::os::unix::net::UnixDatagram;

const LOG: &str = "/dev/log";
/// `authpriv`, as RFC 5424 numbers it, times eight.
const FACILITY: u8 = 10 << 3;
const WARNING: u8 = 4;
const DEBUG: u8 = 7;

/// The system's log.
pub(crate) struct Journal<'a> {
    service: &'a str,
    debug: bool,
}

impl<'a> Journal<'a> {
    /// For the program of this name; with `debug` it says more.
    pub(crate) fn new(service: &'a str, debug: bool) -> Self {
        Self { service, debug }
    }

    /// Something to look after.
    pub(crate) fn warning(&self, text: &str) {
        self.write(WARNING, text);
    }

    /// Something to follow what happens with.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            self.write(DEBUG, text);
        }
    }

    fn write(&self, level: u8, text: &str) {
        let line = line(level, self.service, std::process::id(), text);
        let Ok(socket) = UnixDatagram::unbound() else { return };
        if socket.set_nonblocking(true).is_ok() {
            // Where there is no log, or it is full, nobody reads it.
            let _ = socket.send_to(line.as_bytes(), LOG);
        }
    }
}

fn line(level: u8, service: &str, process: u32, text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("<{}>pam_authenteon({service})[{process}]: {plain}", FACILITY | level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_asks_and_is_one_line() {
        assert_eq!(line(WARNING, "sudo", 7, "a\nb"), "<84>pam_authenteon(sudo)[7]: a b");
    }
}
