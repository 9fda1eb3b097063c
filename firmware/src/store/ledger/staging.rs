//! Staging: changes are sealed, each with the key of the person whom it is about, before they are written.

use std::collections::{BTreeMap, HashMap};

use super::{Applied, Ledger};
use crate::store::{
    Change, StoreError, Table,
    journal::{Entry, FRAME_OVERHEAD, KeyRef, Live, entry},
    value::{self, Owner},
};

/// Changes that are ready to be written.
#[derive(Default)]
pub(in crate::store) struct Staged {
    pub(super) payload: Vec<u8>,
    pub(in crate::store) applied: Vec<Applied>,
    /// Keys that people have from now on.
    pub(super) given: Vec<(Owner, KeyRef)>,
    /// Keys that were not used before.
    pub(super) taken: Vec<KeyRef>,
    pub(super) forgotten: Vec<KeyRef>,
    /// People of whom nothing is left.
    pub(super) gone: Vec<Owner>,
}

impl Staged {
    /// Bytes in the journal.
    pub(in crate::store) fn frame_bytes(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }
}

/// Keys that were given to people by changes that are staged and not yet written.
pub(in crate::store) type Given = HashMap<Owner, KeyRef>;

impl Ledger {
    /// Seals what is no person's with the present key.
    pub(in crate::store) fn stage_own(&self, values: &[Live]) -> Result<Staged, StoreError> {
        let mut staged = Staged::default();
        for live in values {
            let value = value::open(&self.pages(), self.domain.store, (live.table, &live.key), &live.sealed)?;
            self.put(&mut staged, self.own_key, (live.table, &live.key), &value)?;
        }
        Ok(staged)
    }

    /// Seals changes of which none takes something of a person away.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is staged.
    pub(in crate::store) fn stage(
        &self,
        changes: &[Change],
        given: &mut Given,
    ) -> Result<Staged, StoreError> {
        let mut staged = Staged::default();
        let done = changes.iter().try_for_each(|change| match change {
            Change::Put { table, key, value } => {
                let at = self.key_for(*table, key, given, &mut staged)?;
                self.put(&mut staged, at, (*table, key), value)
            }
            Change::Delete { table, key } => delete(&mut staged, *table, key),
        });
        self.or_put_back(done, staged)
    }

    /// Seals changes that take something away: `rest` is what is there of the people whom they are about, with
    /// the places of the values.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is staged.
    pub(in crate::store) fn stage_removal(
        &self,
        changes: &[Change],
        rest: &[Live],
    ) -> Result<Staged, StoreError> {
        let touched = changes.iter().filter(|change| matches!(change, Change::Delete { .. }));
        let touched = touched.filter_map(|change| Owner::of(change.table(), change.key())).collect();
        let mut staged = Staged::default();
        let done = self.stage_rest(changes, touched, rest, &mut staged);
        self.or_put_back(done, staged)
    }

    /// Gives people other keys: `rest` is what is there of them.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is staged.
    pub(in crate::store) fn stage_rekeying(
        &self,
        people: Vec<Owner>,
        rest: &[Live],
    ) -> Result<Staged, StoreError> {
        let mut staged = Staged::default();
        let done = self.stage_rest(&[], people, rest, &mut staged);
        self.or_put_back(done, staged)
    }

    fn stage_rest(
        &self,
        changes: &[Change],
        mut touched: Vec<Owner>,
        rest: &[Live],
        staged: &mut Staged,
    ) -> Result<(), StoreError> {
        // What there will be: the last change of a key counts.
        let mut after: BTreeMap<(Table, &[u8]), Option<Vec<u8>>> = BTreeMap::new();
        for live in rest {
            let value = value::open(&self.pages(), self.domain.store, (live.table, &live.key), &live.sealed)?;
            after.insert((live.table, &live.key), Some(value));
        }
        for change in changes {
            match change {
                Change::Put { table, key, value } => {
                    after.insert((*table, key), Some(value.clone()));
                }
                Change::Delete { table, key } => {
                    after.insert((*table, key), None);
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let mut given = Given::new();
        for owner in &touched {
            let mut remains = after
                .iter()
                .filter(|((table, key), value)| value.is_some() && Owner::of(*table, key) == Some(*owner));
            if let Some(before) = self.owners.get(owner) {
                staged.forgotten.push(*before);
            }
            if remains.next().is_some() {
                let at = self.take(staged)?;
                given.insert(*owner, at);
                staged.given.push((*owner, at));
            } else {
                staged.gone.push(*owner);
            }
        }
        for ((table, key), value) in &after {
            match value {
                Some(value) => {
                    let at = self.key_for(*table, key, &mut given, staged)?;
                    self.put(staged, at, (*table, key), value)?;
                }
                None => delete(staged, *table, key)?,
            }
        }
        self.forget_in(staged)
    }

    /// Says in the payload which keys are to be destroyed.
    pub(super) fn forget_in(&self, staged: &mut Staged) -> Result<(), StoreError> {
        for key in &staged.forgotten {
            let generation = self.pages().generation(key.page).unwrap_or(0);
            entry::write(&mut staged.payload, &Entry::Forget { key: *key, generation }).map_err(too_long)?;
        }
        Ok(())
    }

    fn or_put_back(&self, done: Result<(), StoreError>, staged: Staged) -> Result<Staged, StoreError> {
        match done {
            Ok(()) => Ok(staged),
            Err(why) => {
                self.put_back(&staged);
                Err(why)
            }
        }
    }

    /// Changes that were staged are not written.
    pub(in crate::store) fn put_back(&self, staged: &Staged) {
        for key in &staged.taken {
            self.pages_mut().put_back(*key);
        }
    }

    fn take(&self, staged: &mut Staged) -> Result<KeyRef, StoreError> {
        let at = self.pages_mut().take(self.writer.last())?;
        staged.taken.push(at);
        Ok(at)
    }

    fn key_for(
        &self,
        table: Table,
        key: &[u8],
        given: &mut Given,
        staged: &mut Staged,
    ) -> Result<KeyRef, StoreError> {
        let Some(owner) = Owner::of(table, key) else { return Ok(self.own_key) };
        if let Some(at) = given.get(&owner).or_else(|| self.owners.get(&owner)) {
            return Ok(*at);
        }
        let at = self.take(staged)?;
        given.insert(owner, at);
        staged.given.push((owner, at));
        Ok(at)
    }

    fn put(
        &self,
        staged: &mut Staged,
        at: KeyRef,
        (table, key): (Table, &[u8]),
        value: &[u8],
    ) -> Result<(), StoreError> {
        let sealed = value::seal(&self.pages(), self.domain.store, at, (table, key), value)?;
        entry::write(&mut staged.payload, &Entry::Put { table, key, value: &sealed }).map_err(too_long)?;
        staged.applied.push(Applied::Put(table, key.to_vec(), sealed));
        Ok(())
    }
}

pub(super) fn delete(staged: &mut Staged, table: Table, key: &[u8]) -> Result<(), StoreError> {
    entry::write(&mut staged.payload, &Entry::Delete { table, key }).map_err(too_long)?;
    staged.applied.push(Applied::Delete(table, key.to_vec()));
    Ok(())
}

fn too_long(_: entry::TooLong) -> StoreError {
    StoreError::Io("a key is longer than any that is used".to_owned())
}
