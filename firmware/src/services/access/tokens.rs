//! Tokens of automation: made by an administrator, told once, good until they end or are revoked.
//!
//! Invariant: a token may do what its role may, within its scopes if it has any; the digest of it is what is kept.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    held, sessions,
    term::{Now, Term, after},
};
use crate::{
    audit::Event,
    clock::Timestamp,
    credential::stations::ClientName,
    request::{Caller, ClientId, Role},
    services::{Inner, Services},
    store::{Change, StoreError, Table, Value},
};

/// What a token begins with: whoever searches for leaked ones finds them by it.
pub(super) const PREFIX: &str = "aut_";
/// Tokens at a time.
const MOST: usize = 256;
/// How long one is good.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Why there is no token, or not this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nobody is called so.
    #[error("there is no such token")]
    Unknown,
    /// Somebody is called so.
    #[error("there is a token named {0}: take another name, or revoke it first")]
    NameTaken(String),
    /// A client is called so, or is invited: what restricts it would restrict both.
    #[error("a station or another client is named {0}, or is invited so: take another name")]
    ClientNamed(String),
    /// There are too many.
    #[error("there are {MOST} tokens: revoke some")]
    TooMany,
    /// It would be good for too long or too short a time.
    #[error("a token is good for a day to 366 days")]
    Lifetime,
    /// There is no randomness.
    #[error("the system has no randomness for a token")]
    Randomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token, as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What of that it is good for; all, when there are none.
    pub scopes: Vec<String>,
    /// Who made it.
    pub by: String,
    /// When.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// A token as it is kept, under its digest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    role: Role,
    scopes: Vec<String>,
    by: String,
    made: Timestamp,
    expires: Timestamp,
}

/// All of them.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<[u8; 32], (Kept, Term)>);

impl Tokens {
    /// Takes in a value of the store.
    pub(super) fn read(&mut self, value: &Value, now: Now) -> Option<()> {
        let kept: Kept = serde_json::from_slice(&value.value).ok()?;
        let term = Term::until(kept.expires, now);
        self.0.insert(value.key.as_slice().try_into().ok()?, (kept, term));
        Some(())
    }

    /// Whose it is, and its scopes.
    pub(super) fn caller(&self, token: &str, now: Now) -> Option<(Caller, Vec<String>)> {
        let (kept, _) = self.0.get(&sessions::digest(token)).filter(|(_, term)| !term.over(now))?;
        let (id, name) = (ClientId::of_token(&kept.name), kept.name.clone());
        Some((Caller::new(id, kept.role, name), kept.scopes.clone()))
    }

    fn clear(&mut self, now: Now) -> Vec<Change> {
        self.0.extract_if(.., |_, (_, term)| term.over(now)).map(|(digest, _)| gone(&digest)).collect()
    }
}

fn gone(digest: &[u8; 32]) -> Change {
    Change::Delete { table: Table::Tokens, key: digest.to_vec() }
}

impl Services {
    /// Makes a token; it is told once.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn make_token(
        &self,
        by: &Caller,
        name: &ClientName,
        role: Role,
        scopes: Vec<String>,
        lives: Duration,
    ) -> Result<(Token, Zeroizing<String>), TokenError> {
        if !(Duration::from_secs(86_400)..=LONGEST).contains(&lives) {
            return Err(TokenError::Lifetime);
        }
        let inner = &self.inner;
        if inner.is_client(name.as_str()) || held(&inner.access.invitations).invites(name.as_str()) {
            return Err(TokenError::ClientNamed(name.as_str().to_owned()));
        }
        let mut tokens = held(&inner.access.tokens);
        let now = inner.moment();
        let mut changes = tokens.clear(now);
        let name = name.as_str().to_owned();
        if tokens.0.values().any(|(kept, _)| kept.name == name) {
            return Err(TokenError::NameTaken(name));
        }
        if tokens.0.len() >= MOST {
            return Err(TokenError::TooMany);
        }
        let token = sessions::token(PREFIX).ok_or(TokenError::Randomness)?;
        let (digest, expires) = (sessions::digest(&token), after(now.wall, lives));
        let kept = Kept { name, role, scopes, by: by.name.clone(), made: now.wall, expires };
        let value = serde_json::to_vec(&kept).map_err(|why| StoreError::Io(why.to_string()))?;
        changes.push(Change::Put { table: Table::Tokens, key: digest.to_vec(), value });
        let (name, scopes) = (kept.name.clone(), kept.scopes.clone());
        inner.commit(by, &changes, &Event::TokenMade { name, role, scopes, expires })?;
        let told = told(&kept);
        tokens.0.insert(digest, (kept, Term::until(expires, now)));
        Ok((told, token))
    }

    /// Those that are not over, in the order in which they were made.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        let now = self.inner.moment();
        let tokens = held(&self.inner.access.tokens);
        let good = tokens.0.values().filter(|(_, term)| !term.over(now));
        let mut all: Vec<Token> = good.map(|(kept, _)| told(kept)).collect();
        all.sort_by_key(|token| token.made);
        all
    }

    /// Revokes a token: it is nobody's from its next request on.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn revoke_token(&self, by: &Caller, name: &str) -> Result<(), TokenError> {
        let mut tokens = held(&self.inner.access.tokens);
        let found = tokens.0.iter().find(|(_, (kept, _))| kept.name == name).map(|(digest, _)| *digest);
        let digest = found.ok_or(TokenError::Unknown)?;
        let event = Event::TokenRevoked { name: name.to_owned() };
        self.inner.commit(by, &[gone(&digest)], &event)?;
        tokens.0.remove(&digest);
        Ok(())
    }
}

impl Inner {
    /// Whether a token is called so.
    pub(in crate::services) fn is_token(&self, name: &str) -> bool {
        let now = self.moment();
        let tokens = held(&self.access.tokens);
        tokens.0.values().any(|(kept, term)| kept.name == name && !term.over(now))
    }
}

fn told(kept: &Kept) -> Token {
    let Kept { name, role, scopes, by, made, expires } = kept.clone();
    Token { name, role, scopes, by, made, expires }
}
