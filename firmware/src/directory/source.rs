//! What reads a directory, whichever it is.

use std::{collections::BTreeSet, future::Future, pin::Pin};

use serde::{Deserialize, Serialize};

use super::{Entry, ObjectId};

/// How far a directory was followed. What is in it is its source's; kept with the store, and given back to the same source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub serde_json::Value);

/// What was read, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether it is everybody: then who is not in it is not in the directory.
    pub whole: bool,
    /// Who is there, or has changed, each once, as they are now.
    pub entries: Vec<Entry>,
    /// Who is not there any more, or not among those that the mapping wants.
    pub gone: BTreeSet<ObjectId>,
    /// What was there and cannot be taken, and why; without names. They are left as they are. `None`: what was there does not
    /// even say who it is; then nobody is known to be gone, and the reading is never whole.
    pub unusable: Vec<(Option<ObjectId>, String)>,
    /// Of those who cannot be taken, who may not log in all the same.
    pub shut: BTreeSet<ObjectId>,
    /// Where to go on.
    pub cursor: Cursor,
}

/// What an account may do in the directory, as a test of it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rights {
    /// How changes are read ("dirsync", "dirsync-object-security", "usn", "syncrepl", "sweep").
    pub method: String,
    /// Whether deletions are seen at once; else by the daily sweep.
    pub deletions: bool,
    /// How many people the mapping finds.
    pub people: usize,
    /// What an administrator is to know: each right that is missing, and the command that gives it.
    pub advice: Vec<String>,
}

/// Why a directory was not read. Each says what to do; none has a secret or a person's name in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// No server answers.
    #[error("no server of the directory answers ({0}): check its name, the network and its LDAP port")]
    Unreachable(String),
    /// The certificate is not of the authority that the configuration names, or not for this name.
    #[error(
        "the directory's certificate is not trusted ({0}): `ca` has to name the authority that signed it"
    )]
    Certificate(String),
    /// The certificate is over.
    #[error("the directory's certificate has expired ({0}): renew it on the server, and check both clocks")]
    Expired(String),
    /// Wrong name or password.
    #[error(
        "the directory refuses the account's name or password: give the right one with `authenteonctl directory password NAME`"
    )]
    Credentials,
    /// The account is locked, disabled, expired or has to change its password.
    #[error("the directory does not let the account in: {0}")]
    Account(String),
    /// A right is missing.
    #[error("the account may not {0}")]
    Right(String),
    /// What is asked for is not there.
    #[error("{0} is not in the directory: check `base` and the groups of the mapping")]
    Missing(String),
    /// The server says that what is asked for lies elsewhere.
    #[error("the directory refers to another server ({0}): name that one in `servers`")]
    Referral(String),
    /// The server gave less than all.
    #[error(
        "the directory gave less than all ({0}), so nothing was changed, and it is tried again: where that stays, raise its limits for this account, or narrow `base`"
    )]
    Partial(String),
    /// It stalls.
    #[error(
        "the directory did not go on within {0} s, so nothing was changed: it is tried again; look at its load, or raise `answer-seconds` or `reading-seconds`"
    )]
    Stalled(u64),
    /// What it says cannot be read.
    #[error("the directory's answer cannot be used, so nothing was changed: {0}")]
    Protocol(String),
    /// What is configured cannot be used.
    #[error("{0}")]
    Configuration(String),
}

/// A future of a source.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, DirectoryError>> + Send + 'a>>;

/// What reads a directory. A call that is dropped half-way leaves nothing behind but a closed connection.
pub trait Source: Send {
    /// Everybody when there is no cursor, or it is of no use any more; else what has changed since.
    fn read<'a>(&'a mut self, since: Option<&'a Cursor>) -> Asked<'a, Reading>;

    /// The identifiers of everybody that the mapping wants, by a sweep of its own: what deletions are found by that no
    /// increment told.
    fn everybody(&mut self) -> Asked<'_, BTreeSet<ObjectId>>;

    /// One person as of now; none: not there, or not among those that the mapping wants.
    fn person(&mut self, id: ObjectId) -> Asked<'_, Option<Entry>>;

    /// What the account may do.
    fn test(&mut self) -> Asked<'_, Rights>;
}

/// What each kind of directory writes; with its futures boxed it is a [`Source`].
pub(super) trait Reads: Send {
    /// See [`Source::read`].
    fn reading(
        &mut self,
        since: Option<&Cursor>,
    ) -> impl Future<Output = Result<Reading, DirectoryError>> + Send;

    /// See [`Source::everybody`].
    fn identifiers(&mut self) -> impl Future<Output = Result<BTreeSet<ObjectId>, DirectoryError>> + Send;

    /// See [`Source::person`].
    fn one(&mut self, id: ObjectId) -> impl Future<Output = Result<Option<Entry>, DirectoryError>> + Send;

    /// See [`Source::test`].
    fn rights(&mut self) -> impl Future<Output = Result<Rights, DirectoryError>> + Send;
}

impl<T: Reads> Source for T {
    fn read<'a>(&'a mut self, since: Option<&'a Cursor>) -> Asked<'a, Reading> {
        Box::pin(self.reading(since))
    }

    fn everybody(&mut self) -> Asked<'_, BTreeSet<ObjectId>> {
        Box::pin(self.identifiers())
    }

    fn person(&mut self, id: ObjectId) -> Asked<'_, Option<Entry>> {
        Box::pin(self.one(id))
    }

    fn test(&mut self) -> Asked<'_, Rights> {
        Box::pin(self.rights())
    }
}
