//! A code that gets one machine one certificate: what its holder must know of the box before a byte is sent to it, and
//! the secret that the box knows it by.
//!
//! Invariant: a [`Ticket`] is written in one place only, the answer to the administrator who made it; everything else
//! keeps its digest, and it has no `Debug` that tells it.
//!
//! The code is `AU1` and then, in Crockford's base 32 (its length is not bounded but by the name):
//!
//! | bytes | what |
//! |---|---|
//! | 20 | the ticket: 4 name the invitation, 16 are secret |
//! | 32 | SHA-256 of the box's authority in DER |
//! | 4 | when it ends, in seconds since 1970, big-endian |
//! | 1 | the role: 1 station, 2 officer, 3 auditor, 4 backup, 5 administrator |
//! | 1 to 64 | the name, in ASCII |
//! | 4 | the first of the SHA-256 of all bytes before |

use std::fmt;

use rustls::crypto::{GetRandomFailed, SecureRandom};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::stations::ClientName;
use crate::{clock::Timestamp, request::Role, symbols};

/// What a code begins with.
const PREFIX: &str = "AU1";
/// Bytes of a ticket, and how many of them name it.
const BYTES: usize = 20;
const NAMES: usize = 4;

/// What an invitation is called: no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationId([u8; NAMES]);

impl InvitationId {
    /// Its bytes: the key that it is stored under.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; NAMES] {
        &self.0
    }

    /// The invitation that is stored under this key.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self)
    }
}

impl fmt::Display for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::request::hex(&self.0))
    }
}

/// A text that names no invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an invitation is called by eight hexadecimal digits")]
pub struct NotAnId;

impl std::str::FromStr for InvitationId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        crate::request::unhex(text).map(Self).ok_or(NotAnId)
    }
}

/// What the holder of a code shows to the box.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket([u8; BYTES]);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

impl Ticket {
    /// One that nobody can guess.
    pub(crate) fn random(source: &dyn SecureRandom) -> Result<Self, GetRandomFailed> {
        let mut bytes = [0; BYTES];
        source.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        symbols::decode(text).map(Self)
    }

    /// As a client sends it.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        symbols::encode(&self.0)
    }

    /// Which invitation it is of.
    pub(crate) fn id(&self) -> InvitationId {
        let mut id = [0; NAMES];
        id.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        InvitationId(id)
    }

    /// What the box remembers of it: the secret has 128 random bits, so one pass of SHA-256 hides it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Whether it is the one with this digest, in a time that tells nothing of it.
    pub(crate) fn is(&self, digest: &[u8; 32]) -> bool {
        self.digest().ct_eq(digest).into()
    }
}

/// The whole code, for who is invited.
pub(crate) fn code(
    ticket: &Ticket,
    authority: &[u8; 32],
    role: Role,
    name: &ClientName,
    expires: Timestamp,
) -> String {
    let seconds = u32::try_from(expires.millis() / 1000).unwrap_or(u32::MAX);
    let mut bytes = [ticket.0.as_slice(), authority, &seconds.to_be_bytes(), &[number(role)]].concat();
    bytes.extend_from_slice(name.as_str().as_bytes());
    let check: [u8; 32] = Sha256::digest(&bytes).into();
    bytes.extend_from_slice(check.first_chunk::<4>().map_or(&[], <[u8; 4]>::as_slice));
    format!("{PREFIX}{}", symbols::encode(&bytes))
}

/// A role in a code; never changes.
fn number(role: Role) -> u8 {
    match role {
        Role::Station => 1,
        Role::Officer => 2,
        Role::Auditor => 3,
        Role::Backup => 4,
        Role::Administrator => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_the_command_line_client_reads() {
        let mut bytes = [0; BYTES];
        bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        let name = ClientName::try_from("desk-1".to_owned()).unwrap();
        let expires = Timestamp::from_millis(1_800_000_000_000);
        let code = code(&Ticket(bytes), &[0xAB; 32], Role::Station, &name, expires);
        // The same text is read in clients/ctl/src/invitation.rs.
        assert_eq!(code, include_str!("../../../docs/examples/invitation.txt").trim());
        assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{code}");
    }

    #[test]
    fn a_ticket_is_known_by_its_digest_and_tells_itself_to_no_log() {
        let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        let (ticket, other) = (Ticket::random(source).unwrap(), Ticket::random(source).unwrap());
        let typed = Ticket::parse(&ticket.text().to_lowercase()).unwrap();
        assert!(typed.is(&ticket.digest()) && !other.is(&ticket.digest()));
        assert_eq!(ticket.id().to_string().parse(), Ok(ticket.id()));
        assert_eq!(format!("{ticket:?}"), "Ticket(..)");
        for bad in ["", "AU1", &ticket.text()[1..], &format!("{}0", ticket.text())] {
            assert_eq!(Ticket::parse(bad), None);
        }
    }
}
