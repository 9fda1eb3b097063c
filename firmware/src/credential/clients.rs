//! The registry of clients: which certificate may do what, in `clients.toml` beside the authority.
//!
//! Identity is the certificate itself, by its SHA-256, never the name in it. A certificate that is not
//! listed is nobody, though the authority signed it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::write_public;
use crate::{
    clock::Timestamp,
    request::{Caller, ClientId, Role, hex},
};

/// Name of the registry in the authority's folder.
const FILE: &str = "clients.toml";

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The file is not a registry.
    #[error("{path}: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
    /// The name is taken.
    #[error("there is a client named {0} already: take another name, or remove it first")]
    Exists(String),
    /// There is no such client.
    #[error("there is no client named {0}")]
    Unknown(String),
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Client {
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of its certificate, in hex.
    pub sha256: String,
    /// When its certificate ends, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
    /// By what certificate this one was renewed; both are the client's until the first one is used no more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewed: Option<Renewed>,
}

/// That a certificate was renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Renewed {
    /// SHA-256 of the later one, in hex.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Client {
    /// A client with a certificate.
    #[must_use]
    pub fn new(name: &str, role: Role, sha256: &[u8; 32], expires: Option<Timestamp>) -> Self {
        Self { name: name.to_owned(), role, sha256: hex(sha256), expires, renewed: None }
    }
}

/// All clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    #[serde(default, rename = "client")]
    clients: Vec<Client>,
}

impl Clients {
    /// Reads the registry of an authority's folder; without a file there is nobody.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn load(folder: &Path) -> Result<Self, ClientsError> {
        Self::find(folder).map(Option::unwrap_or_default)
    }

    /// Reads the registry of an authority's folder, if there is one.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn find(folder: &Path) -> Result<Option<Self>, ClientsError> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let read = toml::from_str(&text);
                read.map(Some).map_err(|why| ClientsError::Syntax { path, why: why.to_string() })
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(ClientsError::File { path, why }),
        }
    }

    /// Writes the registry.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn save(&self, folder: &Path) -> Result<(), ClientsError> {
        let path = folder.join(FILE);
        let text = toml::to_string(self)
            .map_err(|why| ClientsError::Syntax { path: path.clone(), why: why.to_string() })?;
        write_public(&path, &text).map_err(|why| ClientsError::File { path, why })
    }

    /// Registers a certificate.
    ///
    /// # Errors
    /// [`ClientsError::Exists`].
    pub fn add(&mut self, client: Client) -> Result<(), ClientsError> {
        if self.clients.iter().any(|c| c.name == client.name) {
            return Err(ClientsError::Exists(client.name));
        }
        self.clients.push(client);
        Ok(())
    }

    /// Registers a certificate in the place of whoever had this name.
    pub fn put(&mut self, client: Client) {
        self.clients.retain(|c| c.name != client.name);
        self.clients.push(client);
    }

    /// Registers the later certificate of a client who has the one with this SHA-256. Gives the former as it is now, and
    /// one that was to follow it before.
    ///
    /// # Errors
    /// [`ClientsError::Unknown`].
    pub fn renew(
        &mut self,
        sha256: &str,
        later: Client,
        at: Timestamp,
    ) -> Result<(Client, Option<Client>), ClientsError> {
        let found = self.clients.iter_mut().find(|c| c.sha256 == sha256);
        let former = found.ok_or_else(|| ClientsError::Unknown(later.name.clone()))?;
        let unheard = former.renewed.replace(Renewed { by: later.sha256.clone(), at });
        let former = former.clone();
        let unheard = unheard.and_then(|unheard| self.take(&unheard.by));
        self.clients.push(later);
        Ok((former, unheard))
    }

    /// Forgets the certificate with this SHA-256.
    pub fn take(&mut self, sha256: &str) -> Option<Client> {
        let at = self.clients.iter().position(|c| c.sha256 == sha256)?;
        Some(self.clients.remove(at))
    }

    /// Removes a client.
    ///
    /// # Errors
    /// [`ClientsError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<(), ClientsError> {
        let before = self.clients.len();
        self.clients.retain(|c| c.name != name);
        if self.clients.len() == before { Err(ClientsError::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// Calls a client otherwise.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn rename(&mut self, name: &str, to: &str) -> Result<(), ClientsError> {
        if name != to && self.clients.iter().any(|c| c.name == to) {
            return Err(ClientsError::Exists(to.to_owned()));
        }
        let mut clients = self.clients.iter_mut().filter(|c| c.name == name).peekable();
        if clients.peek().is_none() {
            return Err(ClientsError::Unknown(name.to_owned()));
        }
        clients.for_each(|client| to.clone_into(&mut client.name));
        Ok(())
    }

    /// Administrators whose certificate has not ended.
    #[must_use]
    pub fn administrators(&self, now: Timestamp) -> usize {
        let administers = |client: &&Client| {
            client.role == Role::Administrator && client.expires.is_none_or(|end| now < end)
        };
        self.clients.iter().filter(administers).count()
    }

    /// The registry without what the version before does not know. When certificates end, they say themselves.
    #[must_use]
    pub fn as_before(mut self) -> Self {
        for client in &mut self.clients {
            (client.expires, client.renewed) = (None, None);
        }
        self
    }

    /// All clients, in the order of their registration.
    #[must_use]
    pub fn all(&self) -> &[Client] {
        &self.clients
    }

    /// Who holds the certificate with this SHA-256, unless it has ended.
    #[must_use]
    pub fn caller(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Caller> {
        let digest = hex(sha256);
        let client = self.clients.iter().find(|c| c.sha256 == digest)?;
        if client.expires.is_some_and(|end| now >= end) {
            return None;
        }
        Some(Caller::new(ClientId::of_certificate(sha256), client.role, client.name.clone()))
    }
}

impl From<Vec<Client>> for Clients {
    fn from(clients: Vec<Client>) -> Self {
        Self { clients }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_digest_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut clients = Clients::load(folder.path()).unwrap();
        let client = |role, n: u8| Client::new("door", role, &[n; 32], Some(Timestamp::from_millis(9)));
        clients.add(client(Role::Station, 1)).unwrap();
        assert!(matches!(clients.add(client(Role::Officer, 2)), Err(ClientsError::Exists(_))));
        clients.save(folder.path()).unwrap();

        let mut clients = Clients::load(folder.path()).unwrap();
        let [before, end] = [8, 9].map(Timestamp::from_millis);
        assert_eq!(clients.caller(&[1; 32], before).unwrap().role, Role::Station);
        assert_eq!((clients.caller(&[1; 32], end), clients.caller(&[2; 32], before)), (None, None));
        clients.remove("door").unwrap();
        assert!(matches!(clients.remove("door"), Err(ClientsError::Unknown(_))));
        assert_eq!(clients.caller(&[1; 32], before), None);
    }

    #[test]
    fn a_registry_with_an_unknown_field_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "[[client]]\nname = \"x\"\nroles = 1\n").unwrap();
        let why = Clients::load(folder.path()).unwrap_err().to_string();
        assert!(why.contains("line 3") && why.contains("roles"), "{why}");
    }
}
