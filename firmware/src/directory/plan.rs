//! What a reading of a directory means for the people of the box: acts, and whether somebody has to look at them first.
//!
//! A pure function of whom the box knows, what was read, the rules and the moment. Invariants: planned again from the same
//! reading after it was done, there is nothing to do; nobody is touched who is not followed; nobody is taken for somebody
//! else, whatever names they share; who is of no use to a decision (disabled, expired) and not known is not made.

mod collisions;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::collisions::{namesakes, settle};
use super::{Account, Entry, Link, ObjectId, Reading, SourceName, State};
use crate::{
    clock::Timestamp,
    request::hex,
    subject::{GroupName, SubjectId, SubjectName},
};

pub use self::collisions::{Claimant, Collision};

/// Characters of the longest name that a subject can have.
const NAME: usize = 128;
/// Bytes of the longest login or user principal name that is taken.
const IDENTIFIER: usize = 1024;

/// What the box is to know of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What people call him.
    pub name: SubjectName,
    /// Groups whose restrictions hold.
    pub groups: BTreeSet<GroupName>,
    /// His account.
    pub account: Account,
}

/// A person whom the box follows, of whichever directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who he is here.
    pub subject: SubjectId,
    /// Whose he is, and how he stands.
    pub link: Link,
    /// What is known of him.
    pub person: Person,
}

/// Everybody of the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Who is followed.
    pub followed: Vec<Known>,
    /// Who was made here.
    pub local: Vec<(SubjectId, SubjectName)>,
}

/// How long the fingers of who may not log in are kept, and how much may be done unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long those of disabled and expired accounts are kept, in milliseconds; for ever without.
    pub keep_disabled: Option<u64>,
    /// How long those of who is gone are kept.
    pub keep_gone: Option<u64>,
    /// Of a hundred people of the directory, how many may be disabled, gone or erased at once.
    pub most_percent: u8,
    /// So few may always.
    pub few: usize,
}

impl Default for Rules {
    fn default() -> Self {
        const DAY: u64 = 86_400_000;
        Self { keep_disabled: Some(90 * DAY), keep_gone: Some(30 * DAY), most_percent: 20, few: 5 }
    }
}

impl Rules {
    /// Whether what is kept of somebody has been kept long enough.
    #[must_use]
    pub fn is_over(&self, link: &Link, now: Timestamp) -> bool {
        let keep = match link.state {
            State::Active => None,
            State::Disabled | State::Expired => self.keep_disabled,
            State::Gone => self.keep_gone,
        };
        // A clock that was set back erases nobody.
        keep.is_some_and(|keep| link.since <= now && now.since(link.since).as_millis() >= keep.into())
    }
}

/// What has changed of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// What people call him.
    Name,
    /// The name to log in with.
    Login,
    /// The user principal name.
    Upn,
    /// The security identifier.
    Sid,
    /// His groups.
    Groups,
    /// Whether he is privileged.
    Privileged,
    /// Which of his identifiers somebody else holds.
    Withheld,
    /// He was disabled.
    Disabled,
    /// His account is over.
    Expired,
    /// He may log in again.
    Enabled,
    /// He is not there any more.
    Gone,
    /// He is there again.
    Returned,
}

/// What is to be done of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// He is new.
    Create {
        /// Who he is in the directory.
        object: ObjectId,
        /// What is known of him.
        person: Person,
    },
    /// Something of him has changed.
    Update {
        /// Who.
        subject: SubjectId,
        /// How he stands now.
        link: Link,
        /// What is known of him now.
        person: Person,
        /// What is other than before.
        changed: BTreeSet<Changed>,
    },
    /// What is kept of him has been kept long enough.
    Erase {
        /// Who.
        subject: SubjectId,
        /// How he stands.
        link: Link,
        /// What was known of him.
        person: Person,
    },
}

/// Whom a plan takes something from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Harm {
    /// People who are to be refused from now on: disabled, or expired.
    pub disabled: usize,
    /// The same, because they are not there any more.
    pub gone: usize,
    /// People who are to be erased.
    pub erased: usize,
    /// People of the directory whom the box follows.
    pub of: usize,
}

impl Harm {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> usize {
        self.disabled + self.gone + self.erased
    }
}

