//! Who asks, and how a request is told from its repetition.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::credential::invitation::InvitationId;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the box: may do whatever an officer may, and claimed it.
    Administrator,
    /// Keeps subjects and enrols fingers.
    Officer,
    /// Asks for verification and identification.
    Station,
    /// Reads the audit, and changes nothing.
    Auditor,
    /// Takes backups, which nobody reads without their passphrase, and nothing else.
    Backup,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Administrator, Self::Officer, Self::Station, Self::Auditor, Self::Backup];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrator => "administrator",
            Self::Officer => "officer",
            Self::Station => "station",
            Self::Auditor => "auditor",
            Self::Backup => "backup",
        })
    }
}

/// A text that is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is administrator, officer, station, auditor or backup")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.to_string() == text).ok_or(NotARole)
    }
}

/// What those begin with who ask by RADIUS.
const RADIUS: &str = "radius:";

/// A client as it is known: hex of its certificate's SHA-256, or its kind and name where it has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

impl ClientId {
    /// The client with this certificate.
    #[must_use]
    pub fn of_certificate(sha256: &[u8; 32]) -> Self {
        Self(hex(sha256))
    }

    /// Whoever holds the code of an invitation.
    #[must_use]
    pub fn of_invitation(id: &InvitationId) -> Self {
        Self(format!("invitation:{id}"))
    }

    /// Whoever signed in to this account.
    #[must_use]
    pub fn of_account(name: &str) -> Self {
        Self(format!("account:{name}"))
    }

    /// Whoever shows the token that is called so.
    #[must_use]
    pub fn of_token(name: &str) -> Self {
        Self(format!("token:{name}"))
    }

    /// Whoever asks by RADIUS under this name of the configuration.
    #[must_use]
    pub fn of_radius(name: &str) -> Self {
        Self(format!("{RADIUS}{name}"))
    }

    /// Whether somebody asks by RADIUS.
    #[must_use]
    pub fn is_of_radius(&self) -> bool {
        self.0.starts_with(RADIUS)
    }

    /// The identifier's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the log may have of it: enough to find the client in the box's registry, and no name.
    #[must_use]
    pub fn brief(&self) -> &str {
        match self.0.split_once(':') {
            Some((kind, _)) => kind,
            None => brief(&self.0),
        }
    }
}

/// The first digits of a long identifier.
#[must_use]
pub fn brief(identifier: &str) -> &str {
    const DIGITS: usize = 12;
    identifier.get(..DIGITS).unwrap_or(identifier)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of as many pairs of hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(bytes)
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The certificate.
    pub id: ClientId,
    /// What it was registered for.
    pub role: Role,
    /// What it was registered as, for people.
    pub name: String,
    /// The address that its connection comes from; none of what the box does by itself.
    pub from: Option<IpAddr>,
}

impl Caller {
    /// Somebody, from nowhere yet.
    #[must_use]
    pub fn new(id: ClientId, role: Role, name: String) -> Self {
        Self { id, role, name, from: None }
    }

    /// The same, at the other end of a connection. An IPv4 address reads so, also where it comes as one of IPv6.
    #[must_use]
    pub fn at(self, from: Option<IpAddr>) -> Self {
        Self { from: from.map(|address| address.to_canonical()), ..self }
    }
}

/// A caller's own name for a request: the same name and body get the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

/// A value that the caller has never used before; it comes back in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(String);

/// A text that cannot be used as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// For [`RequestId`].
    #[error("a request_id has 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    RequestId,
    /// For [`Nonce`].
    #[error("a nonce has 16 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")]
    Nonce,
}

impl RequestId {
    /// One of the box's own, for what comes to it under no name.
    #[must_use]
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

impl Nonce {
    /// One of the box's own.
    #[must_use]
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

impl TryFrom<String> for RequestId {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(NotAToken::RequestId) }
    }
}

impl TryFrom<String> for Nonce {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        let fits = (16..=128).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(NotAToken::Nonce) }
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        nonce.0
    }
}

impl AsRef<str> for RequestId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Nonce {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_written_and_nothing_else_is_one() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        for bad in ["", "Station", "public", "king"] {
            assert_eq!(bad.parse::<Role>(), Err(NotARole));
        }
    }

    #[test]
    fn tokens_are_short_and_plain() {
        assert!(RequestId::try_from("a-1.b_2".to_owned()).is_ok());
        for bad in ["", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(RequestId::try_from(bad.to_owned()), Err(NotAToken::RequestId));
        }
        assert!(Nonce::try_from("0123456789abcdef".to_owned()).is_ok());
        for bad in ["short", "0123456789abcde=", &"x".repeat(129)] {
            assert_eq!(Nonce::try_from(bad.to_owned()), Err(NotAToken::Nonce));
        }
    }
}
