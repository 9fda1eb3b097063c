//! Accounts of people: a password and a code that changes every half minute, both or nothing.
//!
//! Invariant: whoever is refused does not learn what was wrong, nor whether there is such an account, by how long it takes
//! neither; a code is taken once; a wrong attempt at an account is in the store before it is answered. An account that was removed or reset has no
//! session any more.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Bearer, held,
    password::{Hashed, Password},
    sessions,
    term::{Now, Term, after},
    totp,
};
use crate::{
    audit::{Event, Head},
    clock::Timestamp,
    credential::stations::ClientName,
    request::{Caller, ClientId, Role, hex, unhex},
    services::{Inner, Services},
    store::{Change, StoreError, Table, Value},
    symbols,
};

/// What a session's token begins with.
pub(super) const PREFIX: &str = "aus_";
/// How long the first password of an account is good.
const FIRST_LIVES: Duration = Duration::from_secs(72 * 3600);
/// Where attempts at nobody's account are written over each other; no destination of the audit is called so.
const NOBODY: &[u8] = b"\0nobody";
/// Accounts at a time.
const MOST: usize = 256;

/// Why nobody signed in, or an account is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Name, password or code is not right.
    #[error("this account with this password and this code is nobody's")]
    Refused,
    /// It was wrong too often.
    #[error("too many wrong attempts at this account: wait {} seconds", .0.as_secs() + 1)]
    Wait(Duration),
    /// Nobody is called so.
    #[error("there is no such account")]
    Unknown,
    /// Somebody is called so.
    #[error("there is an account named {0}: take another name, or remove it first")]
    NameTaken(String),
    /// Nobody could administer the box any more.
    #[error(
        "nobody else administers this box, by a certificate that has not ended or an account that is ready: add somebody first"
    )]
    LastAdministrator,
    /// There are too many.
    #[error("there are {MOST} accounts: remove some")]
    TooMany,
    /// There is no randomness.
    #[error("the system has no randomness")]
    Randomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account, as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub by: String,
    /// When.
    pub made: Timestamp,
    /// Whether its password and codes are set up.
    pub ready: bool,
}

/// What the holder of an account needs for his app. Told once.
pub struct SetUp {
    /// As text.
    pub secret: Zeroizing<String>,
    /// For an app.
    pub uri: Zeroizing<String>,
}

/// What whoever signed in gets.
pub struct SignedIn {
    /// To be shown with every request.
    pub token: Zeroizing<String>,
    /// What he may do.
    pub role: Role,
    /// Seconds until it ends when nobody uses it, and in any case.
    pub idle: Duration,
    /// The same in any case.
    pub longest: Duration,
}

/// An account as it is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    role: Role,
    by: String,
    made: Timestamp,
    /// The password that the administrator passed on, until it is set up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first: Option<First>,
    /// What its holder chose; with `first` it waits for the first right code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    own: Option<Own>,
    /// Wrong attempts since the last right one.
    wrong: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    password: Hashed,
    expires: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    password: Hashed,
    /// The secret of its codes, in hex.
    totp: String,
    /// The step of the last code that was taken.
    step: u64,
}

/// All of them, with the end of their first passwords.
#[derive(Default)]
pub(super) struct Accounts(BTreeMap<String, (Kept, Option<Term>)>);

impl Accounts {
    /// Takes in a value of the store; gives its name and how often it was tried wrong.
    pub(super) fn read(&mut self, value: &Value, now: Now) -> Option<(String, u32)> {
        let kept: Kept = serde_json::from_slice(&value.value).ok()?;
        let name = String::from_utf8(value.key.clone()).ok()?;
        let wrong = kept.wrong;
        self.put(&name, kept, now);
        Some((name, wrong))
    }

    fn put(&mut self, name: &str, kept: Kept, now: Now) {
        let term = kept.first.as_ref().map(|first| Term::until(first.expires, now));
        self.0.insert(name.to_owned(), (kept, term));
    }
}

fn put(name: &str, kept: &Kept) -> Result<Change, StoreError> {
    let value = serde_json::to_vec(kept).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok(Change::Put { table: Table::Accounts, key: name.as_bytes().to_vec(), value })
}

