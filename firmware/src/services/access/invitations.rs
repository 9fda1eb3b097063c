//! Invitations: an administrator says who is to come, and whoever has the code comes once, with a key of his own.
//!
//! Invariant: a code gets one key one certificate; to the same key it is told again while the invitation lasts, since the
//! first answer may have been lost. A wrong secret is compared [`GUESSES`] times, then the invitation is gone.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    held,
    term::{Now, Term, after},
};
use crate::{
    audit::Event,
    clock::Timestamp,
    credential::{
        clients::Client,
        invitation::{InvitationId, Ticket},
        stations::ClientName,
    },
    request::{Caller, ClientId, Role, hex, unhex},
    services::{Inner, Services, the_box},
    store::{Change, StoreError, Table, Value},
};

/// Invitations at a time.
const MOST: usize = 256;
/// Wrong secrets until one is worth nothing.
const GUESSES: u32 = 5;
/// How long one is good.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// Why somebody is not invited, or does not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// No invitation of this box has this code.
    #[error("this is not the code of an invitation: it was mistyped, withdrawn, or is of another box")]
    Wrong,
    /// It was.
    #[error("this invitation is over: ask an administrator for another one")]
    Over,
    /// Somebody came with it.
    #[error("this code was used {0}: if it was not you, tell an administrator to remove who came")]
    Used(Timestamp),
    /// Nobody is called so.
    #[error("there is no such invitation")]
    Unknown,
    /// Somebody is called so.
    #[error("{0} is the name of a client, or of somebody who is invited: take another name")]
    NameTaken(String),
    /// There are too many.
    #[error("{MOST} invitations are open: withdraw some, or wait until they are over")]
    TooMany,
    /// It would be good for too long or too short a time.
    #[error("an invitation is good for a minute to 30 days")]
    Lifetime,
    /// There is no randomness for a code.
    #[error("the system has no randomness for a code")]
    Randomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An invitation, as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What it is called.
    pub id: InvitationId,
    /// What who comes is called.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// Who invited.
    pub by: String,
    /// When.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When somebody came.
    pub used: Option<Timestamp>,
}

/// What comes of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Whoever shows it is to be registered so.
    New(ClientName, Role),
    /// The same key has come with it: it is registered so, and has this certificate.
    Again(Client, String),
}

/// An invitation as it is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    role: Role,
    by: String,
    made: Timestamp,
    expires: Timestamp,
    /// SHA-256 of the ticket, in hex.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    used: Option<Used>,
}

/// Who came.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Used {
    at: Timestamp,
    /// SHA-256 of his key and of his certificate, in hex.
    key: String,
    certificate: String,
}

struct Open {
    kept: Kept,
    sha256: [u8; 32],
    term: Term,
    wrong: u32,
}

/// All of them.
#[derive(Default)]
pub(super) struct Invitations(BTreeMap<InvitationId, Open>);

impl Invitations {
    /// Takes in a value of the store.
    pub(super) fn read(&mut self, value: &Value, now: Now) -> Option<()> {
        let kept: Kept = serde_json::from_slice(&value.value).ok()?;
        let (sha256, term) = (unhex(&kept.sha256)?, Term::until(kept.expires, now));
        let open = Open { kept, sha256, term, wrong: 0 };
        self.0.insert(InvitationId::of_key(&value.key)?, open);
        Some(())
    }

    /// Forgets those that are over; gives what forgets them in the store too.
    fn clear(&mut self, now: Now) -> Vec<Change> {
        self.0.extract_if(.., |_, open| open.term.over(now)).map(|(id, _)| gone(id)).collect()
    }

    /// Whether somebody may come who is to be called so.
    pub(super) fn invites(&self, name: &str) -> bool {
        self.0.values().any(|open| open.kept.used.is_none() && open.kept.name == name)
    }

    fn told(&self) -> Vec<Invitation> {
        let told = |(id, open): (&InvitationId, &Open)| Invitation {
            id: *id,
            name: open.kept.name.clone(),
            role: open.kept.role,
            by: open.kept.by.clone(),
            made: open.kept.made,
            expires: open.kept.expires,
            used: open.kept.used.as_ref().map(|used| used.at),
        };
        let mut all: Vec<Invitation> = self.0.iter().map(told).collect();
        all.sort_by_key(|invitation| invitation.made);
        all
    }
}

fn gone(id: InvitationId) -> Change {
    Change::Delete { table: Table::Invitations, key: id.as_bytes().to_vec() }
}

fn put(id: InvitationId, kept: &Kept) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(kept).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::Invitations, key: id.as_bytes().to_vec(), value })
}

