//! What an unclaimed box writes on its console.
//!
//! Invariant: this goes to the console alone, never through the log, which is kept and shipped; and no
//! text from outside gets there with a control character in it.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use uuid::Uuid;

use super::code::Code;
use crate::request::hex;

/// Where a person looks.
pub trait Console: Send + Sync {
    /// Shows a text.
    ///
    /// # Errors
    /// What the system says.
    fn show(&self, text: &str) -> io::Result<()>;
}

/// Standard output.
pub struct StandardOutput;

impl Console for StandardOutput {
    fn show(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// A device such as `/dev/console`, opened anew each time: whoever held the screen may have gone.
pub struct Device(pub PathBuf);

/// Whoever leads a session without a terminal would get the one that it opens.
const NOCTTY: i32 = rustix::fs::OFlags::NOCTTY.bits() as i32;

impl Console for Device {
    fn show(&self, text: &str) -> io::Result<()> {
        // A screen wants both ends of a line.
        OpenOptions::new()
            .append(true)
            .custom_flags(NOCTTY)
            .open(&self.0)?
            .write_all(text.replace('\n', "\r\n").as_bytes())
    }
}

/// What there is to claim with.
pub(super) enum Secret<'a> {
    /// A code that is good for half an hour.
    Shown(&'a Code),
    /// The one shown before is still good.
    Before,
    /// The one that the administrator chose.
    Chosen,
    /// There is none at the moment.
    Nothing,
}

/// Which box this is.
pub(super) struct Identity {
    pub(super) device: Uuid,
    pub(super) authority_sha256: [u8; 32],
}

/// The block that tells how to claim the box.
pub(super) fn block(identity: &Identity, addresses: &[SocketAddr], secret: &Secret<'_>) -> String {
    let digest = hex(&identity.authority_sha256);
    let groups: Vec<&str> = (0..digest.len()).step_by(4).filter_map(|at| digest.get(at..at + 4)).collect();
    let (first, second) = groups.split_at(groups.len() / 2);
    let (code, typed) = match secret {
        Secret::Shown(code) => (format!("{code}   good once, for 30 minutes"), code.to_string()),
        Secret::Before => ("the one shown before".to_owned(), "-".to_owned()),
        Secret::Chosen => ("the one chosen in provision.toml".to_owned(), "-".to_owned()),
        Secret::Nothing => ("none yet; wait for the next lines".to_owned(), "-".to_owned()),
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n=== Authenteon {} is not claimed yet ===", identity.device);
    let _ = writeln!(text, "  code        {code}");
    let _ = writeln!(text, "  CA SHA-256  {}\n              {}", first.join(" "), second.join(" "));
    if addresses.is_empty() {
        let _ = writeln!(text, "  address     none yet: connect the network");
    }
    for address in addresses {
        let _ = writeln!(text, "  address     https://{address}");
    }
    if let Some(address) = addresses.first() {
        let _ = writeln!(text, "Claim it with:");
        let _ = writeln!(
            text,
            "  authenteonctl claim --url https://{address} --ca-sha256 {digest} --code {typed}"
        );
    }
    text.push('\n');
    text
}

/// One line, and nothing in it that a terminal obeys.
pub(super) fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    format!("Authenteon: {plain}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { device: Uuid::nil(), authority_sha256: [0xAB; 32] }
    }

    #[test]
    fn the_block_has_everything_that_a_claim_needs() {
        let code = Code::random(rustls::crypto::aws_lc_rs::default_provider().secure_random).unwrap();
        let addresses = ["192.168.1.5:3411".parse().unwrap(), "[2001:db8::5]:3411".parse().unwrap()];
        let text = block(&identity(), &addresses, &Secret::Shown(&code));
        let command = format!(
            "authenteonctl claim --url https://192.168.1.5:3411 --ca-sha256 {} --code {code}\n",
            "ab".repeat(32)
        );
        assert!(text.contains(&command), "{text}");
        assert!(text.contains("https://[2001:db8::5]:3411"), "{text}");
        assert_eq!(text.matches("abab").count() - command.matches("abab").count(), 16, "{text}");
        assert!(text.lines().filter(|l| !l.contains("authenteonctl")).all(|l| l.len() <= 80), "{text}");
    }

    #[test]
    fn without_an_address_the_block_says_so_and_without_a_code_it_shows_none() {
        let text = block(&identity(), &[], &Secret::Chosen);
        assert!(text.contains("connect the network") && !text.contains("authenteonctl"), "{text}");
    }

    #[test]
    fn a_foreign_text_commands_no_terminal() {
        assert_eq!(line("a\x1b[2Jb\r\nc\u{9b}d"), "Authenteon: a [2Jb  c d\n");
    }
}
