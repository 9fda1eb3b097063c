//! Values as they lie on the disk since format 2: encrypted and authenticated, each bound to its place.
//!
//! Magic, version, a nonce of twelve bytes, the value under AES-256-GCM-SIV (RFC 8452), its tag of sixteen.
//! The store's own id, the table and the key are authenticated with it: a value that was changed, moved to
//! another key or brought from another store does not open. The nonce is random; one that comes twice tells
//! whether two values are the same, and nothing else.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{StoreError, Table, files, io_error, record};

const MAGIC: u8 = 0xA7;
const VERSION: u8 = 2;
const HEAD: usize = 2 + NONCE_LEN;
const TAG: usize = 16;
/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// A key that seals: of values, or of other keys.
pub(crate) struct SealingKey {
    key: LessSafeKey,
    bytes: Zeroizing<[u8; KEY]>,
}

impl SealingKey {
    pub(super) fn new(bytes: Zeroizing<[u8; KEY]>) -> Result<Self, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice());
        let key = key.map_err(|_| StoreError::Io("no cipher of the store's kind".to_owned()))?;
        Ok(Self { key: LessSafeKey::new(key), bytes })
    }

    pub(super) fn random() -> Result<Self, StoreError> {
        Self::new(Zeroizing::new(files::random().map_err(|why| io_error(&why))?))
    }

    /// The key itself, to be sealed with another.
    pub(super) fn bytes(&self) -> &[u8; KEY] {
        &self.bytes
    }

    /// `head`, the nonce, what `value` becomes, and the tag.
    pub(crate) fn seal(&self, head: &[u8], context: &[u8], value: &[u8]) -> io::Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = files::random()?;
        let mut sealed = Vec::with_capacity(head.len() + NONCE_LEN + value.len() + TAG);
        sealed.extend(head);
        sealed.extend(nonce);
        sealed.extend(value);
        let at = head.len() + NONCE_LEN;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(context), &mut sealed[at..]);
        sealed.extend(tag.map_err(|_| io::Error::other("a value cannot be sealed"))?.as_ref());
        Ok(sealed)
    }

    /// What was sealed, from its nonce on; `None` when it is not what was sealed under this key and context.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.open_into(context, sealed, &mut value).then_some(value)
    }

    /// The same in the place of what is in `value`, which is nothing of any worth when it is false.
    pub(super) fn open_into(&self, context: &[u8], sealed: &[u8], value: &mut Vec<u8>) -> bool {
        value.clear();
        let Some((nonce, rest)) = sealed.split_first_chunk::<NONCE_LEN>() else { return false };
        value.extend(rest);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(context), value).map(|value| value.len());
        value.truncate(opened.unwrap_or(0));
        opened.is_ok()
    }
}

/// The key of a store's values.
pub(super) struct DomainKey {
    pub(super) store: Uuid,
    pub(super) key: SealingKey,
}

impl DomainKey {
    /// What is authenticated with a value beside it.
    fn context(&self, table: Table, key: &[u8]) -> Vec<u8> {
        let mut context = b"authenteon value".to_vec();
        context.extend(self.store.as_bytes());
        for part in [table.name().as_bytes(), key] {
            context.extend((part.len() as u64).to_be_bytes());
            context.extend(part);
        }
        context
    }

    pub(super) fn seal(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let sealed = self.key.seal(&[MAGIC, VERSION], &self.context(table, key), value);
        sealed.map_err(|why| io_error(&why))
    }

    pub(super) fn open(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = || record::damaged(table, key);
        match sealed {
            [MAGIC, VERSION, rest @ ..] if sealed.len() >= HEAD + TAG => {
                self.key.open(&self.context(table, key), rest).ok_or_else(damaged)
            }
            [MAGIC, version, ..] if *version > VERSION => {
                Err(StoreError::Newer { version: (*version).into() })
            }
            // A value of format 1 too: it authenticates nothing.
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> DomainKey {
        DomainKey { store: Uuid::new_v4(), key: SealingKey::random().unwrap() }
    }

    #[test]
    fn a_changed_bit_is_seen_wherever_it_is_and_the_value_is_nowhere_to_be_read() {
        let domain = domain();
        let sealed = domain.seal(Table::Fingers, b"key", b"a value of some length").unwrap();
        assert!(!sealed.windows(7).any(|bytes| bytes == b"a value"));
        assert_eq!(domain.open(Table::Fingers, b"key", &sealed).unwrap(), b"a value of some length");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(domain.open(Table::Fingers, b"key", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(domain.open(Table::Fingers, b"key", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_value_moved_to_another_place_or_brought_from_another_store_is_damage() {
        let domain = domain();
        let sealed = domain.seal(Table::Fingers, b"key", b"value").unwrap();
        let damaged = |read: Result<Vec<u8>, StoreError>| matches!(read, Err(StoreError::Damaged { .. }));
        assert!(damaged(domain.open(Table::Fingers, b"kex", &sealed)));
        assert!(damaged(domain.open(Table::Subjects, b"key", &sealed)));
        let key = SealingKey::new(Zeroizing::new(*domain.key.bytes())).unwrap();
        let same_key = DomainKey { store: Uuid::new_v4(), key };
        assert!(damaged(same_key.open(Table::Fingers, b"key", &sealed)));
        let same_store = DomainKey { store: domain.store, key: SealingKey::random().unwrap() };
        assert!(damaged(same_store.open(Table::Fingers, b"key", &sealed)));
    }

    #[test]
    fn a_value_in_clear_is_not_taken_for_a_sealed_one() {
        let plain = record::seal(Table::Fingers, b"key", &[7; 100]);
        assert!(matches!(domain().open(Table::Fingers, b"key", &plain), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let domain = domain();
        let seal = || domain.seal(Table::Audit, b"1", b"value").unwrap();
        assert_ne!(seal(), seal());
    }
}