impl Services {
    /// Invites a client that is to be called so. The ticket is told once.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn invite(
        &self,
        by: &Caller,
        name: &ClientName,
        role: Role,
        lives: Duration,
    ) -> Result<(Invitation, Ticket), InvitationError> {
        if !(SHORTEST..=LONGEST).contains(&lives) {
            return Err(InvitationError::Lifetime);
        }
        let inner = &self.inner;
        let taken = inner.is_client(name.as_str()) || inner.is_token(name.as_str());
        let mut invitations = held(&inner.access.invitations);
        let now = inner.moment();
        let mut changes = invitations.clear(now);
        if taken || invitations.invites(name.as_str()) {
            return Err(InvitationError::NameTaken(name.as_str().to_owned()));
        }
        if invitations.0.len() >= MOST {
            return Err(InvitationError::TooMany);
        }
        let source = aws_lc_rs::default_provider().secure_random;
        let ticket = loop {
            let ticket = Ticket::random(source).map_err(|_| InvitationError::Randomness)?;
            if !invitations.0.contains_key(&ticket.id()) {
                break ticket;
            }
        };
        let (id, expires) = (ticket.id(), after(now.wall, lives));
        let kept = Kept {
            name: name.as_str().to_owned(),
            role,
            by: by.name.clone(),
            made: now.wall,
            expires,
            sha256: hex(&ticket.digest()),
            used: None,
        };
        changes.push(put(id, &kept)?);
        let event =
            Event::InvitationMade { invitation: id.to_string(), role, name: kept.name.clone(), expires };
        inner.commit(by, &changes, &event)?;
        let open = Open { kept, sha256: ticket.digest(), term: Term::until(expires, now), wrong: 0 };
        invitations.0.insert(id, open);
        let told = invitations.told().into_iter().find(|invitation| invitation.id == id);
        Ok((told.ok_or(InvitationError::Unknown)?, ticket))
    }

    /// Those that are not over, in the order in which they were made.
    #[must_use]
    pub fn invitations(&self) -> Vec<Invitation> {
        let mut invitations = held(&self.inner.access.invitations);
        // The store forgets them with the next one that is made.
        let now = self.inner.moment();
        invitations.0.retain(|_, open| !open.term.over(now));
        invitations.told()
    }

    /// Takes an invitation back; who came with it stays.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn withdraw(&self, by: &Caller, id: InvitationId) -> Result<(), InvitationError> {
        let mut invitations = held(&self.inner.access.invitations);
        let open = invitations.0.get(&id).ok_or(InvitationError::Unknown)?;
        self.inner.withdraw(by, id, &open.kept.name)?;
        invitations.0.remove(&id);
        Ok(())
    }

    /// Whether somebody with this ticket and a key with this SHA-256 is to come in.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub(crate) fn admit(&self, ticket: &Ticket, key: &[u8; 32]) -> Result<Admission, InvitationError> {
        let inner = &self.inner;
        let mut invitations = held(&inner.access.invitations);
        let now = inner.moment();
        let open = invitations.0.get_mut(&ticket.id()).ok_or(InvitationError::Wrong)?;
        if !ticket.is(&open.sha256) {
            open.wrong += 1;
            if open.wrong >= GUESSES {
                warn!("too many wrong secrets: an invitation is worth nothing any more");
                inner.withdraw(&the_box("wrong codes of an invitation"), ticket.id(), &open.kept.name)?;
                invitations.0.remove(&ticket.id());
            }
            return Err(InvitationError::Wrong);
        }
        if open.term.over(now) {
            return Err(InvitationError::Over);
        }
        let Some(used) = &open.kept.used else {
            let name = ClientName::try_from(open.kept.name.clone()).map_err(|_| InvitationError::Wrong)?;
            return Ok(Admission::New(name, open.kept.role));
        };
        let again = (used.key == hex(key)).then(|| inner.certified(&used.certificate)).transpose()?.flatten();
        again.map(|(client, pem)| Admission::Again(client, pem)).ok_or(InvitationError::Used(used.at))
    }

    /// Keeps that a client came in with this ticket and this key, with its certificate.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not to be. [`StoreError::Superseded`]: somebody else came with it meanwhile.
    pub(crate) fn client_joined(
        &self,
        from: Option<IpAddr>,
        ticket: &Ticket,
        key: &[u8; 32],
        client: &Client,
        certificate: &str,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let id = ticket.id();
        let mut invitations = held(&inner.access.invitations);
        let open = invitations.0.get_mut(&id).filter(|open| open.kept.used.is_none());
        let open = open.ok_or(StoreError::Superseded)?;
        let used = Used { at: inner.clock.now(), key: hex(key), certificate: client.sha256.clone() };
        let kept = Kept { used: Some(used), ..open.kept.clone() };
        let by = Caller::new(ClientId::of_invitation(&id), client.role, format!("invitation {id}")).at(from);
        inner.client_added(&by, client, certificate, vec![put(id, &kept)?])?;
        open.kept = kept;
        Ok(())
    }
}

impl Inner {
    fn withdraw(&self, by: &Caller, id: InvitationId, name: &str) -> Result<(), StoreError> {
        let event = Event::InvitationWithdrawn { invitation: id.to_string(), name: name.to_owned() };
        self.commit(by, &[gone(id)], &event)
    }
}

#[cfg(test)]
mod tests;