/// A password that is passed on by people: 80 random bits.
fn first_password() -> Option<(Zeroizing<String>, Hashed)> {
    let mut bytes = Zeroizing::new([0; 10]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    let plain = Zeroizing::new(symbols::encode(bytes.as_slice()));
    let hashed = Hashed::of(&plain)?;
    let groups: Vec<&str> = (0..4).filter_map(|n| plain.get(4 * n..4 * n + 4)).collect();
    Some((Zeroizing::new(groups.join("-")), hashed))
}

/// A name as it was typed, if an account can be called so; all others are one and the same.
fn possible(typed: &str) -> &str {
    if ClientName::try_from(typed.to_owned()).is_ok() { typed } else { "" }
}

/// One as it was typed, as it was made.
fn as_made(typed: &str) -> Zeroizing<String> {
    let bytes = symbols::decode::<10>(typed).map(Zeroizing::new);
    Zeroizing::new(bytes.map_or_else(|| typed.to_owned(), |bytes| symbols::encode(bytes.as_slice())))
}

impl Services {
    /// Makes an account. Its first password is told once.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn add_account(
        &self,
        by: &Caller,
        name: &ClientName,
        role: Role,
    ) -> Result<(Account, Zeroizing<String>), AccountError> {
        let inner = &self.inner;
        let (password, hashed) = first_password().ok_or(AccountError::Randomness)?;
        let mut accounts = held(&inner.access.accounts);
        if accounts.0.contains_key(name.as_str()) {
            return Err(AccountError::NameTaken(name.as_str().to_owned()));
        }
        if accounts.0.len() >= MOST {
            return Err(AccountError::TooMany);
        }
        let now = inner.moment();
        let first = Some(First { password: hashed, expires: after(now.wall, FIRST_LIVES) });
        let kept = Kept { role, by: by.name.clone(), made: now.wall, first, own: None, wrong: 0 };
        let event = Event::AccountAdded { account: name.as_str().to_owned(), role };
        inner.commit(by, &[put(name.as_str(), &kept)?], &event)?;
        let told = told(name.as_str(), &kept);
        accounts.put(name.as_str(), kept, now);
        Ok((told, password))
    }

    /// All accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        held(&self.inner.access.accounts).0.iter().map(|(name, (kept, _))| told(name, kept)).collect()
    }

    /// Removes an account, with its sessions; the last one who administers the box stays, unless somebody does by a certificate
    /// (`certified`).
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn remove_account(&self, by: &Caller, name: &str, certified: bool) -> Result<(), AccountError> {
        let inner = &self.inner;
        let mut accounts = held(&inner.access.accounts);
        let (kept, _) = accounts.0.get(name).ok_or(AccountError::Unknown)?;
        let administers = |(_, (kept, _)): &(&String, &(Kept, Option<Term>))| {
            kept.role == Role::Administrator && kept.first.is_none() && kept.own.is_some()
        };
        let others = accounts.0.iter().filter(administers).any(|(other, _)| other != name);
        if !certified && !others && kept.role == Role::Administrator {
            return Err(AccountError::LastAdministrator);
        }
        let gone = Change::Delete { table: Table::Accounts, key: name.as_bytes().to_vec() };
        let event = Event::AccountRemoved { account: name.to_owned(), role: kept.role };
        inner.commit(by, &[gone], &event)?;
        accounts.0.remove(name);
        held(&inner.access.sessions).end_all(name);
        held(&inner.access.guesses).right(name);
        Ok(())
    }

    /// Takes password and codes of an account away, with its sessions; gives another first password.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn reset_account(&self, by: &Caller, name: &str) -> Result<Zeroizing<String>, AccountError> {
        let inner = &self.inner;
        let (password, hashed) = first_password().ok_or(AccountError::Randomness)?;
        let mut accounts = held(&inner.access.accounts);
        let (before, _) = accounts.0.get(name).ok_or(AccountError::Unknown)?;
        let now = inner.moment();
        let first = Some(First { password: hashed, expires: after(now.wall, FIRST_LIVES) });
        let kept = Kept { first, own: None, wrong: 0, ..before.clone() };
        let event = Event::AccountReset { account: name.to_owned() };
        inner.commit(by, &[put(name, &kept)?], &event)?;
        accounts.put(name, kept, now);
        held(&inner.access.sessions).end_all(name);
        held(&inner.access.guesses).right(name);
        Ok(password)
    }

    /// Chooses a password with the first one, and gives the secret of the codes. The first password stays good until a
    /// sign-in with both is right.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn set_up(
        &self,
        from: Option<IpAddr>,
        name: &str,
        first: &Password,
        own: &Password,
    ) -> Result<SetUp, AccountError> {
        let (inner, who) = (&self.inner, Typed { name: possible(name), from });
        let name = who.name;
        let _one = held(&inner.access.signing);
        let found = inner.tried(name)?;
        let good = |(kept, term): &(Kept, Option<Term>)| {
            kept.first.clone().filter(|_| term.is_some_and(|term| !term.over(inner.moment())))
        };
        let typed = as_made(first.text());
        let right = match found.as_ref().and_then(good) {
            Some(first) => first.password.is(&typed),
            None => {
                Hashed::nobody(&typed);
                false
            }
        };
        let Some((before, _)) = found.filter(|_| right) else { return Err(inner.refused(who)?) };
        let secret = totp::secret().ok_or(AccountError::Randomness)?;
        let password = Hashed::of(own.text()).ok_or(AccountError::Randomness)?;
        let own = Own { password, totp: hex(secret.as_slice()), step: 0 };
        let event = Event::AccountSetUp { account: name.to_owned() };
        let unchanged = |now: &Kept| {
            now.first.as_ref().map(|f| &f.password) == before.first.as_ref().map(|f| &f.password)
        };
        let change = |now: &Kept| unchanged(now).then(|| Kept { own: Some(own), ..now.clone() });
        if !inner.change_account(who, &event, change)? {
            return Err(AccountError::Refused);
        }
        Ok(SetUp { secret: totp::text(&secret), uri: totp::uri(&secret, name) })
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn sign_in(
        &self,
        from: Option<IpAddr>,
        name: &str,
        password: &Password,
        code: &str,
    ) -> Result<SignedIn, AccountError> {
        let (inner, who) = (&self.inner, Typed { name: possible(name), from });
        let name = who.name;
        let _one = held(&inner.access.signing);
        let own = inner.tried(name)?.and_then(|(kept, _)| kept.own);
        let known = match &own {
            Some(own) => own.password.is(password.text()),
            None => {
                Hashed::nobody(password.text());
                false
            }
        };
        // The code is looked at in any case, and under the lock: two at a time cannot use it.
        let mut accounts = held(&inner.access.accounts);
        let present =
            accounts.0.get(name).and_then(|(kept, _)| kept.own.clone().map(|own| (kept.clone(), own)));
        let secret = own.as_ref().and_then(|own| unhex(&own.totp)).unwrap_or([0; totp::SECRET]);
        let last = present.as_ref().map_or(0, |(_, own)| own.step);
        let step = totp::step_of(&secret, code, inner.clock.now(), last);
        let same = |(_, now): &(Kept, Own)| own.as_ref().is_some_and(|own| own.totp == now.totp);
        let (Some((before, own)), Some(step)) = (present.filter(|p| known && same(p)), step) else {
            drop(accounts);
            return Err(inner.refused(who)?);
        };
        let token = sessions::token(PREFIX).ok_or(AccountError::Randomness)?;
        let role = before.role;
        let kept = Kept { first: None, own: Some(Own { step, ..own }), wrong: 0, ..before };
        let by = who.as_caller(role);
        inner.commit(&by, &[put(name, &kept)?], &Event::SignedIn { account: name.to_owned() })?;
        accounts.put(name, kept, inner.moment());
        held(&inner.access.guesses).right(name);
        // Under the lock of the accounts: who removes this one ends this session too.
        held(&inner.access.sessions).begin(&token, name, role, inner.moment().uptime);
        Ok(SignedIn { token, role, idle: sessions::IDLE, longest: sessions::LONGEST })
    }

    /// Ends the session of this token.
    pub fn sign_out(&self, token: &str) -> bool {
        held(&self.inner.access.sessions).end(token)
    }

    /// Who shows this token.
    pub(crate) fn bearer(&self, token: &str) -> Option<Bearer> {
        let access = &self.inner.access;
        if token.starts_with(PREFIX) {
            let caller = held(&access.sessions).caller(token, self.inner.moment().uptime)?;
            return Some(Bearer::Session(caller));
        }
        let (caller, scopes) = held(&access.tokens).caller(token, self.inner.moment())?;
        Some(Bearer::Token(caller, scopes))
    }
}

