//! Passwords of the accounts that directories are read with.
//!
//! Invariant: one lies in the store alone, sealed as all that lies there, and in no backup: what is restored elsewhere is given
//! it anew.

use zeroize::Zeroizing;

use super::{super::Inner, Services};
use crate::{
    audit::Event,
    directory::SourceName,
    request::Caller,
    store::{Change, StoreError, Table},
};

/// What their keys begin with in [`Table::About`].
const PREFIX: &str = "directory-password/";
/// Bytes of the longest password that a directory takes, and more.
const LONGEST: usize = 1024;

/// A text that is no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchPassword {
    /// It is empty, or longer than any.
    #[error("a password of a directory's account has 1 to {LONGEST} bytes, in one line")]
    Not,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn key(source: &SourceName) -> Vec<u8> {
    format!("{PREFIX}{source}").into_bytes()
}

impl Services {
    /// Keeps the password of the account that a directory is read with, in the place of the one before.
    ///
    /// # Errors
    /// [`NoSuchPassword`].
    pub fn set_directory_password(
        &self,
        by: &Caller,
        source: &SourceName,
        password: &Zeroizing<String>,
    ) -> Result<(), NoSuchPassword> {
        if password.is_empty() || password.len() > LONGEST || password.contains(['\n', '\r', '\0']) {
            return Err(NoSuchPassword::Not);
        }
        let change =
            Change::Put { table: Table::About, key: key(source), value: password.as_bytes().to_vec() };
        let event = Event::DirectoryPasswordSet { source: source.clone() };
        Inner::commit(&self.inner, by, &[change], &event)?;
        Ok(())
    }

    /// That password, if it was ever set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn directory_password(&self, source: &SourceName) -> Result<Option<Zeroizing<String>>, StoreError> {
        let Some(value) = self.inner.store.get(Table::About, &key(source))? else { return Ok(None) };
        let damaged = |_| StoreError::Damaged { place: format!("{}/{PREFIX}{source}", Table::About.name()) };
        String::from_utf8(value).map(|text| Some(Zeroizing::new(text))).map_err(damaged)
    }
}
