//! How what is stored is protected at rest, and another way from now on.

use super::{Inner, Services};
use crate::{
    audit::Event,
    request::Caller,
    store::{AtRest, KeyError, Master, StoreError},
};

impl Services {
    /// How what is stored is protected from whoever takes the disk.
    #[must_use]
    pub fn at_rest(&self) -> AtRest {
        self.inner.store.at_rest()
    }

    /// How many values of about how many are checked, while the store is checked or rebuilt.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.inner.store.progress().or_else(|| self.inner.rebuilding())
    }

    /// Whether what was stored before its migration still lies beside.
    #[must_use]
    pub fn snapshot(&self) -> bool {
        self.inner.store.snapshot()
    }

    /// Has another master key from now on. Whoever replaces a passphrase knows the `current` one.
    ///
    /// # Errors
    /// [`KeyError`]; then the one before is good.
    pub fn change_master(
        &self,
        by: &Caller,
        current: Option<&str>,
        master: &Master,
    ) -> Result<AtRest, KeyError> {
        self.inner.store.change_master(current, master)?;
        let mode = self.at_rest();
        self.inner.commit(by, &[], &Event::MasterKeyChanged { mode })?;
        Ok(mode)
    }

    /// Writes a record of what changes nothing that is stored.
    pub(crate) fn note(&self, by: &Caller, event: Event) -> Result<(), StoreError> {
        Inner::commit(&self.inner, by, &[], &event)
    }
}
