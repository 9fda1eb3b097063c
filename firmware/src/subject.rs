//! Biometric data subjects (ISO/IEC 2382-37): who is enrolled, and with which fingers.
//!
//! Names are parsed once: what carries these types needs no further check.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    directory::{Account, Link},
};

/// A subject's identifier: random, so that it says nothing about the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(Uuid);

impl SubjectId {
    /// A new identifier.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Sixteen bytes, for keys.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From the sixteen bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no subject's identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a subject id: it has the form 123e4567-e89b-42d3-a456-426614174000")]
pub struct NotASubjectId;

impl FromStr for SubjectId {
    type Err = NotASubjectId;

    fn from_str(text: &str) -> Result<Self, NotASubjectId> {
        // Only the hyphenated form: one subject has one spelling.
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(NotASubjectId),
        }
    }
}

/// What a person is called, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectName(String);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject's name has 1 to 128 characters and no control characters")]
pub struct NotAName;

impl TryFrom<String> for SubjectName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let trimmed = text.trim();
        let fits = (1..=128).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
        if fits { Ok(Self(trimmed.to_owned())) } else { Err(NotAName) }
    }
}

impl From<SubjectName> for String {
    fn from(name: SubjectName) -> Self {
        name.0
    }
}

impl AsRef<str> for SubjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What somebody types to say who he is: a login, or a user principal name. Case makes no difference, nor the domain that
/// Windows writes before it (`DOMAIN\login`): the directories that are followed have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

/// A text that nobody is called by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a login has 1 to 256 characters and no control characters, behind a domain or without one (DOMAIN\\login)"
)]
pub struct NotALogin;

impl TryFrom<String> for Login {
    type Error = NotALogin;

    fn try_from(text: String) -> Result<Self, NotALogin> {
        let trimmed = text.rsplit('\\').next().unwrap_or_default().trim();
        let fits = (1..=256).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
        if fits { Ok(Self(trimmed.to_lowercase())) } else { Err(NotALogin) }
    }
}

impl From<Login> for String {
    fn from(login: Login) -> Self {
        login.0
    }
}

impl AsRef<str> for Login {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A group of subjects, whose restrictions hold for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// A text that is no name of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group has 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")]
pub struct NotAGroup;

impl TryFrom<String> for GroupName {
    type Error = NotAGroup;

    fn try_from(text: String) -> Result<Self, NotAGroup> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(NotAGroup) }
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl AsRef<str> for GroupName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Which finger, by the codes of ISO/IEC 19794-2 table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FingerPosition {
    RightThumb = 1,
    RightIndex = 2,
    RightMiddle = 3,
    RightRing = 4,
    RightLittle = 5,
    LeftThumb = 6,
    LeftIndex = 7,
    LeftMiddle = 8,
    LeftRing = 9,
    LeftLittle = 10,
}

impl FingerPosition {
    /// All ten, by code.
    pub const ALL: [Self; 10] = [
        Self::RightThumb,
        Self::RightIndex,
        Self::RightMiddle,
        Self::RightRing,
        Self::RightLittle,
        Self::LeftThumb,
        Self::LeftIndex,
        Self::LeftMiddle,
        Self::LeftRing,
        Self::LeftLittle,
    ];

    /// The code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The finger of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.code() == code)
    }

    /// The name that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RightThumb => "right-thumb",
            Self::RightIndex => "right-index",
            Self::RightMiddle => "right-middle",
            Self::RightRing => "right-ring",
            Self::RightLittle => "right-little",
            Self::LeftThumb => "left-thumb",
            Self::LeftIndex => "left-index",
            Self::LeftMiddle => "left-middle",
            Self::LeftRing => "left-ring",
            Self::LeftLittle => "left-little",
        }
    }
}

/// A text that names no finger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a finger: right- or left- with thumb, index, middle, ring or little")]
pub struct NotAFinger;

impl FromStr for FingerPosition {
    type Err = NotAFinger;

    fn from_str(text: &str) -> Result<Self, NotAFinger> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or(NotAFinger)
    }
}

/// What a caller says of a person to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubject {
    /// For people.
    pub name: SubjectName,
    /// Groups whose restrictions hold.
    pub groups: BTreeSet<GroupName>,
}

/// A person and the fingers enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Random identifier.
    pub id: SubjectId,
    /// For people.
    pub name: SubjectName,
    /// When the subject was made.
    pub created: Timestamp,
    /// Groups whose restrictions hold.
    pub groups: BTreeSet<GroupName>,
    /// Enrolled fingers, by position.
    pub fingers: Vec<FingerSummary>,
    /// Whether there is a PIN.
    pub pin: bool,
    /// Until when a recovery code that was given is good.
    pub recovery_code: Option<Timestamp>,
    /// Which directory he is in; nothing of who was made here.
    pub followed: Option<Followed>,
}

/// That somebody is followed in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Which, as whom, and how he stands there.
    pub link: Link,
    /// His account there.
    pub account: Account,
}

/// An enrolled finger, without its biometrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerSummary {
    /// Which.
    pub position: FingerPosition,
    /// Impressions kept.
    pub impressions: usize,
    /// The worst of their qualities, 0 to 100.
    pub quality: u8,
    /// Whether it raises a silent alarm.
    pub duress: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_id_has_one_spelling() {
        let id = SubjectId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        let simple = id.to_string().replace('-', "");
        assert_eq!(simple.parse::<SubjectId>(), Err(NotASubjectId));
        assert_eq!("".parse::<SubjectId>(), Err(NotASubjectId));
    }

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        let name = |text: &str| SubjectName::try_from(text.to_owned());
        assert_eq!(name("  Ada Lovelace ").unwrap().as_ref(), "Ada Lovelace");
        for bad in ["", "   ", "a\nb", &"x".repeat(129)] {
            assert_eq!(name(bad), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn a_login_is_the_same_in_any_case_and_behind_any_domain() {
        let login = |text: &str| Login::try_from(text.to_owned());
        for same in ["ada", " Ada ", "CORP\\ada", "corp.example\\ADA"] {
            assert_eq!(login(same).unwrap().as_ref(), "ada", "{same}");
        }
        assert_eq!(login("Ada@Corp.Example").unwrap().as_ref(), "ada@corp.example");
        for bad in ["", " ", "CORP\\", "a\nb", &"x".repeat(257)] {
            assert_eq!(login(bad), Err(NotALogin), "{bad:?}");
        }
    }

    #[test]
    fn fingers_have_names_and_codes_that_lead_back() {
        for position in FingerPosition::ALL {
            assert_eq!(FingerPosition::from_code(position.code()), Some(position));
            assert_eq!(position.name().parse(), Ok(position));
            assert_eq!(serde_json::to_value(position).unwrap(), position.name());
        }
        assert_eq!(FingerPosition::from_code(0), None);
    }
}