/// The name that somebody typed, and where he is.
#[derive(Clone, Copy)]
struct Typed<'a> {
    name: &'a str,
    from: Option<IpAddr>,
}

impl Typed<'_> {
    /// Him, if he is who he says.
    fn as_caller(self, role: Role) -> Caller {
        Caller::new(ClientId::of_account(self.name), role, self.name.to_owned()).at(self.from)
    }
}

impl Inner {
    /// The account that is tried now, if there is one, unless it has to wait. One is tried at a time: who tries many at once
    /// is counted all the same.
    fn tried(&self, name: &str) -> Result<Option<(Kept, Option<Term>)>, AccountError> {
        let now = self.moment().uptime;
        if let Some(wait) = held(&self.access.guesses).wait(name, now) {
            return Err(AccountError::Wait(wait));
        }
        Ok(held(&self.access.accounts).0.get(name).cloned())
    }

    /// Counts a wrong attempt, in the store too when there is such an account.
    fn refused(&self, who: Typed<'_>) -> Result<AccountError, AccountError> {
        let name = who.name;
        let account = held(&self.access.accounts).0.contains_key(name);
        let wrong = held(&self.access.guesses).wrong(name, account, self.moment().uptime);
        let event = Event::SignInRefused { account: name.to_owned(), wrong };
        if !self.change_account(who, &event, |kept| Some(Kept { wrong, ..kept.clone() }))? {
            self.work_for_nobody(who, event, wrong)?;
        }
        Ok(AccountError::Refused)
    }

