//! A person as a directory has it.
//!
//! Invariant: who somebody is, is the object's identifier, which the directory never gives twice. Names, logins and places may
//! change, and the person stays the same.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::DirectoryError;
use crate::subject::GroupName;

/// What a directory calls an object for ever: `objectGUID` (Active Directory), `GUID` (eDirectory), `entryUUID` (RFC 4530).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(Uuid);

/// Bytes or a text that are no object's identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an object's identifier: it has 16 bytes, written 123e4567-e89b-42d3-a456-426614174000")]
pub struct NotAnObjectId;

impl ObjectId {
    /// From the octets of `objectGUID`, whose first three fields are little-endian ([MS-DTYP] 2.3.4.2).
    ///
    /// # Errors
    /// [`NotAnObjectId`]: they are not sixteen.
    pub fn of_active_directory(octets: &[u8]) -> Result<Self, NotAnObjectId> {
        let octets = octets.try_into().map_err(|_| NotAnObjectId)?;
        Ok(Self(Uuid::from_bytes_le(octets)))
    }

    /// From octets in the order in which they are written.
    ///
    /// # Errors
    /// [`NotAnObjectId`]: they are not sixteen.
    pub fn of_octets(octets: &[u8]) -> Result<Self, NotAnObjectId> {
        let octets = octets.try_into().map_err(|_| NotAnObjectId)?;
        Ok(Self(Uuid::from_bytes(octets)))
    }

    /// The octets as `objectGUID` has them, for a filter.
    #[must_use]
    pub fn to_active_directory(self) -> [u8; 16] {
        self.0.to_bytes_le()
    }

    /// The octets in the order in which they are written.
    #[must_use]
    pub fn to_octets(self) -> [u8; 16] {
        *self.0.as_bytes()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ObjectId {
    type Err = NotAnObjectId;

    fn from_str(text: &str) -> Result<Self, NotAnObjectId> {
        // One object has one spelling.
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(NotAnObjectId),
        }
    }
}

/// A security identifier in its text form (`S-1-5-21-…-1105`), which certificates carry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sid(String);

impl Sid {
    /// From the octets of `objectSid` ([MS-DTYP] 2.4.2.2): revision 1, a count of at most 15, the authority in six octets,
    /// and as many numbers in four, the least octet first.
    #[must_use]
    pub fn of_octets(octets: &[u8]) -> Option<Self> {
        let (&[revision, count], rest) = octets.split_first_chunk::<2>()?;
        let (authority, rest) = rest.split_first_chunk::<6>()?;
        if revision != 1 || count > 15 || rest.len() != usize::from(count) * 4 {
            return None;
        }
        let authority = authority.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
        let numbers =
            rest.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let text = numbers.fold(format!("S-1-{authority}"), |text, number| format!("{text}-{number}"));
        Some(Self(text))
    }

    /// The number that says who it is within the domain.
    #[must_use]
    pub fn relative(&self) -> Option<u32> {
        self.0.rsplit('-').next()?.parse().ok()
    }
}

impl AsRef<str> for Sid {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Whether the directory lets somebody log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It does.
    Active,
    /// An administrator disabled the account.
    Disabled,
    /// The account is over.
    Expired,
}

impl Standing {
    /// Of an account that is disabled or not, and that may have an end, in seconds since 1970.
    pub(super) fn of(disabled: bool, end: Option<i64>, now: i64) -> Self {
        match end {
            _ if disabled => Self::Disabled,
            Some(end) if end <= now => Self::Expired,
            _ => Self::Active,
        }
    }
}

/// A person as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub id: ObjectId,
    /// Where it lies in the tree.
    pub dn: String,
    /// What people call the person, as the mapping takes it; not checked.
    pub name: Option<String>,
    /// The name to log in with (`sAMAccountName`, `uid`, `cn`).
    pub login: Option<String>,
    /// The user principal name, for Kerberos.
    pub upn: Option<String>,
    /// The security identifier.
    pub sid: Option<Sid>,
    /// The groups of the box that the mapping gives for the directory's, nested ones followed.
    pub groups: BTreeSet<GroupName>,
    /// Whether it may log in.
    pub standing: Standing,
    /// Whether it is locked for a while, after wrong passwords. It takes nothing from a finger; no certificate is given meanwhile. Of
    /// Active Directory it is known where one entry is read.
    pub locked_out: bool,
    /// Whether it is privileged (`adminCount`, or a group that the mapping names so): never given a certificate.
    pub privileged: bool,
}

