//! What a directory's source is made from, whoever wrote it down.
//!
//! Invariant: the password is in here and in no text that is made of it.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::subject::GroupName;

/// How long a server may take for each thing it is asked, where nothing else is set.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Which directory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Active Directory, or Samba as one.
    ActiveDirectory,
    /// Novell, NetIQ or OpenText eDirectory: `GUID`, `loginDisabled`, `groupMembership`.
    Edirectory,
    /// Another LDAP directory: `entryUUID`.
    Ldap,
}

/// How changes are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The best that the server has: `dirsync`, else `usn`; `syncrepl`, else `sweep`.
    #[default]
    Auto,
    /// Active Directory's DirSync control.
    Dirsync,
    /// Active Directory's `uSNChanged`, of one domain controller at a time.
    Usn,
    /// RFC 4533, refresh only.
    Syncrepl,
    /// `modifyTimestamp` and a sweep of identifiers: any LDAP server.
    Sweep,
}

/// How the connection is protected. It always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// TLS from the first octet, port 636.
    #[default]
    Ldaps,
    /// StartTLS before anything is said, port 389.
    #[serde(rename = "starttls")]
    StartTls,
}

/// The password of the account. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Of this text.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// For the bind alone.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none: a bind without a password succeeds as nobody, which would look like success.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Which attributes say what of a person; what is `None` is the kind's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The name to log in with; else `sAMAccountName`, eDirectory `cn`, LDAP `uid`.
    pub login: Option<String>,
    /// What people call the person; else `displayName`, eDirectory `fullName`, LDAP `cn`.
    pub name: Option<String>,
    /// The user principal name; else `userPrincipalName`, and none outside Active Directory.
    pub upn: Option<String>,
}

/// What a source is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called here: in the log, and where its cursor is kept.
    pub name: String,
    /// Which directory.
    pub kind: Kind,
    /// How changes are found.
    pub method: Method,
    /// DNS name of the domain: its controllers are found by SRV when `servers` is empty.
    pub domain: Option<String>,
    /// Host names or addresses, in the order in which they are tried.
    pub servers: Vec<String>,
    /// Who is asked for names; when empty, whoever the system asks. The box need not use the domain's DNS for anything else.
    pub name_servers: Vec<IpAddr>,
    /// Another port than the protection's own.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub protection: Protection,
    /// Authorities, in PEM, that may have signed the servers' certificates. Read anew for each connection.
    pub ca: PathBuf,
    /// Who reads: a DN, or for Active Directory `user@domain`.
    pub account: String,
    /// Its password.
    pub password: Password,
    /// Where people lie; for Active Directory the domain's root when `None`, else needed.
    pub base: Option<String>,
    /// Which of them, besides being people; everybody when `None`.
    pub filter: Option<String>,
    /// DN of a group whose members alone are taken.
    pub required_group: Option<String>,
    /// Whether members of members are members.
    pub nested: bool,
    /// Which attributes say what.
    pub attributes: Attributes,
    /// DN of a group of the directory, and the group of the box that its members are in. Several may give the same.
    pub groups: BTreeMap<String, GroupName>,
    /// DNs of groups whose members are privileged, besides those that `adminCount` marks.
    pub privileged_groups: Vec<String>,
    /// DirSync with flags 0, which needs the right "Replicating Directory Changes", instead of what the account may read.
    pub replication_right: bool,
    /// How long a server may take for each answer.
    pub patience: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let password = Password::new(Zeroizing::new("hunter2".into()));
        assert!(!format!("{password:?}").contains("hunter2"));
        assert!(!password.is_empty());
    }
}
