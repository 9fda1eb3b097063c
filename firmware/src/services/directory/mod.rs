//! Directories that are followed: how far, what of it there is to know, and whose certificate may rest on it.
//!
//! Invariant: how far a directory was followed is kept after what was read of it, so that a start in between reads it again;
//! whom it names is known by directory and object, so that nothing is done twice.

mod apply;
mod password;
mod roll;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Inner, Services, SubjectError};
use crate::{
    clock::Timestamp,
    directory::{
        Account, Cursor, Identifier, Link, ObjectId, SourceName, State,
        plan::{Collision, Confirmation, Harm},
    },
    store::{StoreError, Table},
    subject::SubjectId,
};

pub use self::{
    apply::{Confirmed, Counts, FollowError, Outcome, Read},
    password::NoSuchPassword,
};

/// How far a directory was followed, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Progress {
    /// Where its source goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// When it was last read; to ten minutes, while nobody changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Timestamp>,
    /// When everybody was last looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swept: Option<Timestamp>,
}

/// A plan that waits for an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What he says to have it done.
    pub confirmation: Confirmation,
    /// Whom it takes something from.
    pub harm: Harm,
    /// Since when.
    pub since: Timestamp,
}

/// A directory, as far as the services know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryStatus {
    /// What it is called.
    pub name: SourceName,
    /// Whether the configuration names it; else only people are left of it.
    pub configured: bool,
    /// When it was last read.
    pub read: Option<Timestamp>,
    /// When everybody was last looked for.
    pub swept: Option<Timestamp>,
    /// Whether that is too long ago for certificates to rest on it.
    pub stale: bool,
    /// Why it was not read last time, and since when not.
    pub error: Option<(String, Timestamp)>,
    /// People, by how they stand.
    pub people: BTreeMap<State, usize>,
    /// What was last done, and when.
    pub last: Option<(Counts, Timestamp)>,
    /// What waits.
    pub held: Option<Held>,
    /// What people share and may not.
    pub collisions: Vec<Collision>,
    /// Who cannot be taken, and why.
    pub unusable: Vec<(Option<ObjectId>, String)>,
}

/// Why nobody is certified by his directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCertified {
    /// He is in no directory that is followed.
    #[error("the subject is in no directory that this box follows")]
    NotFollowed,
    /// The directory does not let him in.
    #[error("the account is {}", .0.name())]
    State(State),
    /// The directory was not read for too long.
    #[error("the directory {0} was not read for too long: authenteonctl directory status")]
    Stale(SourceName),
    /// Privileged accounts are given none.
    #[error("the account is privileged: it is given no certificate")]
    Privileged,
    /// Nobody knows as whom.
    #[error(
        "the account has no user principal name that it alone is called by: authenteonctl directory status"
    )]
    NoPrincipal,
    /// There is no such subject, or the store failed.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// What is known of a directory in memory.
#[derive(Default)]
struct Watched {
    /// After how long without being read it is stale.
    stale_after: Duration,
    /// Once the store could be asked.
    progress: Option<Progress>,
    /// What of it the store has.
    kept: Progress,
    error: Option<(String, Timestamp)>,
    /// Why nobody could look for everybody, since when, until somebody can.
    unswept: Option<(String, Timestamp)>,
    last: Option<(Counts, Timestamp)>,
    held: Option<Held>,
    collisions: Vec<Collision>,
    unusable: Vec<(Option<ObjectId>, String)>,
    /// Whether there was a plan since the start: then nothing read is nothing to plan.
    planned: bool,
}

/// Those that are followed.
#[derive(Default)]
pub(in crate::services) struct Directories {
    all: Mutex<BTreeMap<SourceName, Watched>>,
    /// Held while what was read of one is planned and done.
    turn: Mutex<()>,
}

impl Directories {
    fn all(&self) -> MutexGuard<'_, BTreeMap<SourceName, Watched>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of one.
    fn tell<T>(&self, of: &SourceName, what: impl FnOnce(&mut Watched) -> T) -> T {
        what(self.all().entry(of.clone()).or_default())
    }

    /// How far they were followed is another fact now: a backup was restored.
    pub(in crate::services) fn forget(&self) {
        for watched in self.all().values_mut() {
            *watched = Watched { stale_after: watched.stale_after, ..Watched::default() };
        }
    }
}

impl Services {
    /// These are followed from now on; each is stale when it was not read for so long.
    pub fn watch_directories(&self, sources: impl IntoIterator<Item = (SourceName, Duration)>) {
        for (name, stale_after) in sources {
            self.inner.directories.tell(&name, |watched| watched.stale_after = stale_after);
        }
    }

