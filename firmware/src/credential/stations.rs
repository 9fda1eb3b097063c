//! Stations and officers: given a certificate for the key that they hold, listed, and revoked at once.
//!
//! Invariant: a client is registered before its certificate leaves the box, and is nobody from the moment
//! that its removal is answered; the registry on the disk and the one in force are changed together.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{
    authority::{Authority, AuthorityError},
    clients::{Client, Clients, ClientsError},
    csr::{self, CsrError},
};
use crate::{request::Role, store::StoreError};

/// Bytes of a client's name.
const LONGEST: usize = 64;

/// What a client is called: it is in its certificate, and names its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

/// A text that names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client's name has 1 to {LONGEST} letters, digits, '.', '_' and '-', and does not begin with '.'")]
pub struct NotAName;

impl TryFrom<String> for ClientName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let good = (1..=LONGEST).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain);
        if good { Ok(Self(text)) } else { Err(NotAName) }
    }
}

impl ClientName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a client is not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    /// The request for a certificate cannot be used.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The name is taken, or nobody's; or the registry cannot be kept.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The certificate cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store does not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody could administer the box any more.
    #[error("this is the last administrator: add another one first")]
    LastAdministrator,
}

/// A client that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// As it is registered.
    pub client: Client,
    /// Its certificate in PEM.
    pub certificate: String,
    /// The box's authority in PEM.
    pub authority: String,
}

/// The registry in force and on the disk.
pub struct Stations {
    folder: PathBuf,
    in_force: Arc<RwLock<Clients>>,
    /// One change at a time.
    change: Mutex<()>,
}

impl Stations {
    /// The clients of the authority in `folder`, of which those `in_force` are known to the server.
    pub(crate) fn new(folder: PathBuf, in_force: Arc<RwLock<Clients>>) -> Self {
        Self { folder, in_force, change: Mutex::new(()) }
    }

    /// Everybody, in the order of their registration.
    #[must_use]
    pub fn all(&self) -> Vec<Client> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).all().to_vec()
    }

    /// Registers a client and certifies the key that its request shows. `keep` makes a fact of it first, with its
    /// certificate.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn add(
        &self,
        name: &ClientName,
        role: Role,
        request: &str,
        keep: impl FnOnce(&Client, &str) -> Result<(), StoreError>,
    ) -> Result<Added, StationError> {
        let key = csr::proven_key(request)?;
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        if clients.all().iter().any(|client| client.name == name.as_str()) {
            return Err(ClientsError::Exists(name.as_str().to_owned()).into());
        }
        let authority = Authority::open(&self.folder)?;
        let certified = authority.certify_client(name.as_str(), role, &key.key)?;
        clients.add(name.as_str(), role, &certified.fingerprint)?;
        let client = clients.all().last().cloned().ok_or(ClientsError::Unknown(name.as_str().to_owned()))?;
        keep(&client, &certified.certificate)?;
        clients.save(&self.folder)?;
        self.publish(clients);
        Ok(Added { client, certificate: certified.certificate, authority: authority.certificate()? })
    }

    /// Removes a client: it is nobody from its next request on, on open connections too. `keep` makes a fact of it
    /// first.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn remove(
        &self,
        name: &str,
        keep: impl FnOnce(&Client) -> Result<(), StoreError>,
    ) -> Result<(), StationError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let administrators = |clients: &Clients| {
            clients.all().iter().filter(|client| client.role == Role::Administrator).count()
        };
        let before = administrators(&clients);
        let gone = clients.all().iter().find(|client| client.name == name).cloned();
        clients.remove(name)?;
        if before > 0 && administrators(&clients) == 0 {
            return Err(StationError::LastAdministrator);
        }
        gone.as_ref().map_or(Ok(()), keep)?;
        // It is gone in the store: who cannot be struck off the file is nobody all the same, and is at the next start.
        self.publish(clients.clone());
        Ok(clients.save(&self.folder)?)
    }

    /// Reads the registry again, has `facts` say what it is to be, given nothing when there is none, and makes it so.
    ///
    /// # Errors
    /// [`StationError`]; then the one in force stays.
    pub fn settle(
        &self,
        facts: impl FnOnce(Option<&[Client]>) -> Result<Vec<Client>, StoreError>,
    ) -> Result<(), StationError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Clients::find(&self.folder)?;
        let settled = Clients::from(facts(found.as_ref().map(Clients::all))?);
        self.publish(settled.clone());
        if found.as_ref() != Some(&settled) && !(found.is_none() && settled.all().is_empty()) {
            settled.save(&self.folder)?;
        }
        Ok(())
    }

    fn publish(&self, clients: Clients) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }
}