/// What somebody confirms: it is of one plan's harm, and of no other's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confirmation(pub String);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of whom they are about.
    pub acts: Vec<Act>,
    /// What people share and may not, once the acts are done.
    pub collisions: Vec<Collision>,
    /// Who cannot be taken, and why; without names. What is known of them stays.
    pub unusable: Vec<(Option<ObjectId>, String)>,
    /// Whom it takes something from.
    pub harm: Harm,
    /// That is so much that nothing of the plan is to be done before somebody has said this.
    pub held: Option<Confirmation>,
}

/// Everybody of the box and of the reading, by directory and object.
type People<'a> = BTreeMap<(&'a SourceName, ObjectId), Next<'a>>;

/// How somebody is to be, beside how he is known.
struct Next<'a> {
    before: Option<&'a Known>,
    link: Link,
    person: Person,
    erase: bool,
}

/// Plans.
#[must_use]
pub fn plan(source: &SourceName, roll: &Roll, reading: &Reading, rules: &Rules, now: Timestamp) -> Plan {
    let mut people = People::new();
    for known in &roll.followed {
        let next = Next {
            before: Some(known),
            link: known.link.clone(),
            person: known.person.clone(),
            erase: false,
        };
        people.insert((&known.link.source, known.link.object), next);
    }
    let mut unusable = reading.unusable.clone();
    let mut there: BTreeSet<ObjectId> = unusable.iter().filter_map(|(id, _)| *id).collect();
    // One of whom it is not known who he is may be anybody who is missing.
    let anybody = unusable.iter().any(|(id, _)| id.is_none());
    for entry in &reading.entries {
        if !there.insert(entry.id) {
            continue;
        }
        let state = State::from(entry.standing);
        let person = match person(entry) {
            Ok(person) => person,
            Err(why) => {
                unusable.push((Some(entry.id), why.to_owned()));
                // Whoever may not log in is refused, whatever else is wrong with his entry: he may have written it himself.
                if state != State::Active
                    && let Some(next) = people.get_mut(&(source, entry.id))
                {
                    next.stands(state, now);
                }
                continue;
            }
        };
        match people.get_mut(&(source, entry.id)) {
            Some(next) => {
                next.stands(state, now);
                next.person = person;
            }
            None if state == State::Active => {
                let link = Link { source: source.clone(), object: entry.id, state, since: now };
                people.insert((source, entry.id), Next { before: None, link, person, erase: false });
            }
            None => {}
        }
    }
    for id in &reading.shut {
        if let Some(next) = people.get_mut(&(source, *id)) {
            next.stands(State::Disabled, now);
        }
    }
    let of_source = |(of, _): &(&SourceName, ObjectId)| *of == source;
    for (key, next) in people.iter_mut().filter(|(key, _)| of_source(key)) {
        let missing = reading.gone.contains(&key.1) || (reading.whole && !anybody);
        if missing && !there.contains(&key.1) {
            next.stands(State::Gone, now);
        }
        next.erase = rules.is_over(&next.link, now);
    }
    let mut collisions = settle(&mut people);
    collisions.extend(namesakes(&people, &roll.local));
    unusable.sort();
    let harm = harm(source, &people);
    let mut left = people.values().filter(|next| next.link.source == *source && !next.erase);
    let nobody_left = harm.of > 1 && !left.any(|next| next.link.state == State::Active);
    let nobody = (reading.whole && there.is_empty() && harm.all() > 0)
        || (nobody_left && harm.disabled + harm.gone > 0);
    let too_much =
        harm.all() > rules.few && harm.all() * 100 > usize::from(rules.most_percent) * harm.of || nobody;
    let held = too_much.then(|| confirmation(source, &people));
    let acts = people.into_values().filter_map(Next::act).collect();
    Plan { acts, collisions, unusable, harm, held }
}

/// What a plan takes from somebody.
#[derive(Clone, Copy)]
enum Loses {
    /// He is not let in any more.
    Entry,
    /// Because he is not there any more.
    Place,
    /// What is kept of him.
    Everything,
}