/// Octets of a value that is read of a person: far more than a name has.
pub(super) const LONGEST_VALUE: usize = 16 << 10;

/// What an entry of a directory is for the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A person, and when its account ends, in seconds since 1970.
    Person(Entry, Option<i64>),
    /// Somebody who is not in the group that is required.
    Unwanted(ObjectId),
    /// Cannot be taken.
    Unusable {
        /// Who, if it says so.
        id: Option<ObjectId>,
        /// Whether it is known that it may not log in.
        shut: bool,
        /// Why it cannot.
        why: String,
    },
}

impl Taken {
    /// Who it is, if it says so.
    pub(super) fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Person(entry, _) => Some(entry.id),
            Self::Unwanted(id) => Some(*id),
            Self::Unusable { id, .. } => *id,
        }
    }

    /// The person, if it is wanted.
    pub(super) fn wanted(self) -> Result<Option<Entry>, DirectoryError> {
        match self {
            Self::Person(entry, _) => Ok(Some(entry)),
            Self::Unwanted(_) => Ok(None),
            Self::Unusable { why, .. } => Err(DirectoryError::Protocol(why)),
        }
    }

    /// It does not say who it is.
    pub(super) fn nobody(attribute: &str) -> Self {
        Self::Unusable { id: None, shut: false, why: format!("its {attribute} is missing or malformed") }
    }

    /// A person, unless a value of it is too long to be what it is taken for.
    pub(super) fn person(entry: Entry, end: Option<i64>, longest: Option<(&str, usize)>) -> Self {
        match longest.filter(|(_, length)| *length > LONGEST_VALUE) {
            None => Self::Person(entry, end),
            Some((attribute, _)) => Self::Unusable {
                id: Some(entry.id),
                shut: entry.standing != Standing::Active,
                why: format!("its {attribute} has more than the {LONGEST_VALUE} octets that are taken"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_is_spelt_as_the_directory_spells_it() {
        let octets =
            [0x67, 0x45, 0x3e, 0x12, 0x9b, 0xe8, 0xd3, 0x42, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00];
        let id = ObjectId::of_active_directory(&octets).unwrap();
        assert_eq!(id.to_string(), "123e4567-e89b-42d3-a456-426614174000");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_active_directory(), octets);
        assert_eq!(ObjectId::of_octets(&id.to_octets()), Ok(id));
        assert_eq!(ObjectId::of_active_directory(&octets[1..]), Err(NotAnObjectId));
        assert_eq!("123e4567e89b42d3a456426614174000".parse::<ObjectId>(), Err(NotAnObjectId));
    }

    #[test]
    fn a_sid_is_read_from_its_octets_and_from_no_others() {
        let mut octets = vec![1, 5, 0, 0, 0, 0, 0, 5];
        octets.extend([21u32, 1, 2, 3, 1105].iter().flat_map(|number| number.to_le_bytes()));
        let sid = Sid::of_octets(&octets).unwrap();
        assert_eq!((sid.as_ref(), sid.relative()), ("S-1-5-21-1-2-3-1105", Some(1105)));
        for bad in [&octets[..27], &octets[..7], &[], &[2, 0, 0, 0, 0, 0, 0, 5]] {
            assert_eq!(Sid::of_octets(bad), None);
        }
    }
}
