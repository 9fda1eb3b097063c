//! The model: what a store does, in the simplest way. The oracle of the property tests.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use super::{
    AtRest, Change, Entries, Entry, KeyError, Look, Master, Room, Store, StoreError, Table, Ticket, Value,
    ValueRef, makes_room,
};

/// Values by table and key.
type Everything = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A store that forgets when it is dropped.
pub struct MemoryStore {
    id: Uuid,
    entries: Mutex<Everything>,
    room: Mutex<Option<Room>>,
    /// As one that makes its index anew.
    degraded: AtomicBool,
    /// As one that the version before may have to go on with.
    earlier: AtomicBool,
}

const DEGRADED: StoreError = StoreError::Degraded { done: 0, all: 1 };

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            entries: Mutex::default(),
            room: Mutex::default(),
            degraded: AtomicBool::default(),
            earlier: AtomicBool::default(),
        }
    }

    /// From now on there is room for this.
    pub fn set_room(&self, room: Room) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
    }

    /// From now on it is as one that makes its index anew: what rests on that is refused; or as one that has it again.
    pub fn set_degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Ordering::SeqCst);
    }

    /// From now on an update is on trial, or kept.
    pub fn set_earlier(&self, earlier: bool) {
        self.earlier.store(earlier, Ordering::SeqCst);
    }

    fn is_whole(&self) -> Result<(), StoreError> {
        if self.degraded.load(Ordering::SeqCst) { Err(DEGRADED) } else { Ok(()) }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.is_whole()?;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Entries, StoreError> {
        self.is_whole()?;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let from = match after {
            Some(key) => Bound::Excluded((table, key.to_vec())),
            None => Bound::Included((table, Vec::new())),
        };
        let of_table = entries.range((from, Bound::Unbounded)).take_while(|((t, _), _)| *t == table);
        Ok(of_table.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, table: Table) -> Result<Option<Entry>, StoreError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_table = entries.iter().rev().filter(|((t, _), _)| *t == table);
        Ok(of_table.next().map(|((_, key), value)| (key.clone(), value.clone())))
    }

    fn is_earlier(&self) -> bool {
        self.earlier.load(Ordering::SeqCst)
    }

    fn room(&self) -> Result<(Room, Option<u64>), StoreError> {
        let room = *self.room.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((room.unwrap_or(Room::Everything), None))
    }

    fn look_at_all(&self, tables: &[Table], look: &Look<'_>) -> Result<(), StoreError> {
        let values: Vec<_> = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = entries.iter().filter(|((table, _), _)| tables.contains(table));
            asked
                .map(|((table, key), value)| Value { table: *table, key: key.clone(), value: value.clone() })
                .collect()
        };
        let each =
            |value: &Value| look(ValueRef { table: value.table, key: &value.key, value: &value.value });
        values.iter().try_for_each(each)
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn submit(&self, changes: Vec<Change>, _: u64) -> Result<Ticket, StoreError> {
        if changes.iter().any(|change| change.table().is_of_people()) {
            self.is_whole()?;
        }
        if self.room()?.0 == Room::Nothing && !makes_room(&changes) {
            return Err(StoreError::Full);
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { table, key, value } => entries.insert((table, key), value),
                Change::Delete { table, key } => entries.remove(&(table, key)),
            };
        }
        Ok(Ticket::done())
    }

    fn wait(&self, _: &Ticket) -> Result<(), StoreError> {
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.id
    }

    fn at_rest(&self) -> AtRest {
        AtRest::NotEncrypted
    }

    fn change_master(&self, _: Option<&str>, _: &Master) -> Result<(), KeyError> {
        Err(KeyError::NotEncrypted)
    }

    fn snapshot(&self) -> bool {
        false
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.is_whole().is_err().then_some((0, 1))
    }
}
