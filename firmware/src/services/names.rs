//! What lies under a client's name: its restriction, its grant, its failures, and the graces of people accepted there.
//!
//! Invariant: it goes with the client, in the commit that renames or removes it. So a new name is no way round a
//! restriction or a lockout, and nobody inherits them with a name that became free.

use std::sync::PoisonError;

use super::{Inner, Services, lockout::About, restrictions};
use crate::{
    audit::Event,
    credential::{clients::ClientsError, stations::StationError},
    policy::Whom,
    request::Caller,
    store::{Change, StoreError, Table},
};

impl Services {
    /// Whether a client may be called so from now on, beside those that are in the registry.
    ///
    /// # Errors
    /// [`StationError`]: a token is called so, or `renamed` would bring its restriction where there is one.
    pub(crate) fn check_new_name(&self, to: &str, renamed: Option<&str>) -> Result<(), StationError> {
        let inner = &self.inner;
        if inner.is_token(to) {
            return Err(ClientsError::Exists(to.to_owned()).into());
        }
        let restricted = |name: &str| inner.restrictions.has(&Whom::Station(name.to_owned()));
        match renamed {
            Some(from) if from != to && restricted(from) && restricted(to) => {
                Err(StationError::Restricted(to.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Commits that a client is called otherwise, or with no new name that nobody is called so any more.
    pub(super) fn commit_renamed(
        &self,
        by: &Caller,
        mut changes: Vec<Change>,
        event: &Event,
        (from, to): (&str, Option<&str>),
    ) -> Result<(), StoreError> {
        let _changing = self.restrictions.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _granting = self.handover.grants.changing();
        let whom = Whom::Station(from.to_owned());
        let restriction = self.restrictions.of(&whom);
        if let Some(restriction) = &restriction {
            changes.push(Change::Delete { table: Table::Policy, key: restrictions::key(&whom) });
            if let Some(to) = to {
                changes.push(restrictions::put(&Whom::Station(to.to_owned()), restriction)?);
            }
        }
        changes.extend(self.handover.grants.renaming(from, to)?);
        let about = About::Station(from.to_owned());
        self.commit_tally_moved(by, &changes, event, (about, to.map(|to| About::Station(to.to_owned()))))?;
        if let Some(restriction) = restriction {
            self.restrictions.put(whom, None);
            if let Some(to) = to {
                self.restrictions.put(Whom::Station(to.to_owned()), Some(restriction));
            }
        }
        self.handover.grants.renamed(from, to);
        self.graces.rename(from, to);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
