//! What the box keeps of a person whom it follows: whose he is, how he stands there, and his account.
//!
//! Invariant: a login and a user principal name are held by one person of the box at most; whoever else claims one has it
//! withheld, and it is told of nobody then.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{ObjectId, Sid, Standing};
use crate::clock::Timestamp;

/// What a directory is called on this box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

/// A text that is no name of a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a directory's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with no '.'")]
pub struct NotASourceName;

impl TryFrom<String> for SourceName {
    type Error = NotASourceName;

    fn try_from(text: String) -> Result<Self, NotASourceName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fits = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain);
        if fits { Ok(Self(text)) } else { Err(NotASourceName) }
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0
    }
}

impl AsRef<str> for SourceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How somebody stands in his directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// He may log in.
    Active,
    /// An administrator disabled him.
    Disabled,
    /// His account is over.
    Expired,
    /// He is not in it any more, or not among those who are followed.
    Gone,
}

impl State {
    /// The word that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Gone => "gone",
        }
    }

    /// What the audit says of a refusal; nothing of who is not refused for it.
    #[must_use]
    pub fn why(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::Disabled => Some("disabled in the directory"),
            Self::Expired => Some("the account in the directory is over"),
            Self::Gone => Some("not in the directory any more"),
        }
    }
}

impl From<Standing> for State {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self::Active,
            Standing::Disabled => Self::Disabled,
            Standing::Expired => Self::Expired,
        }
    }
}

/// Whose somebody is, and how he stands. Small: it is in memory, for decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// Which directory he is in.
    pub source: SourceName,
    /// Who he is there.
    pub object: ObjectId,
    /// How he stands.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
}

/// What one person of the box alone may be called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifier {
    /// The name to log in with.
    Login,
    /// The user principal name.
    Upn,
}

impl Identifier {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Login, Self::Upn];

    /// The word that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Upn => "upn",
        }
    }
}

/// Somebody's account, as the directory says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Account {
    /// The name to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The user principal name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upn: Option<String>,
    /// The security identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Sid>,
    /// Whether it is privileged: never given a certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// What of it somebody else holds: it counts for nothing here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<Identifier>,
}

impl Account {
    /// What it claims to be called by, whoever holds it.
    #[must_use]
    pub fn claims(&self, which: Identifier) -> Option<&str> {
        match which {
            Identifier::Login => self.login.as_deref(),
            Identifier::Upn => self.upn.as_deref(),
        }
    }

    /// What it is called by, if it holds that.
    #[must_use]
    pub fn holds(&self, which: Identifier) -> Option<&str> {
        self.claims(which).filter(|_| !self.withheld.contains(&which))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_anything_special_is_short_and_one_of_another_version_is_refused() {
        let account = Account { login: Some("ada".to_owned()), ..Account::default() };
        assert_eq!(serde_json::to_string(&account).unwrap(), r#"{"login":"ada"}"#);
        assert_eq!(serde_json::from_str::<Account>("{}").unwrap(), Account::default());
        assert!(serde_json::from_str::<Account>(r#"{"shell": "/bin/sh"}"#).is_err());
    }

    #[test]
    fn what_is_withheld_is_claimed_and_not_held() {
        let withheld = BTreeSet::from([Identifier::Upn]);
        let account = Account {
            login: Some("ada".to_owned()),
            upn: Some("ada@corp.example".to_owned()),
            withheld,
            ..Account::default()
        };
        assert_eq!(account.claims(Identifier::Upn), Some("ada@corp.example"));
        assert_eq!((account.holds(Identifier::Upn), account.holds(Identifier::Login)), (None, Some("ada")));
    }

    #[test]
    fn a_directory_is_called_by_what_may_stand_in_a_path() {
        for good in ["corp", "Corp.2", "a_b-c"] {
            assert_eq!(SourceName::try_from(good.to_owned()).unwrap().as_ref(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(SourceName::try_from(bad.to_owned()), Err(NotASourceName), "{bad}");
        }
    }
}
