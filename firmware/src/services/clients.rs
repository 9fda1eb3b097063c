//! Who holds a certificate of this box, as facts of the store: the registry on the disk beside the authority is what a
//! locked box reads, and follows them.
//!
//! Invariant: whoever is added or removed over the API is so in the store before he is in the registry; a certificate
//! that was revoked is nobody's for good, whatever the registry says; what lies under a client's name goes with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use serde::Serialize;

use super::{Inner, Services, the_box};
use crate::{
    audit::Event,
    clock::Timestamp,
    credential::clients::Client,
    request::{Caller, ClientId, Role, unhex},
    store::{Change, StoreError, Table, Value},
};

/// What the store says of clients.
#[derive(Default)]
pub(super) struct Known {
    clients: BTreeMap<[u8; 32], Client>,
    revoked: BTreeSet<[u8; 32]>,
}

/// A certificate as it is kept.
#[derive(Serialize)]
struct Certificate<'a> {
    name: &'a str,
    role: Role,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pem: Option<&'a str>,
}

impl Known {
    /// Takes in a value that was read.
    pub(super) fn read(&mut self, value: &Value) -> Result<(), StoreError> {
        let bad = || StoreError::Damaged { place: value.table.name().to_owned() };
        let digest = value.key.as_slice().try_into().map_err(|_| bad())?;
        if value.table == Table::Revocations {
            self.revoked.insert(digest);
        } else {
            self.clients.insert(digest, serde_json::from_slice(&value.value).map_err(|_| bad())?);
        }
        Ok(())
    }
}

fn digest(client: &Client) -> Result<[u8; 32], StoreError> {
    let bad = || StoreError::Io(format!("the registry of clients: {} has no digest", client.name));
    unhex(&client.sha256).ok_or_else(bad)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|why| StoreError::Io(why.to_string()))
}