impl Next<'_> {
    fn stands(&mut self, state: State, now: Timestamp) {
        if self.link.state != state {
            (self.link.state, self.link.since) = (state, now);
        }
    }

    /// What the plan takes from him, if anything.
    fn loses(&self) -> Option<Loses> {
        let newly = self.before?.link.state == State::Active;
        match self.link.state {
            _ if self.erase => Some(Loses::Everything),
            State::Gone if newly => Some(Loses::Place),
            State::Disabled | State::Expired if newly => Some(Loses::Entry),
            _ => None,
        }
    }

    fn act(self) -> Option<Act> {
        let Self { before, link, person, erase } = self;
        let Some(before) = before else {
            return Some(Act::Create { object: link.object, person });
        };
        let subject = before.subject;
        if erase {
            return Some(Act::Erase { subject, link, person });
        }
        let changed = changed(before, &link, &person);
        (!changed.is_empty()).then_some(Act::Update { subject, link, person, changed })
    }
}

/// What is other than before.
fn changed(before: &Known, link: &Link, person: &Person) -> BTreeSet<Changed> {
    let (old, new) = (&before.person, person);
    let state = match (before.link.state, link.state) {
        (before, now) if before == now => Vec::new(),
        (State::Gone, State::Active) => vec![Changed::Returned],
        (State::Gone, State::Disabled) => vec![Changed::Returned, Changed::Disabled],
        (State::Gone, State::Expired) => vec![Changed::Returned, Changed::Expired],
        (_, State::Active) => vec![Changed::Enabled],
        (_, State::Disabled) => vec![Changed::Disabled],
        (_, State::Expired) => vec![Changed::Expired],
        (_, State::Gone) => vec![Changed::Gone],
    };
    [
        (old.name != new.name, Changed::Name),
        (old.groups != new.groups, Changed::Groups),
        (old.account.login != new.account.login, Changed::Login),
        (old.account.upn != new.account.upn, Changed::Upn),
        (old.account.sid != new.account.sid, Changed::Sid),
        (old.account.privileged != new.account.privileged, Changed::Privileged),
        (old.account.withheld != new.account.withheld, Changed::Withheld),
    ]
    .into_iter()
    .filter_map(|(other, what)| other.then_some(what))
    .chain(state)
    .collect()
}

/// A person as the box is to know him, but for what is withheld.
fn person(entry: &Entry) -> Result<Person, &'static str> {
    let account = Account {
        login: identifier(entry.login.as_deref())?,
        upn: identifier(entry.upn.as_deref())?,
        sid: entry.sid.clone(),
        privileged: entry.privileged,
        withheld: BTreeSet::new(),
    };
    let names = [entry.name.as_deref(), account.login.as_deref(), account.upn.as_deref()];
    let name = names.into_iter().flatten().find_map(called);
    let name =
        name.ok_or("it has no name: the attributes that the mapping takes for name and login are missing")?;
    Ok(Person { name, groups: entry.groups.clone(), account })
}

/// A name as a subject can have it.
fn called(text: &str) -> Option<SubjectName> {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    SubjectName::try_from(plain.trim().chars().take(NAME).collect::<String>()).ok()
}

fn identifier(text: Option<&str>) -> Result<Option<String>, &'static str> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) if text.len() > IDENTIFIER || text.chars().any(char::is_control) => {
            Err("its login or user principal name is longer than any that is used, or has control characters")
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn harm(source: &SourceName, people: &People<'_>) -> Harm {
    let mut harm = Harm::default();
    for next in people.values().filter(|next| next.link.source == *source) {
        harm.of += usize::from(next.before.is_some());
        match next.loses() {
            Some(Loses::Everything) => harm.erased += 1,
            Some(Loses::Place) => harm.gone += 1,
            Some(Loses::Entry) => harm.disabled += 1,
            None => {}
        }
    }
    harm
}

/// Whom it harms and how, in sixteen digits.
fn confirmation(source: &SourceName, people: &People<'_>) -> Confirmation {
    let mut digest = Sha256::new().chain_update(source.as_ref()).chain_update([0]);
    for next in people.values().filter(|next| next.link.source == *source) {
        if let Some(what) = next.loses() {
            digest.update(next.link.object.to_octets());
            digest.update([what as u8]);
        }
    }
    Confirmation(hex(&digest.finalize()).chars().take(16).collect())
}

#[cfg(test)]
mod tests;