#[cfg(test)]
mod tests {
    use super::{csr::tests::request, *};

    fn kept(_: &Client, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn fresh() -> String {
        request(&rcgen::KeyPair::generate().unwrap())
    }

    fn name(text: &str) -> ClientName {
        ClientName::try_from(text.to_owned()).unwrap()
    }

    fn stations() -> (tempfile::TempDir, Stations) {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        Authority::init(&pki, &["localhost".to_owned()]).unwrap();
        (folder, Stations::new(pki, Arc::default()))
    }

    #[test]
    fn a_client_is_known_at_once_and_after_a_restart_and_forgotten_the_same_way() {
        let (_folder, stations) = stations();
        let added = stations.add(&name("desk-1"), Role::Station, &fresh(), kept).unwrap();
        assert!(added.certificate.contains("BEGIN CERTIFICATE"));
        assert!(added.authority.contains("BEGIN CERTIFICATE"));
        assert_eq!(stations.all(), [added.client]);
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
        stations.remove("desk-1", |_| Ok(())).unwrap();
        assert_eq!(stations.all(), []);
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), []);
        assert!(matches!(
            stations.remove("desk-1", |_| Ok(())),
            Err(StationError::Clients(ClientsError::Unknown(_)))
        ));
    }

    #[test]
    fn a_name_is_taken_once_and_a_bad_request_takes_none() {
        let (_folder, stations) = stations();
        assert!(matches!(
            stations.add(&name("a"), Role::Station, "no request", kept),
            Err(StationError::Csr(_))
        ));
        stations.add(&name("a"), Role::Station, &fresh(), kept).unwrap();
        let again = stations.add(&name("a"), Role::Officer, &fresh(), kept);
        assert!(matches!(again, Err(StationError::Clients(ClientsError::Exists(_)))));
        assert_eq!(stations.all().len(), 1);
    }

    #[test]
    fn the_last_administrator_stays() {
        let (_folder, stations) = stations();
        stations.add(&name("one"), Role::Administrator, &fresh(), kept).unwrap();
        assert!(matches!(stations.remove("one", |_| Ok(())), Err(StationError::LastAdministrator)));
        stations.add(&name("two"), Role::Administrator, &fresh(), kept).unwrap();
        stations.remove("one", |_| Ok(())).unwrap();
        assert_eq!(stations.all().len(), 1);
    }

    #[test]
    fn only_plain_names_are_names() {
        for bad in ["", ".hidden", "a b", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(ClientName::try_from(bad.to_owned()), Err(NotAName), "{bad}");
        }
        assert_eq!(name("door_2.west").as_str(), "door_2.west");
    }

    #[test]
    fn what_the_store_does_not_keep_is_not_registered_nor_removed() {
        let (_folder, stations) = stations();
        let refused = stations.add(&name("a"), Role::Station, &fresh(), |_, _| Err(StoreError::Full));
        assert!(matches!(refused, Err(StationError::Store(StoreError::Full))));
        assert_eq!(stations.all(), []);
        stations.add(&name("a"), Role::Station, &fresh(), kept).unwrap();
        let refused = stations.remove("a", |_| Err(StoreError::Full));
        assert!(matches!(refused, Err(StationError::Store(StoreError::Full))));
        assert_eq!(stations.all().len(), 1);
    }

    #[test]
    fn a_registry_is_what_the_facts_say_and_a_lost_one_comes_back() {
        let (_folder, stations) = stations();
        let one = stations.add(&name("one"), Role::Station, &fresh(), kept).unwrap().client;
        let two = stations.add(&name("two"), Role::Station, &fresh(), kept).unwrap().client;
        stations
            .settle(|found| Ok(found.unwrap().iter().filter(|client| **client != one).cloned().collect()))
            .unwrap();
        assert_eq!(stations.all().len(), 1);
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), [two]);
        std::fs::remove_file(stations.folder.join("clients.toml")).unwrap();
        stations.settle(|found| Ok(found.map_or_else(|| vec![one.clone()], <[Client]>::to_vec))).unwrap();
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), [one]);
    }
}