impl Services {
    /// Whether an update is on trial: the version before may have to go on with what is written now.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.inner.store.is_earlier()
    }

    /// Keeps that a client is added, with its certificate.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not to be.
    pub(crate) fn client_added(
        &self,
        by: &Caller,
        client: &Client,
        certificate: &str,
    ) -> Result<(), StoreError> {
        self.inner.client_added(by, client, certificate, Vec::new())
    }

    /// Keeps that a client has another certificate beside the one that it has; one that was to follow that before is
    /// revoked.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not to have it.
    pub(crate) fn client_renewed(
        &self,
        by: &Caller,
        former: &Client,
        later: &Client,
        certificate: &str,
        unheard: Option<&Client>,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        if inner.store.is_earlier() {
            return Ok(());
        }
        let mut known = inner.known();
        if let Some(unheard) = unheard {
            inner.revoke(&mut known, by, unheard)?;
        }
        let digest = digest(former)?;
        let change = Change::Put { table: Table::Clients, key: digest.to_vec(), value: json(former)? };
        inner.keep(&mut known, by, later, Some(certificate), vec![change])?;
        known.clients.insert(digest, former.clone());
        Ok(())
    }

    /// Keeps that a certificate ended because another one is in use.
    ///
    /// # Errors
    /// [`StoreError`]; then it did not.
    pub(crate) fn client_superseded(&self, client: &Client) -> Result<(), StoreError> {
        self.client_removed(&the_box("a renewal"), client)
    }

    /// Keeps that a client has another name.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not to have it.
    pub(crate) fn client_renamed(&self, by: &Caller, client: &Client, to: &str) -> Result<(), StoreError> {
        let inner = &self.inner;
        if inner.store.is_earlier() {
            return Ok(());
        }
        let mut known = inner.known();
        let digest = digest(client)?;
        let renamed = Client { name: to.to_owned(), ..client.clone() };
        let change = Change::Put { table: Table::Clients, key: digest.to_vec(), value: json(&renamed)? };
        let event = Event::ClientRenamed {
            client: ClientId::of_certificate(&digest),
            role: client.role,
            name: client.name.clone(),
            to: to.to_owned(),
        };
        inner.commit_renamed(by, vec![change], &event, (&client.name, Some(to)))?;
        known.clients.insert(digest, renamed);
        Ok(())
    }

    /// Keeps that a client is removed, and its certificate revoked.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not to be.
    pub(crate) fn client_removed(&self, by: &Caller, client: &Client) -> Result<(), StoreError> {
        let inner = &self.inner;
        if inner.store.is_earlier() {
            return Ok(());
        }
        let mut known = inner.known();
        inner.revoke(&mut known, by, client)
    }

    /// Brings the registry on the disk and the store together: who was added or removed there at the box itself, by
    /// its command line or by the claim, is so here, and what was revoked here is gone there. Without a registry what the
    /// store says is the registry. Gives the registry as it is to be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn settle_clients(&self, registry: Option<&[Client]>) -> Result<Vec<Client>, StoreError> {
        let inner = &self.inner;
        let mut known = inner.known();
        let Some(registry) = registry else { return Ok(known.clients.values().cloned().collect()) };
        if inner.store.is_earlier() {
            return Ok(registry.to_vec());
        }
        let by = console();
        let mut settled = Vec::with_capacity(registry.len());
        for client in registry {
            let digest = digest(client)?;
            if !known.revoked.contains(&digest) {
                settled.push((digest, client.clone()));
            }
        }
        let there: BTreeSet<[u8; 32]> = settled.iter().map(|(digest, _)| *digest).collect();
        let gone = known.clients.iter().filter(|(digest, _)| !there.contains(*digest));
        let gone: Vec<Client> = gone.map(|(_, client)| client.clone()).collect();
        // First: a full disk that lets nobody in must not keep anybody in.
        for client in gone {
            inner.revoke(&mut known, &by, &client)?;
        }
        for (digest, client) in &settled {
            if known.clients.get(digest) != Some(client) {
                inner.keep(&mut known, &by, client, None, Vec::new())?;
            }
        }
        Ok(settled.into_iter().map(|(_, client)| client).collect())
    }
}

impl Inner {
    /// Keeps that a client is added, with its certificate, and what else changes by it.
    pub(super) fn client_added(
        &self,
        by: &Caller,
        client: &Client,
        certificate: &str,
        more: Vec<Change>,
    ) -> Result<(), StoreError> {
        if self.store.is_earlier() {
            return Ok(());
        }
        let mut known = self.known();
        self.keep(&mut known, by, client, Some(certificate), more)
    }

    /// Whether a client is called so.
    pub(super) fn is_client(&self, name: &str) -> bool {
        self.known().clients.values().any(|client| client.name == name)
    }

    /// Does something of a client while nobody is renamed or removed; nothing where none is called so.
    pub(super) fn while_client<T>(&self, name: &str, work: impl FnOnce() -> T) -> Option<T> {
        let known = self.known();
        known.clients.values().any(|client| client.name == name).then(work)
    }

