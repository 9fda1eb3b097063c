//! What a frame carries: changes, each with the place that it is about.
//!
//! An operation (one byte), then for a put: table, length of the key (u16), key, length of the value (u32), sealed
//! value; for a removal: table, length of the key, key; for a forgotten key: page (u32), slot (u8), the page's
//! generation (u64). Numbers are big-endian. Strict: what is read is exactly what would be written.

use crate::store::Table;

/// Where the key of a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct KeyRef {
    /// Which page.
    pub(in crate::store) page: u32,
    /// Which of its keys.
    pub(in crate::store) slot: u8,
}

/// One change as the journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Entry<'a> {
    /// A sealed value under a key.
    Put { table: Table, key: &'a [u8], value: &'a [u8] },
    /// No value under a key.
    Delete { table: Table, key: &'a [u8] },
    /// A key of values is destroyed: the page had this generation before.
    Forget { key: KeyRef, generation: u64 },
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const FORGET: u8 = 3;

/// A key is too long for the journal: none that a service makes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct TooLong;

/// Appends an entry to a payload.
pub(in crate::store) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) -> Result<(), TooLong> {
    let place = |out: &mut Vec<u8>, operation: u8, table: Table, key: &[u8]| {
        let length = u16::try_from(key.len()).map_err(|_| TooLong)?;
        out.extend([operation, table.code()]);
        out.extend(length.to_be_bytes());
        out.extend(key);
        Ok(())
    };
    match entry {
        Entry::Put { table, key, value } => {
            let length = u32::try_from(value.len()).map_err(|_| TooLong)?;
            place(out, PUT, *table, key)?;
            out.extend(length.to_be_bytes());
            out.extend(*value);
        }
        Entry::Delete { table, key } => place(out, DELETE, *table, key)?,
        Entry::Forget { key, generation } => {
            out.push(FORGET);
            out.extend(key.page.to_be_bytes());
            out.push(key.slot);
            out.extend(generation.to_be_bytes());
        }
    }
    Ok(())
}

/// The entries of a payload; `None` in the place of what cannot be read.
pub(in crate::store) fn read(payload: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = next(&mut rest);
        if entry.is_none() {
            rest = &[];
        }
        Some(entry)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    match take::<1>(rest)? {
        [PUT] => {
            let (table, key) = place(rest)?;
            let length = u32::from_be_bytes(*take(rest)?);
            let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            *rest = after;
            Some(Entry::Put { table, key, value })
        }
        [DELETE] => {
            let (table, key) = place(rest)?;
            Some(Entry::Delete { table, key })
        }
        [FORGET] => {
            let page = u32::from_be_bytes(*take(rest)?);
            let [slot] = *take(rest)?;
            let generation = u64::from_be_bytes(*take(rest)?);
            Some(Entry::Forget { key: KeyRef { page, slot }, generation })
        }
        _ => None,
    }
}

fn place<'a>(rest: &mut &'a [u8]) -> Option<(Table, &'a [u8])> {
    let [table] = *take(rest)?;
    let length = u16::from_be_bytes(*take(rest)?);
    let (key, after) = rest.split_at_checked(length.into())?;
    *rest = after;
    Some((Table::of(table)?, key))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let entries = [
            Entry::Put { table: Table::Fingers, key: b"k", value: b"sealed" },
            Entry::Delete { table: Table::Subjects, key: b"" },
            Entry::Forget { key: KeyRef { page: 7, slot: 119 }, generation: 1 << 40 },
        ];
        let mut payload = Vec::new();
        for entry in &entries {
            write(&mut payload, entry).unwrap();
        }
        let found: Vec<_> = read(&payload).map(Option::unwrap).collect();
        assert_eq!(found, entries);
        for length in 0..payload.len() {
            let whole = read(&payload[..length]).take_while(Option::is_some).count();
            assert!(whole < 3, "{length}");
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let key = vec![0; 65_536];
        let entry = Entry::Delete { table: Table::Audit, key: &key };
        assert_eq!(write(&mut Vec::new(), &entry), Err(TooLong));
    }

    proptest! {
        #[test]
        fn what_can_be_read_is_what_would_be_written(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let entries: Option<Vec<_>> = read(&payload).collect();
            if let Some(entries) = entries {
                let mut written = Vec::new();
                for entry in &entries {
                    write(&mut written, entry).unwrap();
                }
                prop_assert_eq!(written, payload);
            }
        }
    }
}
