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
/// What clients of RADIUS are called by in the audit and in restrictions, before their names: nobody else is.
pub(crate) const OF_RADIUS: &str = "radius.";
/// A certificate that was renewed is good for so long at least: programs that run have it still.
const OVERLAP: Duration = Duration::from_secs(3600);

/// What a client is called: it is in its certificate, and names its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

/// A text that names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client's name has 1 to {LONGEST} letters, digits, '.', '_' and '-', and begins neither with '.' nor with '{OF_RADIUS}', \
     which clients of RADIUS have"
)]
pub struct NotAName;

impl TryFrom<String> for ClientName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let reserved = text.starts_with('.') || text.starts_with(OF_RADIUS);
        let good = (1..=LONGEST).contains(&text.len()) && !reserved && text.chars().all(plain);
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
    /// A restriction waits for a client of the new name, and the old one's comes with it.
    #[error(
        "there is a restriction for station {0}, and who is renamed has one too: take one of them away first"
    )]
    Restricted(String),
    /// Nobody could administer the box any more.
    #[error("this is the last administrator whose certificate has not ended: add another one first")]
    LastAdministrator,
    /// The version before could not read the registry.
    #[error(
        "not while an update is on trial: the version before knows of no renewal; the certificate can be renewed once the update is kept"
    )]
    OnTrial,
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
    /// Whether the version before must be able to read the registry, because it may be started again.
    on_trial: AtomicBool,
    used: Mutex<BTreeSet<String>>,
}

impl Stations {
    /// The clients of the authority in `folder`, of which those `in_force` are known to the server.
    pub(crate) fn new(folder: PathBuf, in_force: Arc<RwLock<Clients>>) -> Self {
        let renewing =
            in_force.read().unwrap_or_else(PoisonError::into_inner).all().iter().any(|c| c.renewed.is_some());
        let renewing = AtomicBool::new(renewing);
        Self {
            folder,
            in_force,
            change: Mutex::new(()),
            renewing,
            on_trial: AtomicBool::new(false),
            used: Mutex::default(),
        }
    }

    /// Whether an update is on trial: then the registry is written as the version before can read it.
    pub(crate) fn on_trial(&self, on_trial: bool) {
        self.on_trial.store(on_trial, Ordering::Relaxed);
    }

    fn save(&self, clients: &Clients) -> Result<(), ClientsError> {
        if self.on_trial.load(Ordering::Relaxed) {
            return clients.clone().as_before().save(&self.folder);
        }
        clients.save(&self.folder)
    }

    /// Whether somebody administers the box by a certificate that has not ended.
    #[must_use]
    pub fn administered(&self, now: Timestamp) -> bool {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).administrators(now) > 0
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
        self.save(&clients)?;
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
        if self.on_trial.load(Ordering::Relaxed) {
            return Err(StationError::OnTrial);
        }
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
        self.save(&clients)?;
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
            self.save(&clients)?;
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
        self.save(&clients)?;
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
        now: Timestamp,
        mut keep: impl FnMut(&Client) -> Result<(), StoreError>,
    ) -> Result<(), StationError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients = Clients::load(&self.folder)?;
        let before = clients.administrators(now);
        // Two, where one was renewed by the other.
        let gone: Vec<Client> = clients.all().iter().filter(|client| client.name == name).cloned().collect();
        clients.remove(name)?;
        if before > 0 && clients.administrators(now) == 0 {
            return Err(StationError::LastAdministrator);
        }
        gone.iter().try_for_each(&mut keep)?;
        // It is gone in the store: who cannot be struck off the file is nobody all the same, and is at the next start.
        self.publish(clients.clone());
        Ok(self.save(&clients)?)
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
            self.save(&settled)?;
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
mod tests;