    /// The client that holds the certificate with this SHA-256, in hex, and the certificate in PEM.
    pub(super) fn certified(&self, sha256: &str) -> Result<Option<(Client, String)>, StoreError> {
        let Some(digest) = unhex(sha256) else { return Ok(None) };
        let Some(client) = self.known().clients.get(&digest).cloned() else { return Ok(None) };
        let kept = self.store.get(Table::Certificates, &digest)?;
        let kept: Option<serde_json::Value> = kept.and_then(|value| serde_json::from_slice(&value).ok());
        Ok(kept.and_then(|kept| kept["pem"].as_str().map(|pem| (client, pem.to_owned()))))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(
        &self,
        known: &mut Known,
        by: &Caller,
        client: &Client,
        pem: Option<&str>,
        more: Vec<Change>,
    ) -> Result<(), StoreError> {
        let digest = digest(client)?;
        let certificate = Certificate { name: &client.name, role: client.role, at: self.clock.now(), pem };
        let mut changes = more;
        changes.push(Change::Put { table: Table::Clients, key: digest.to_vec(), value: json(client)? });
        if pem.is_some() || !known.clients.contains_key(&digest) {
            let value = json(&certificate)?;
            changes.push(Change::Put { table: Table::Certificates, key: digest.to_vec(), value });
        }
        let event = Event::ClientAdded {
            client: ClientId::of_certificate(&digest),
            role: client.role,
            name: client.name.clone(),
        };
        Self::commit(self, by, &changes, &event)?;
        known.clients.insert(digest, client.clone());
        Ok(())
    }

    fn revoke(&self, known: &mut Known, by: &Caller, client: &Client) -> Result<(), StoreError> {
        let digest = digest(client)?;
        let revocation =
            Certificate { name: &client.name, role: client.role, at: self.clock.now(), pem: None };
        let changes = [
            Change::Delete { table: Table::Clients, key: digest.to_vec() },
            Change::Put { table: Table::Revocations, key: digest.to_vec(), value: json(&revocation)? },
        ];
        let event = Event::ClientRemoved {
            client: ClientId::of_certificate(&digest),
            role: client.role,
            name: client.name.clone(),
        };
        let mut others = known.clients.iter().filter(|(other, _)| **other != digest);
        // A certificate that was renewed, or that is yet to be used, is not the client.
        if others.any(|(_, other)| other.name == client.name) {
            Self::commit(self, by, &changes, &event)?;
        } else {
            self.commit_renamed(by, changes.to_vec(), &event, (&client.name, None))?;
        }
        known.clients.remove(&digest);
        known.revoked.insert(digest);
        Ok(())
    }
}

/// Whoever works at the box itself.
fn console() -> Caller {
    the_box("the box's command line or claim")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        audit,
        clock::SystemClock,
        policy::Policy,
        store::{DiskStore, Store},
    };

    fn client(n: u8) -> Client {
        Client::new(&format!("client-{n}"), Role::Station, &[n; 32], None)
    }

    fn open(store: Arc<dyn Store>) -> Services {
        Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
    }

    fn events(services: &Services) -> Vec<String> {
        let mut events = Vec::new();
        audit::verify(services.inner.store.as_ref(), |record| {
            events.push(match &record.what {
                Event::PolicyInForce { .. } => return,
                Event::ClientAdded { name, .. } => format!("+{name}"),
                Event::ClientRemoved { name, .. } => format!("-{name}"),
                other => format!("{other:?}"),
            });
        })
        .unwrap();
        events
    }

    #[test]
    fn store_keeps_who_holds_a_certificate_and_who_is_revoked_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, three) = (client(1), client(2), client(3));
        {
            let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
            let found = services.settle_clients(Some(&[one.clone(), two.clone()])).unwrap();
            assert_eq!(found, [one.clone(), two.clone()]);
            services.client_added(&console(), &three, "a certificate").unwrap();
            services.client_removed(&console(), &one).unwrap();
        }
        let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
        // The registry did not get as far: who was removed is, and who was added and never told is not.
        let settled = services.settle_clients(Some(&[one, two.clone()])).unwrap();
        assert_eq!(settled, [two]);
        assert_eq!(events(&services), ["+client-1", "+client-2", "+client-3", "-client-1", "-client-3"]);
        // Once more changes nothing.
        assert_eq!(services.settle_clients(Some(&settled)).unwrap(), settled);
        assert_eq!(events(&services).len(), 5);
    }

    #[test]
    fn store_gives_the_registry_back_when_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let all = [client(1), client(2)];
        open(Arc::new(DiskStore::open(folder.path()).unwrap())).settle_clients(Some(&all)).unwrap();
        let services = open(Arc::new(DiskStore::open(folder.path()).unwrap()));
        assert_eq!(services.settle_clients(None).unwrap(), all);
    }
}