    /// How far one was followed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn directory_progress(&self, source: &SourceName) -> Result<Progress, StoreError> {
        self.inner.progress_of(source)
    }

    /// One was not followed. Gives whether that is known already.
    pub fn directory_failed(&self, source: &SourceName, why: &str) -> bool {
        let now = self.inner.clock.now();
        self.inner.directories.tell(source, |watched| note(&mut watched.error, why, now))
    }

    /// One was followed, but not everybody of it could be looked for: that is said until it is made up for. Gives whether it is
    /// known already.
    pub fn directory_unswept(&self, source: &SourceName, why: &str) -> bool {
        let now = self.inner.clock.now();
        self.inner.directories.tell(source, |watched| note(&mut watched.unswept, why, now))
    }

    /// Everybody of one whom the box knows.
    #[must_use]
    pub fn directory_people(&self, source: &SourceName) -> Vec<(SubjectId, Link)> {
        self.inner.factors.followed(source)
    }

    /// Those that were not read for too long; asked often, so nobody is counted.
    #[must_use]
    pub fn stale_directories(&self) -> Vec<SourceName> {
        let now = self.inner.clock.now();
        let names: Vec<(SourceName, Duration)> = self
            .inner
            .directories
            .all()
            .iter()
            .map(|(name, watched)| (name.clone(), watched.stale_after))
            .collect();
        let is_stale = |(name, after): &(SourceName, Duration)| {
            is_stale(&self.inner.progress_of(name).unwrap_or_default(), *after, now)
        };
        names.into_iter().filter(is_stale).map(|(name, _)| name).collect()
    }

    /// All of them, those of which only people are left, too.
    #[must_use]
    pub fn directories(&self) -> Vec<DirectoryStatus> {
        let inner = &self.inner;
        let mut people: BTreeMap<SourceName, BTreeMap<State, usize>> = BTreeMap::new();
        inner.factors.each_followed(|_, link| {
            // Names are few, people many.
            if !people.contains_key(&link.source) {
                people.insert(link.source.clone(), BTreeMap::new());
            }
            if let Some(states) = people.get_mut(&link.source) {
                *states.entry(link.state).or_default() += 1;
            }
        });
        let now = inner.clock.now();
        let names: Vec<SourceName> = inner.directories.all().keys().cloned().collect();
        // Where the store is not to be asked, it is not known yet.
        names.iter().for_each(|name| drop(inner.progress_of(name)));
        let all = inner.directories.all();
        let mut found: Vec<DirectoryStatus> = all
            .iter()
            .map(|(name, watched)| {
                let people = people.remove(name).unwrap_or_default();
                watched.status(name, people, now)
            })
            .collect();
        let left = people.into_iter().map(|(name, people)| DirectoryStatus {
            configured: false,
            ..Watched::default().status(&name, people, now)
        });
        found.extend(left);
        found
    }

    /// The account of somebody for whom a certificate may be issued now.
    ///
    /// # Errors
    /// [`NotCertified`].
    pub fn may_certify(&self, id: SubjectId) -> Result<Account, NotCertified> {
        let inner = &self.inner;
        let record = inner.subject(id).map_err(SubjectError::from)?.ok_or(SubjectError::Unknown)?;
        let factors = inner.factors.of(id);
        let link = factors.followed.as_ref().ok_or(NotCertified::NotFollowed)?;
        if link.state != State::Active {
            return Err(NotCertified::State(link.state));
        }
        let progress = inner.progress_of(&link.source).map_err(SubjectError::from)?;
        let now = inner.clock.now();
        let all = inner.directories.all();
        let watched = all.get(&link.source).ok_or(NotCertified::NotFollowed)?;
        if is_stale(&progress, watched.stale_after, now) {
            return Err(NotCertified::Stale(link.source.clone()));
        }
        let account = record.account.unwrap_or_default();
        if account.privileged {
            return Err(NotCertified::Privileged);
        }
        if account.holds(Identifier::Upn).is_none() {
            return Err(NotCertified::NoPrincipal);
        }
        Ok(account)
    }
}

impl Watched {
    fn status(&self, name: &SourceName, people: BTreeMap<State, usize>, now: Timestamp) -> DirectoryStatus {
        let progress = self.progress.clone().unwrap_or_default();
        DirectoryStatus {
            name: name.clone(),
            configured: true,
            stale: is_stale(&progress, self.stale_after, now),
            read: progress.read,
            swept: progress.swept,
            error: self.error.clone().or_else(|| self.unswept.clone()),
            people,
            last: self.last.clone(),
            held: self.held.clone(),
            collisions: self.collisions.clone(),
            unusable: self.unusable.clone(),
        }
    }
}

/// Notes what is wrong, since when it is; gives whether that is known already.
fn note(noted: &mut Option<(String, Timestamp)>, why: &str, now: Timestamp) -> bool {
    let (since, known) = noted.as_ref().map_or((now, false), |(before, since)| (*since, before == why));
    *noted = Some((why.to_owned(), since));
    known
}

/// Whether it was not read for so long, or never. A clock that was set back makes it no fresher.
fn is_stale(progress: &Progress, after: Duration, now: Timestamp) -> bool {
    progress.read.is_none_or(|read| read > now || now.since(read) >= after)
}

impl Inner {
    /// How far a directory was followed.
    fn progress_of(&self, source: &SourceName) -> Result<Progress, StoreError> {
        if let Some(progress) = self.directories.all().get(source).and_then(|w| w.progress.clone()) {
            return Ok(progress);
        }
        let value = self.store.get(Table::Cookies, source.as_ref().as_bytes())?;
        let damaged = |_| StoreError::Damaged { place: format!("{}/{source}", Table::Cookies.name()) };
        let progress: Progress =
            value.map_or_else(|| Ok(Progress::default()), |v| serde_json::from_slice(&v)).map_err(damaged)?;
        if let Some(watched) = self.directories.all().get_mut(source) {
            watched.kept = progress.clone();
            watched.progress = Some(progress.clone());
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests;
