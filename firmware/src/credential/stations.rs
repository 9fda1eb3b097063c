//! Stations and officers: given a certificate for the key that they hold, listed, and revoked at once.
//!
//! Invariant: a client is registered before its certificate leaves the box, and is nobody from the moment
//! that its removal is answered; the registry on the disk and the one in force are changed together.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    authority::{self, Authority, AuthorityError},
    clients::{Client, Clients, ClientsError},
    csr::{self, CsrError},
};
use crate::{
    clock::Timestamp,
    request::{Role, hex},
    store::StoreError,
};

/// Bytes of a client's name.
const LONGEST: usize = 64;
/// A certificate that was renewed is good for so long at least: programs that run have it still.
const OVERLAP: Duration = Duration::from_secs(3600);

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
    /// Whether somebody has two certificates, and which of those that are noted were used.
    renewing: AtomicBool,
    used: Mutex<BTreeSet<String>>,
}

impl Stations {
    /// The clients of the authority in `folder`, of which those `in_force` are known to the server.
    pub(crate) fn new(folder: PathBuf, in_force: Arc<RwLock<Clients>>) -> Self {
        let renewing =
            in_force.read().unwrap_or_else(PoisonError::into_inner).all().iter().any(|c| c.renewed.is_some());
        let renewing = AtomicBool::new(renewing);
        Self { folder, in_force, change: Mutex::new(()), renewing, used: Mutex::default() }
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
        clients.add(Client::new(name.as_str(), role, &certified.fingerprint, Some(certified.expires)))?;
        let client = clients.all().last().cloned().ok_or(ClientsError::Unknown(name.as_str().to_owned()))?;
        keep(&client, &certified.certificate)?;
        clients.save(&self.folder)?;
        self.publish(clients);
        Ok(Added { client, certificate: certified.certificate, authority: authority.certificate()? })
    }

