//! The name of a reader: `usb-05ba-000a-1-1.4`, `serial-ttyUSB0`.
//!
//! Invariant: a name is short and plain enough to stand in a path of an API, in a log and on a
//! command line without quotes, whatever a device says of itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a reader, the same whenever it comes back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReaderId(String);

/// A text that names no reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reader's id has 1 to 96 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
pub struct NotAReaderId;

/// Longest name.
const LONGEST: usize = 96;
/// Longest part that a device or a path may give to a name.
const LONGEST_PART: usize = 64;

impl ReaderId {
    /// A reader on USB; `which` tells it from others of its kind: its serial number, or the socket
    /// that it is plugged into.
    #[must_use]
    pub fn usb((vendor, product): (u16, u16), which: &str) -> Self {
        Self(format!("usb-{vendor:04x}-{product:04x}-{}", plain(which)))
    }

    /// A reader at a serial port, by the port's path.
    #[must_use]
    pub fn serial(port: &str) -> Self {
        let name = port.strip_prefix("/dev/").unwrap_or(port).trim_start_matches('/');
        Self(format!("serial-{}", plain(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The end of a text, where ports and sockets differ, with what is not plain replaced.
fn plain(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(LONGEST_PART);
    text.chars().skip(skip).map(|c| if allowed(c) { c } else { '-' }).collect()
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl FromStr for ReaderId {
    type Err = NotAReaderId;

    fn from_str(text: &str) -> Result<Self, NotAReaderId> {
        let fits = (1..=LONGEST).contains(&text.len()) && text.chars().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAReaderId) }
    }
}

impl TryFrom<String> for ReaderId {
    type Error = NotAReaderId;

    fn try_from(text: String) -> Result<Self, NotAReaderId> {
        text.parse()
    }
}

impl From<ReaderId> for String {
    fn from(id: ReaderId) -> Self {
        id.0
    }
}

impl fmt::Display for ReaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_wire_and_the_place() {
        assert_eq!(ReaderId::usb((0x05BA, 0x000A), "1-1.4").as_str(), "usb-05ba-000a-1-1.4");
        assert_eq!(ReaderId::serial("/dev/ttyUSB0").as_str(), "serial-ttyUSB0");
        assert_eq!(ReaderId::serial("/dev/pts/3").as_str(), "serial-pts-3");
        assert_eq!(ReaderId::serial("/run/readers/left").as_str(), "serial-run-readers-left");
    }

    #[test]
    fn whatever_a_device_says_of_itself_is_a_name_that_parses() {
        for said in ["{A1/B2}\u{0}\n", "ü", "", &"x".repeat(500), "../../etc/passwd", "a b\"c"] {
            for id in [ReaderId::usb((1, 2), said), ReaderId::serial(said)] {
                assert_eq!(id.as_str().parse(), Ok(id.clone()), "{said:?}");
            }
        }
    }

    #[test]
    fn a_text_that_is_no_name_is_refused() {
        for text in ["", "a/b", "a b", "ü", &"x".repeat(97)] {
            assert_eq!(text.parse::<ReaderId>(), Err(NotAReaderId), "{text:?}");
        }
    }
}
