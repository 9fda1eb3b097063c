//! Backups: taken while everybody is served, and the list of who was erased.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use super::{Inner, Services};
use crate::{
    audit::Event,
    backup::{BackupError, Erasure, Erasures, Header, KEPT, Manifest, Writer},
    clock::Timestamp,
    request::Caller,
    store::{Change, Passphrase, StoreError, Table},
};

impl Services {
    /// Writes a backup that expires after so many days. That it was taken is in the audit before anything is written.
    ///
    /// # Errors
    /// [`BackupError`]; what was written then is no backup.
    pub fn backup(
        &self,
        by: &Caller,
        passphrase: &Passphrase,
        days: u32,
        out: impl Write + Send,
    ) -> Result<Manifest, BackupError> {
        let inner = &self.inner;
        // While a restore is cut short or going on, people are there in part.
        inner.people_may_change()?;
        if inner.store.is_earlier() {
            return Err(BackupError::OnTrial);
        }
        let header = Header::new(inner.store.id(), inner.clock.now(), days)?;
        let event = Event::BackupTaken { expires: header.expires };
        Inner::commit(inner, by, &[], &event)?;
        let writing = Mutex::new((Writer::new(out, &header, passphrase)?, Manifest::default()));
        let mut failed = None;
        let read = inner.store.read_all(&KEPT, &mut |values| {
            let mut writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
            let (writer, manifest) = &mut *writing;
            for value in values {
                manifest.count(value.table, &value.key, &value.value);
                if let Err(why) = writer.put(value.table, &value.key, &value.value) {
                    let ends = StoreError::Io(why.to_string());
                    failed = Some(why);
                    return Err(ends);
                }
            }
            Ok(())
        });
        match failed {
            Some(why) => return Err(why),
            None => read?,
        }
        let (writer, manifest) = writing.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.finish(&manifest)?;
        Ok(manifest)
    }

    /// Everybody and everything of anybody that was erased on this box, or on those whose backups it has.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn erasures(&self) -> Result<Erasures, BackupError> {
        self.inner.erasures()
    }
}

impl Inner {
    pub(super) fn erasures(&self) -> Result<Erasures, BackupError> {
        let mut erasures = Erasures::new(self.store.id(), self.clock.now());
        let mut bad = None;
        self.store.each(Table::Tombstones, &mut |entries| {
            for (key, value) in entries {
                if let Err(why) = erasures.read(&key, &value) {
                    bad = Some(why);
                }
            }
            Ok(())
        })?;
        bad.map_or(Ok(erasures), Err)
    }

    /// What stays of an erasure, with the number of the audit record that tells of it.
    pub(super) fn tombstone(&self, event: &Event, at: Timestamp, audit: u64) -> Option<Change> {
        let (subject, finger) = match event {
            Event::SubjectDeleted { subject } => (*subject, None),
            Event::FingerRemoved { subject, position } => (*subject, Some(*position)),
            _ => return None,
        };
        Some(Erasure { subject, finger, at, store: self.store.id(), audit }.change())
    }
}
