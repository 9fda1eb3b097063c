//! Who else gets in than by a certificate, and how somebody gets one: what was given out, and until when.
//!
//! Invariant: a secret is told once, when it is made; what is kept of it is its digest.

mod accounts;
mod guesses;
mod invitations;
mod password;
mod sessions;
mod term;
mod tokens;
mod totp;

use std::sync::{Mutex, MutexGuard, PoisonError};

use authenteon_hal::clock::{Clock as _, SystemClock};

use self::{
    accounts::Accounts, guesses::Guesses, invitations::Invitations, sessions::Sessions, term::Now,
    tokens::Tokens,
};
use super::Inner;
use crate::{
    audit,
    clock::Timestamp,
    request::Caller,
    store::{Store, StoreError, Table, Value},
};

pub(crate) use self::invitations::Admission;
pub use self::{
    accounts::{Account, AccountError, SetUp, SignedIn},
    invitations::{Invitation, InvitationError},
    password::{NoPassword, Password},
    tokens::{Token, TokenError},
};

/// What was given out.
pub(super) struct Access {
    /// The box's clock was at least so far once.
    floor: Timestamp,
    uptime: SystemClock,
    invitations: Mutex<Invitations>,
    accounts: Mutex<Accounts>,
    tokens: Mutex<Tokens>,
    sessions: Mutex<Sessions>,
    guesses: Mutex<Guesses>,
    /// Held while a password is compared: one at a time, which bounds what guesses cost.
    signing: Mutex<()>,
}

/// Who shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Somebody who signed in.
    Session(Caller),
    /// A program, and what of its role it may do; all, when nothing is named.
    Token(Caller, Vec<String>),
}

/// What the store knows of it, while it is read.
#[derive(Default)]
pub(super) struct Found {
    values: Vec<Value>,
}

impl Found {
    /// Takes in a value, when it is one of these.
    pub(super) fn read(&mut self, value: &Value) -> bool {
        let ours = matches!(value.table, Table::Invitations | Table::Accounts | Table::Tokens);
        if ours {
            self.values.push(value.clone());
        }
        ours
    }
}

impl Access {
    /// What the store knows.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(super) fn open(store: &dyn Store, found: Found, wall: Timestamp) -> Result<Self, StoreError> {
        let (floor, uptime) = (audit::last_moment(store)?, SystemClock::new());
        let now = Now { wall: wall.max(floor), uptime: uptime.now() };
        let mut invitations = Invitations::default();
        let (mut accounts, mut tokens, mut guesses) =
            (Accounts::default(), Tokens::default(), Guesses::default());
        for value in &found.values {
            let bad = || StoreError::Damaged { place: value.table.name().to_owned() };
            match value.table {
                Table::Accounts => {
                    let (name, wrong) = accounts.read(value, now).ok_or_else(bad)?;
                    guesses.seed(&name, wrong, now.uptime);
                }
                Table::Tokens => tokens.read(value, now).ok_or_else(bad)?,
                _ => invitations.read(value, now).ok_or_else(bad)?,
            }
        }
        Ok(Self {
            floor,
            uptime,
            invitations: Mutex::new(invitations),
            accounts: Mutex::new(accounts),
            tokens: Mutex::new(tokens),
            sessions: Mutex::default(),
            guesses: Mutex::new(guesses),
            signing: Mutex::default(),
        })
    }
}

impl Inner {
    /// The moment by which what was given out is good or over.
    fn moment(&self) -> Now {
        let access = &self.access;
        Now { wall: self.clock.now().max(access.floor), uptime: access.uptime.now() }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