    /// Writes as much as for an account, and waits as long, so that the time until the answer tells nothing. It is written over
    /// the next time: strangers who make names up fill neither the store nor the audit.
    fn work_for_nobody(&self, who: Typed<'_>, event: Event, wrong: u32) -> Result<(), StoreError> {
        let (name, role) = (who.name, Role::Administrator);
        let by = who.as_caller(role);
        let now = self.clock.now();
        let like = Hashed::nobody_s();
        let own = Own { password: like.clone(), totp: hex(&[0; totp::SECRET]), step: 0 };
        let kept = Kept { role, by: name.to_owned(), made: now, first: None, own: Some(own), wrong };
        let mut value = Vec::new();
        for change in [put(name, &kept)?, Head::none().append(now, &by, event)?.0] {
            if let Change::Put { value: part, .. } = change {
                value.extend(part);
            }
        }
        self.store.commit(&[Change::Put { table: Table::Cursors, key: NOBODY.to_vec(), value }])
    }

    /// Changes an account by its own doing; false when it is not there, or not to be changed.
    fn change_account(
        &self,
        who: Typed<'_>,
        event: &Event,
        change: impl FnOnce(&Kept) -> Option<Kept>,
    ) -> Result<bool, StoreError> {
        let mut accounts = held(&self.access.accounts);
        let Some(kept) = accounts.0.get(who.name).and_then(|(kept, _)| change(kept)) else {
            return Ok(false);
        };
        let (name, by) = (who.name, who.as_caller(kept.role));
        self.commit(&by, &[put(name, &kept)?], event)?;
        accounts.put(name, kept, self.moment());
        Ok(true)
    }
}

fn told(name: &str, kept: &Kept) -> Account {
    Account {
        name: name.to_owned(),
        role: kept.role,
        by: kept.by.clone(),
        made: kept.made,
        ready: kept.first.is_none() && kept.own.is_some(),
    }
}

#[cfg(test)]
mod tests;
