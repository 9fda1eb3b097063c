//! Readers that an administrator adopted, as facts of the store: no other is used.
//!
//! Invariant: what is adopted, and that it is suspended, is in the store and the audit before anybody is told so; when
//! the case was opened nothing is used any more, whether or not that could be written down.

use std::{
    collections::BTreeSet,
    sync::{MutexGuard, PoisonError},
};

use authenteon_hal::discovery::ReaderId;
use tracing::{error, warn};

use super::{Inner, Services, this_box};
use crate::{
    audit::Event,
    reader::{Adoption, Adoptions, Reader, Standing},
    request::Caller,
    store::{Change, StoreError, Table, Value},
};

/// Appearances of readers that are audited after a start; whoever plugs in more of them is playing.
const MOST_TOLD: usize = 256;

/// What is known of readers.
#[derive(Default)]
pub(super) struct Readers {
    adoptions: Adoptions,
    /// What was audited since the start.
    told: BTreeSet<(Reader, Standing)>,
    case_open: bool,
}

/// Why a reader was not adopted, released or resumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// It was never adopted.
    #[error("nobody has adopted this reader, or it was released")]
    NotAdopted,
    /// It is suspended.
    #[error("the case was opened since it was adopted: look at the reader, then resume it")]
    Suspended,
    /// It is not suspended.
    #[error("this reader is not suspended")]
    NotSuspended,
    /// It is not what was adopted, or not where it was.
    #[error("this reader is not what was adopted, or not where it was: look at it, then adopt it anew")]
    Moved,
    /// The switch says that the case is open.
    #[error("the case is open: close it first")]
    CaseOpen,
    /// The store still has the format of the version before.
    #[error("this can be done when the update is kept")]
    OnTrial,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Readers {
    /// Takes in a value that was read.
    pub(super) fn read(&mut self, value: &Value) -> Result<(), StoreError> {
        let bad = |_| StoreError::Damaged { place: Table::Readers.name().to_owned() };
        self.adoptions.insert(serde_json::from_slice(&value.value).map_err(bad)?);
        Ok(())
    }
}

fn put(adoption: &Adoption) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(adoption).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::Readers, key: key(&adoption.reader.id), value })
}

fn delete(id: &ReaderId) -> Change {
    Change::Delete { table: Table::Readers, key: key(id) }
}

