//! The frame around every value of a store of format 1, so that damage is seen and never believed.
//!
//! Magic, version, eight bytes of SHA-256 over table, key and value, the value. The digest binds the
//! value to its place: one that was moved does not verify.

use sha2::{Digest, Sha256};

use super::{StoreError, Table};
use crate::request::hex;

const MAGIC: u8 = 0xA7;
const VERSION: u8 = 1;
const DIGEST: usize = 8;

pub(super) fn seal(table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(2 + DIGEST + value.len());
    sealed.extend([MAGIC, VERSION]);
    sealed.extend(digest(table, key, value));
    sealed.extend(value);
    sealed
}

pub(super) fn open(table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = || damaged(table, key);
    let Some((&[magic, version], rest)) = sealed.split_first_chunk() else { return Err(damaged()) };
    if magic != MAGIC || version < VERSION {
        return Err(damaged());
    }
    if version > VERSION {
        return Err(StoreError::Newer { version: version.into() });
    }
    let (found, value) = rest.split_first_chunk::<DIGEST>().ok_or_else(damaged)?;
    if *found == digest(table, key, value) { Ok(value.to_vec()) } else { Err(damaged()) }
}

/// What is to be said of a value that is not what was written.
pub(super) fn damaged(table: Table, key: &[u8]) -> StoreError {
    StoreError::Damaged { place: format!("{}/{}", table.name(), hex(key)) }
}

fn digest(table: Table, key: &[u8], value: &[u8]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    for part in [table.name().as_bytes(), key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(value);
    let mut digest = [0; DIGEST];
    digest.copy_from_slice(&hash.finalize()[..DIGEST]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_is_seen_wherever_it_is() {
        let sealed = seal(Table::Fingers, b"key", b"value");
        assert_eq!(open(Table::Fingers, b"key", &sealed).unwrap(), b"value");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Table::Fingers, b"key", &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_moved_to_another_key_or_table_is_damage() {
        let sealed = seal(Table::Fingers, b"key", b"value");
        assert!(matches!(open(Table::Fingers, b"kex", &sealed), Err(StoreError::Damaged { .. })));
        assert!(matches!(open(Table::Subjects, b"key", &sealed), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_value_of_a_later_version_says_so() {
        let mut sealed = seal(Table::Audit, b"1", b"x");
        sealed[1] = 9;
        assert_eq!(open(Table::Audit, b"1", &sealed), Err(StoreError::Newer { version: 9 }));
    }
}
