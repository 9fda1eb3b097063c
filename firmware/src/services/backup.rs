//! Backups: taken while everybody is served, and the list of who was erased.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use super::{Inner, Services};
use crate::{
    audit::Event,
    backup::{BackupError, Erasure, Erasures, Followed, Header, KEPT, Manifest, Writer, archived},
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
        // One that was begun meanwhile made it half a backup.
        inner.people_may_change()?;
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
        let mut erasures = Erasures::new(self.clock.now(), self.followed()?);
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

    /// This store and those whose backups were restored into it, each with the last of its audit that is known.
    fn followed(&self) -> Result<Vec<Followed>, StoreError> {
        let mut stores = vec![Followed { store: self.store.id(), audit: self.head_number() }];
        for store in self.archives()? {
            stores.push(Followed { store, audit: self.last_archived(store)? });
        }
        Ok(stores)
    }

    /// Other stores of whose audit something is kept.
    pub(super) fn archives(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut stores = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while let Some((key, _)) = self.store.scan(Table::Archive, after.as_deref(), 1)?.pop() {
            let Some(store) = key.first_chunk().map(|id| Uuid::from_bytes(*id)) else { break };
            stores.push(store);
            // Behind the last record that it could have.
            after = Some(archived(store, &u64::MAX.to_be_bytes()));
        }
        Ok(stores)
    }

    /// The number of the last record that is kept of another store's audit: they have no gaps but at their ends.
    pub(super) fn last_archived(&self, store: Uuid) -> Result<u64, StoreError> {
        let is_there = |number: u64| -> Result<bool, StoreError> {
            let before = archived(store, &number.saturating_sub(1).to_be_bytes());
            let next = self.store.scan(Table::Archive, Some(&before), 1)?.pop();
            Ok(next.is_some_and(|(key, _)| key.starts_with(store.as_bytes())))
        };
        let (mut low, mut high) = (0, u64::MAX);
        // Whether anything is there from a number on: the highest such number is the last record's.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if is_there(middle)? { low = middle } else { high = middle - 1 }
        }
        Ok(low)
    }

    /// What stays of an erasure, with the number of the audit record that tells of it.
    pub(super) fn tombstone(&self, event: &Event, at: Timestamp, audit: u64) -> Option<Change> {
        let (subject, finger) = match event {
            Event::SubjectDeleted { subject } | Event::SubjectLost { subject } => (*subject, None),
            Event::FingerRemoved { subject, position } => (*subject, Some(*position)),
            _ => return None,
        };
        Some(Erasure { subject, finger, at, store: self.store.id(), audit }.change())
    }
}