fn key(id: &ReaderId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

impl Services {
    /// Whether a reader may be used.
    #[must_use]
    pub(crate) fn standing(&self, reader: &Reader) -> Standing {
        self.inner.readers().adoptions.standing(reader)
    }

    /// The readers that were adopted.
    #[must_use]
    pub(crate) fn adoptions(&self) -> Adoptions {
        self.inner.readers().adoptions.clone()
    }

    /// Adopts a reader as it is now. One that was adopted at its port before is released with it.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub(crate) fn adopt(&self, by: &Caller, reader: &Reader) -> Result<(), ReaderError> {
        let inner = &self.inner;
        let mut readers = inner.readers_to_change()?;
        match readers.adoptions.standing(reader) {
            Standing::Adopted => return Ok(()),
            Standing::Suspended => return Err(ReaderError::Suspended),
            Standing::Unknown | Standing::Moved => {}
        }
        if readers.case_open {
            return Err(ReaderError::CaseOpen);
        }
        let adoption = Adoption { reader: reader.clone(), at: inner.clock.now(), suspended: None };
        let displaced: Vec<ReaderId> =
            readers.adoptions.displaced(reader).map(|other| other.reader.id.clone()).collect();
        let mut changes: Vec<Change> = displaced.iter().map(delete).collect();
        changes.push(put(&adoption)?);
        let event = Event::ReaderAdopted { reader: reader.clone(), instead_of: displaced.clone() };
        Inner::commit(inner, by, &changes, &event)?;
        for id in &displaced {
            readers.adoptions.remove(id);
        }
        readers.adoptions.insert(adoption);
        Ok(())
    }

    /// A reader is used no longer.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub(crate) fn release(&self, by: &Caller, id: &ReaderId) -> Result<(), ReaderError> {
        let inner = &self.inner;
        let mut readers = inner.readers_to_change()?;
        let adoption = readers.adoptions.get(id).ok_or(ReaderError::NotAdopted)?;
        let event = Event::ReaderReleased { reader: adoption.reader.clone() };
        Inner::commit(inner, by, &[delete(id)], &event)?;
        readers.adoptions.remove(id);
        Ok(())
    }

    /// A reader that was suspended is used again: `reader` is how it is now.
    ///
    /// # Errors
    /// [`ReaderError`].
    pub(crate) fn resume(&self, by: &Caller, reader: &Reader) -> Result<(), ReaderError> {
        let inner = &self.inner;
        let mut readers = inner.readers_to_change()?;
        match readers.adoptions.standing(reader) {
            Standing::Suspended => {}
            Standing::Adopted => return Err(ReaderError::NotSuspended),
            Standing::Moved => return Err(ReaderError::Moved),
            Standing::Unknown => return Err(ReaderError::NotAdopted),
        }
        if readers.case_open {
            return Err(ReaderError::CaseOpen);
        }
        let adoption = readers.adoptions.get(&reader.id).ok_or(ReaderError::NotAdopted)?;
        let adoption = Adoption { suspended: None, ..adoption.clone() };
        let event = Event::ReaderResumed { reader: reader.clone() };
        Inner::commit(inner, by, &[put(&adoption)?], &event)?;
        readers.adoptions.insert(adoption);
        Ok(())
    }

    /// Audits, once after a start, which readers are there that may not be used.
    pub(crate) fn readers_seen(&self, present: &[Reader]) {
        let inner = &self.inner;
        let Ok(mut readers) = inner.readers_to_change() else { return };
        for reader in present {
            let standing = readers.adoptions.standing(reader);
            let news = (reader.clone(), standing);
            let strange = matches!(standing, Standing::Unknown | Standing::Moved);
            if !strange || readers.told.len() >= MOST_TOLD || readers.told.contains(&news) {
                continue;
            }
            let event = Event::ReaderFound { reader: reader.clone(), standing };
            match Inner::commit(inner, &this_box(), &[], &event) {
                Ok(()) => {
                    warn!(reader = %reader.id, ?standing, "a reader that is not used: an administrator adopts it");
                }
                // Tried again at the next look, and logged once.
                Err(StoreError::Full | StoreError::Degraded { .. }) => return,
                Err(why) => {
                    error!(%why, reader = %reader.id, "a reader that is not used; the audit does not have it");
                }
            }
            readers.told.insert(news);
        }
    }

    /// The case was opened: no reader is used until an administrator resumes it.
    ///
    /// # Errors
    /// [`StoreError`]: they are not used all the same until the next start, and this is to be tried again.
    pub(crate) fn case_opened(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        let mut readers = inner.readers();
        readers.case_open = true;
        readers.adoptions.suspend(inner.clock.now());
        if inner.store.is_earlier() {
            return Ok(());
        }
        let changes = readers.adoptions.iter().map(put).collect::<Result<Vec<_>, _>>()?;
        let suspended = readers.adoptions.iter().map(|adoption| adoption.reader.id.clone()).collect();
        Inner::commit(inner, &this_box(), &changes, &Event::CaseOpened { suspended })
    }

    /// The case was closed; that alone resumes nothing.
    ///
    /// # Errors
    /// [`StoreError`]: this is to be tried again.
    pub(crate) fn case_closed(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        let mut readers = inner.readers();
        if !inner.store.is_earlier() {
            Inner::commit(inner, &this_box(), &[], &Event::CaseClosed)?;
        }
        readers.case_open = false;
        Ok(())
    }
}

impl Inner {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version before reads no such facts.
    fn readers_to_change(&self) -> Result<MutexGuard<'_, Readers>, ReaderError> {
        if self.store.is_earlier() { Err(ReaderError::OnTrial) } else { Ok(self.readers()) }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{audit, clock::SystemClock, policy::Policy, services::the_box, store::DiskStore};

    fn reader(id: &str, serial: &str, port: &str) -> Reader {
        let serial = Some(serial.to_owned());
        Reader { id: id.parse().unwrap(), model: "stand".to_owned(), serial, port: port.to_owned() }
    }