    /// Certifies another key of the client who holds the certificate with this SHA-256; both are good until the new one is
    /// used. `keep` makes facts of it first: of the former, the later with its certificate, and one that is given up.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn renew(
        &self,
        sha256: &[u8; 32],
        request: &str,
        now: Timestamp,
        keep: impl FnOnce(&Client, &Client, &str, Option<&Client>) -> Result<(), StoreError>,
    ) -> Result<Added, StationError> {
        let key = csr::proven_key(request)?;
        let sha256 = hex(sha256);
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let found = clients.all().iter().find(|client| client.sha256 == sha256).cloned();
        let found = found.ok_or_else(|| ClientsError::Unknown("who asks".to_owned()))?;
        let authority = Authority::open(&self.folder)?;
        let certified = authority.certify_client(&found.name, found.role, &key.key)?;
        let later = Client::new(&found.name, found.role, &certified.fingerprint, Some(certified.expires));
        let (former, unheard) = clients.renew(&sha256, later.clone(), now)?;
        keep(&former, &later, &certified.certificate, unheard.as_ref())?;
        clients.save(&self.folder)?;
        self.publish(clients);
        Ok(Added { client: later, certificate: certified.certificate, authority: authority.certificate()? })
    }

    /// Notes that a certificate was used, where that ends the one before it.
    pub(crate) fn used(&self, sha256: &[u8; 32]) {
        if self.renewing.load(Ordering::Relaxed) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(hex(sha256));
        }
    }

    /// Removes certificates that were renewed a while ago by ones that are in use. `keep` makes a fact of each first.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn retire(
        &self,
        now: Timestamp,
        mut keep: impl FnMut(&Client) -> Result<(), StoreError>,
    ) -> Result<(), StationError> {
        if !self.renewing.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let over = |client: &&Client| {
            client.renewed.as_ref().is_some_and(|it| used.contains(&it.by) && now.since(it.at) >= OVERLAP)
        };
        let gone: Vec<Client> = clients.all().iter().filter(over).cloned().collect();
        for client in &gone {
            keep(client)?;
            clients.take(&client.sha256);
        }
        if !gone.is_empty() {
            self.publish(clients.clone());
            clients.save(&self.folder)?;
        }
        Ok(())
    }

    /// Calls a client otherwise; its certificate stays. `keep` makes a fact of it first.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn rename(
        &self,
        name: &str,
        to: &ClientName,
        mut keep: impl FnMut(&Client) -> Result<(), StoreError>,
    ) -> Result<Client, StationError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let unknown = || ClientsError::Unknown(name.to_owned());
        let client = clients.all().iter().find(|client| client.name == name).cloned().ok_or_else(unknown)?;
        let all: Vec<Client> = clients.all().iter().filter(|client| client.name == name).cloned().collect();
        clients.rename(name, to.as_str())?;
        all.iter().try_for_each(&mut keep)?;
        clients.save(&self.folder)?;
        self.publish(clients);
        Ok(Client { name: to.as_str().to_owned(), ..client })
    }

    /// SHA-256 of the authority's certificate: what a client that has never seen it knows the box by.
    ///
    /// # Errors
    /// [`StationError::Authority`].
    pub fn authority_sha256(&self) -> Result<[u8; 32], StationError> {
        let path = self.folder.join("ca.pem");
        let read = CertificateDer::from_pem_file(&path);
        let read = read.map_err(|why| AuthorityError::File { path, why: std::io::Error::other(why) })?;
        Ok(Sha256::digest(&read).into())
    }

    /// The box's id.
    ///
    /// # Errors
    /// [`StationError::Authority`].
    pub fn device(&self) -> Result<Uuid, StationError> {
        Ok(authority::device(&self.folder)?)
    }

    /// The authority's certificate in PEM.
    ///
    /// # Errors
    /// [`StationError::Authority`].
    pub fn authority(&self) -> Result<String, StationError> {
        Ok(Authority::open(&self.folder)?.certificate()?)
    }

    /// Removes a client: it is nobody from its next request on, on open connections too. `keep` makes a fact of it
    /// first.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn remove(
        &self,
        name: &str,
        mut keep: impl FnMut(&Client) -> Result<(), StoreError>,
    ) -> Result<(), StationError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let administrators = |clients: &Clients| {
            clients.all().iter().filter(|client| client.role == Role::Administrator).count()
        };
        let before = administrators(&clients);
        // Two, where one was renewed by the other.
        let gone: Vec<Client> = clients.all().iter().filter(|client| client.name == name).cloned().collect();
        clients.remove(name)?;
        if before > 0 && administrators(&clients) == 0 {
            return Err(StationError::LastAdministrator);
        }
        gone.iter().try_for_each(&mut keep)?;
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
        let renewing = clients.all().iter().any(|client| client.renewed.is_some());
        self.renewing.store(renewing, Ordering::Relaxed);
        if !renewing {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
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
    fn a_client_that_is_renamed_is_the_same_one_and_takes_nobody_s_name() {
        let (_folder, stations) = stations();
        let one = stations.add(&name("one"), Role::Station, &fresh(), kept).unwrap().client;
        stations.add(&name("two"), Role::Station, &fresh(), kept).unwrap();
        let taken = stations.rename("one", &name("two"), |_| Ok(()));
        assert!(matches!(taken, Err(StationError::Clients(ClientsError::Exists(_)))));
        let unknown = stations.rename("none", &name("three"), |_| Ok(()));
        assert!(matches!(unknown, Err(StationError::Clients(ClientsError::Unknown(_)))));
        let renamed = stations.rename("one", &name("three"), |_| Ok(())).unwrap();
        assert_eq!((renamed.sha256, renamed.name.as_str()), (one.sha256, "three"));
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
    }

    #[test]
    fn a_certificate_that_was_renewed_ends_once_the_later_one_is_used_and_not_before() {
        let (_folder, stations) = stations();
        let at = |seconds: u64| Timestamp::from_millis(1_800_000_000_000 + 1000 * seconds);
        let digest = |client: &Client| crate::request::unhex::<32>(&client.sha256).unwrap();
        let caller = |client: &Client| {
            let known = stations.in_force.read().unwrap();
            known.caller(&digest(client), at(0)).map(|caller| caller.name)
        };
        let old = stations.add(&name("one"), Role::Administrator, &fresh(), kept).unwrap().client;
        assert!(old.expires.is_some());
        let renew = |client: &Client| {
            let (mut kept, mut given_up) = (Vec::new(), None);
            let added = stations.renew(&digest(client), &fresh(), at(0), |former, later, _, unheard| {
                kept.extend([former.sha256.clone(), later.sha256.clone()]);
                given_up = unheard.cloned();
                Ok(())
            });
            (added.unwrap().client, kept, given_up)
        };
        let (unheard, kept, nobody) = renew(&old);
        assert_eq!((kept, nobody), (vec![old.sha256.clone(), unheard.sha256.clone()], None));
        // The answer was lost: the same again, and the one that nobody heard of is nobody's.
        let (new, _, given_up) = renew(&old);
        assert_eq!(given_up.unwrap(), unheard);
        assert_eq!(
            (caller(&unheard), caller(&old), caller(&new)),
            (None, Some("one".into()), Some("one".into()))
        );
        let mut gone = Vec::new();
        let mut retire = |seconds| {
            stations
                .retire(at(seconds), |client| {
                    gone.push(client.sha256.clone());
                    Ok(())
                })
                .unwrap();
        };
        retire(100_000);
        stations.used(&digest(&new));
        retire(60);
        assert!(caller(&old).is_some(), "within the hour, or not used yet");
        let mut gone = Vec::new();
        stations
            .retire(at(3600), |client| {
                gone.push(client.sha256.clone());
                Ok(())
            })
            .unwrap();
        assert_eq!(gone, std::slice::from_ref(&old.sha256));
        assert_eq!((caller(&old), caller(&new)), (None, Some("one".into())));
        assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
        // Both go with their name, and two certificates are one administrator.
        let two =
            stations.add(&name("two"), Role::Administrator, &fresh(), super::tests::kept).unwrap().client;
        renew(&two);
        let mut gone = 0;
        stations
            .remove("two", |_| {
                gone += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((gone, stations.all().len()), (2, 1));
        renew(&new);
        assert!(matches!(stations.remove("one", |_| Ok(())), Err(StationError::LastAdministrator)));
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
