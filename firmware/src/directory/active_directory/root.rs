//! What a domain controller says of itself.

use ldap3::Scope;
use serde::{Deserialize, Serialize};

use crate::directory::{
    DirectoryError, ObjectId,
    wire::{Connection, Question},
};

pub(super) const DIRSYNC: &str = "1.2.840.113556.1.4.841";

/// A controller's database, and how far it has come. What is restored from a backup goes back, or gets another identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Controller {
    /// `invocationId` of its database, or where its settings lie if that cannot be read.
    pub(super) database: String,
    /// `highestCommittedUSN`.
    pub(super) usn: u64,
}

impl Controller {
    /// Whether `self`, read later, is the same database and has not gone back: then all that changed has a higher number.
    pub(super) fn goes_on_from(&self, earlier: &Self) -> bool {
        self.database == earlier.database && self.usn >= earlier.usn
    }
}

/// The root of what it serves.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// DN of the domain.
    pub(super) domain: String,
    pub(super) controller: Controller,
    /// Whether it knows DirSync.
    pub(super) dirsync: bool,
}

impl Root {
    pub(super) async fn read(connection: &mut Connection) -> Result<Self, DirectoryError> {
        let mut question = Question {
            base: "",
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &["defaultNamingContext", "dsServiceName", "highestCommittedUSN", "supportedControl"],
            controls: Vec::new(),
            doing: "read what the server says of itself",
        };
        let other =
            || DirectoryError::Protocol("it is no Active Directory: `kind` has to say what it is".into());
        let root = connection.entry(&question).await?.ok_or_else(other)?;
        let domain = root.text("defaultNamingContext").ok_or_else(other)?.to_owned();
        let usn =
            root.number("highestCommittedUSN").and_then(|usn| u64::try_from(usn).ok()).ok_or_else(other)?;
        let settings = root.text("dsServiceName").ok_or_else(other)?.to_owned();
        let dirsync = root.all("supportedControl").iter().any(|control| control == DIRSYNC.as_bytes());
        question.base = &settings;
        question.attributes = &["invocationId"];
        // A plain account may read it; where it may not, the controller's name has to do, and its number still goes up.
        let database = match connection.entry(&question).await {
            Ok(Some(found)) => {
                found.octets("invocationId").and_then(|id| ObjectId::of_active_directory(id).ok())
            }
            Ok(None) | Err(DirectoryError::Right(_)) => None,
            Err(why) => return Err(why),
        };
        let database = database.map_or_else(|| settings.clone(), |id| id.to_string());
        Ok(Self { domain, controller: Controller { database, usn }, dirsync })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_or_one_that_went_back_is_not_gone_on_from() {
        let at = |database: &str, usn| Controller { database: database.into(), usn };
        assert!(at("a", 5).goes_on_from(&at("a", 5)));
        assert!(!at("a", 4).goes_on_from(&at("a", 5)));
        assert!(!at("b", 9).goes_on_from(&at("a", 5)));
    }
}
