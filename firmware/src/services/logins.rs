//! Who is called by a login or a user principal name, for those who ask about somebody by what he types.
//!
//! It is made from the store when it is first asked, as a box whose stations know ids needs none, and follows changes from
//! then on. Invariant: a name leads to one person or to nobody; what is withheld from somebody leads to nobody.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use super::{Inner, Services};
use crate::{
    directory::{Account, Identifier},
    store::StoreError,
    subject::{Login, SubjectId},
};

/// Those of everybody, once somebody asked.
#[derive(Default)]
pub(super) struct Logins(Mutex<Option<Index>>);

type Name = (Identifier, String);

#[derive(Default)]
struct Index {
    people: HashMap<Name, SubjectId>,
    names: HashMap<SubjectId, Vec<Name>>,
}

impl Index {
    fn put(&mut self, id: SubjectId, account: Option<&Account>) {
        for name in self.names.remove(&id).unwrap_or_default() {
            // Somebody else may have it by now.
            if self.people.get(&name) == Some(&id) {
                self.people.remove(&name);
            }
        }
        let Some(account) = account else { return };
        let held = Identifier::ALL.into_iter().filter_map(|which| {
            let held = account.holds(which)?;
            Some((which, held.to_lowercase()))
        });
        let names: Vec<Name> = held.collect();
        for name in &names {
            self.people.insert(name.clone(), id);
        }
        self.names.insert(id, names);
    }

    /// Who is called so; nobody where the login of one is the principal name of another.
    fn get(&self, login: &Login) -> Option<SubjectId> {
        let mut found = Identifier::ALL
            .into_iter()
            .filter_map(|which| self.people.get(&(which, login.as_ref().to_owned())).copied());
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}

impl Logins {
    fn index(&self) -> MutexGuard<'_, Option<Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has another account, or none any more.
    pub(super) fn put(&self, id: SubjectId, account: Option<&Account>) {
        if let Some(index) = self.index().as_mut() {
            index.put(id, account);
        }
    }

    /// Others are there: it is made anew.
    pub(super) fn forget(&self) {
        *self.index() = None;
    }
}

impl Services {
    /// Who is called so, if anybody is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn called(&self, login: &Login) -> Result<Option<SubjectId>, StoreError> {
        let inner = &self.inner;
        // Whoever is shown meanwhile waits, and is put in after: so he is shown in memory before.
        let mut index = inner.logins.index();
        if index.is_none() {
            let mut made = Index::default();
            inner.each_record(|id, record| {
                if inner.factors.of(id).followed.is_some() {
                    made.put(id, record.account.as_ref());
                }
            })?;
            *index = Some(made);
        }
        Ok(index.as_ref().and_then(|index| index.get(login)))
    }

    /// Who claims to be called so. Of a name that is nobody's, an id that is nobody's, always the same one: so it is refused as
    /// a wrong finger is, and failures count against it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claimed(&self, login: &Login) -> Result<SubjectId, StoreError> {
        if let Some(id) = self.called(login)? {
            return Ok(id);
        }
        let of_box = Sha256::new()
            .chain_update(b"a login that is nobody's")
            .chain_update(self.inner.store.id().as_bytes());
        let digest: [u8; 32] = of_box.chain_update(login.as_ref()).finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Ok(SubjectId::from_bytes(id))
    }
}

impl Inner {
    /// Somebody's account is this one from now on.
    pub(super) fn called(&self, id: SubjectId, account: &Account) {
        self.logins.put(id, Some(account));
    }
}