    fn open(folder: &Path) -> Services {
        let store = Arc::new(DiskStore::open(folder).unwrap());
        Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
    }

    fn told(services: &Services) -> Vec<String> {
        let mut told = Vec::new();
        audit::verify(services.inner.store.as_ref(), |record| {
            told.push(match &record.what {
                Event::PolicyInForce { .. } => return,
                Event::ReaderFound { reader, standing } => format!("{} {standing:?}", reader.id),
                Event::ReaderAdopted { reader, instead_of } => {
                    format!("{} for {}", reader.id, instead_of.len())
                }
                Event::ReaderReleased { reader } => format!("{} released", reader.id),
                Event::ReaderResumed { reader } => format!("{} resumed by {}", reader.id, record.by.name),
                Event::CaseOpened { suspended } => format!("opened, {} suspended", suspended.len()),
                other => format!("{other:?}"),
            });
        })
        .unwrap();
        told
    }

    #[test]
    fn an_adoption_lasts_over_restarts_and_every_step_is_in_the_audit_once() {
        let folder = tempfile::tempdir().unwrap();
        let (by, one) = (the_box("ada"), reader("a", "7", "1-1"));
        {
            let services = open(folder.path());
            for _ in 0..3 {
                services.readers_seen(std::slice::from_ref(&one));
            }
            services.adopt(&by, &one).unwrap();
            services.adopt(&by, &one).unwrap();
            services.readers_seen(std::slice::from_ref(&one));
        }
        let services = open(folder.path());
        assert_eq!(services.standing(&one), Standing::Adopted);
        let other = reader("b", "8", "1-1");
        services.readers_seen(&[other.clone(), one.clone()]);
        services.adopt(&by, &other).unwrap();
        assert_eq!(
            (services.standing(&one), services.standing(&other)),
            (Standing::Moved, Standing::Adopted)
        );
        assert_eq!(services.release(&by, &one.id), Err(ReaderError::NotAdopted));
        services.release(&by, &other.id).unwrap();
        drop(services);
        let services = open(folder.path());
        assert_eq!(services.standing(&other), Standing::Unknown);
        assert_eq!(told(&services), ["a Unknown", "a for 0", "b Moved", "b for 1", "b released"]);
    }

    #[test]
    fn an_opened_case_suspends_until_it_is_closed_and_an_administrator_resumes_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (by, one) = (the_box("ada"), reader("a", "7", "1-1"));
        {
            let services = open(folder.path());
            services.adopt(&by, &one).unwrap();
            services.case_opened().unwrap();
            assert_eq!(services.standing(&one), Standing::Suspended);
            assert_eq!(services.resume(&by, &one), Err(ReaderError::CaseOpen));
            assert_eq!(services.adopt(&by, &reader("b", "8", "1-2")), Err(ReaderError::CaseOpen));
        }
        let services = open(folder.path());
        assert_eq!(services.standing(&one), Standing::Suspended, "after a restart");
        assert_eq!(services.adopt(&by, &one), Err(ReaderError::Suspended), "that would be a way round");
        services.case_closed().unwrap();
        assert_eq!(services.standing(&one), Standing::Suspended, "closing resumes nothing");
        assert_eq!(services.resume(&by, &reader("a", "9", "1-1")), Err(ReaderError::Moved));
        services.resume(&by, &one).unwrap();
        assert_eq!(services.standing(&one), Standing::Adopted);
        assert_eq!(services.resume(&by, &one), Err(ReaderError::NotSuspended));
        drop(services);
        let services = open(folder.path());
        assert_eq!(services.standing(&one), Standing::Adopted);
        assert_eq!(told(&services), ["a for 0", "opened, 1 suspended", "CaseClosed", "a resumed by ada"]);
    }

    #[test]
    fn whoever_plugs_in_readers_without_end_does_not_fill_the_audit() {
        let folder = tempfile::tempdir().unwrap();
        let services = open(folder.path());
        for n in 0..MOST_TOLD + 50 {
            services.readers_seen(&[reader("a", &n.to_string(), "1-1")]);
        }
        assert_eq!(told(&services).len(), MOST_TOLD);
    }
}
