//! Values as they lie on the disk since format 3: each sealed with the key of the person that it is about, and bound
//! to its place.
//!
//! Magic, version, where the key lies (page and slot), a nonce of twelve bytes, the value under AES-256-GCM-SIV
//! (RFC 8452), its tag of sixteen. The store's own id, the table and the key are authenticated with it: a value
//! that was changed, moved to another key or brought from another store does not open.

use std::io;

use uuid::Uuid;

use super::{StoreError, Table, io_error, journal::KeyRef, pages::Pages, record};

const MAGIC: u8 = 0xA7;
const VERSION: u8 = 3;
const HEAD: usize = 7;

/// Bytes of a person's id in keys.
const ID: usize = 16;

/// Whose a value is: the first bytes of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner {
    length: u8,
    id: [u8; ID],
}

impl Owner {
    /// The person that a value is about; `None` for what is no person's.
    pub(super) fn of(table: Table, key: &[u8]) -> Option<Self> {
        if !table.is_of_people() {
            return None;
        }
        let mut id = [0; ID];
        let length = key.len().min(ID);
        id.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Some(Self { length: length as u8, id })
    }

    /// What all keys of this person begin with.
    pub(super) fn prefix(&self) -> &[u8] {
        self.id.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// What is authenticated with a value beside it.
fn context(store: Uuid, table: Table, key: &[u8]) -> Vec<u8> {
    let (label, parts) = (b"authenteon value 3", table.name().len() + key.len());
    let mut context = Vec::with_capacity(label.len() + size_of::<Uuid>() + 2 * size_of::<u64>() + parts);
    context.extend(label);
    context.extend(store.as_bytes());
    for part in [table.name().as_bytes(), key] {
        context.extend((part.len() as u64).to_be_bytes());
        context.extend(part);
    }
    context
}

pub(super) fn seal(
    pages: &Pages,
    store: Uuid,
    at: KeyRef,
    (table, key): (Table, &[u8]),
    value: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let sealing = pages.key(at).ok_or_else(|| io_error(&io::Error::other("there is no such key")))?;
    let mut head = [MAGIC, VERSION, 0, 0, 0, 0, at.slot];
    head[2..6].copy_from_slice(&at.page.to_be_bytes());
    sealing.seal(&head, &context(store, table, key), value).map_err(|why| io_error(&why))
}

/// Where the key of a sealed value lies.
///
/// # Errors
/// [`StoreError::Newer`] of a later version's value; [`StoreError::Damaged`] of what is none.
pub(super) fn key_of((table, key): (Table, &[u8]), sealed: &[u8]) -> Result<KeyRef, StoreError> {
    match sealed {
        [MAGIC, VERSION, a, b, c, d, slot, ..] => {
            Ok(KeyRef { page: u32::from_be_bytes([*a, *b, *c, *d]), slot: *slot })
        }
        [MAGIC, version, ..] if *version > VERSION => Err(StoreError::Newer { version: (*version).into() }),
        _ => Err(record::damaged(table, key)),
    }
}

pub(super) fn open(
    pages: &Pages,
    store: Uuid,
    place: (Table, &[u8]),
    sealed: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let mut value = Vec::new();
    open_into(pages, store, place, sealed, &mut value)?;
    Ok(value)
}

/// The same in the place of what is in `value`.
pub(super) fn open_into(
    pages: &Pages,
    store: Uuid,
    place: (Table, &[u8]),
    sealed: &[u8],
    value: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let damaged = || record::damaged(place.0, place.1);
    let key = pages.key(key_of(place, sealed)?).ok_or_else(damaged)?;
    let rest = sealed.get(HEAD..).ok_or_else(damaged)?;
    if key.open_into(&context(store, place.0, place.1), rest, value) { Ok(()) } else { Err(damaged()) }
}
