//! What two people share and may not: one of them holds a login or a user principal name, or nobody does.
//!
//! Invariant: nobody gets what another one held before, and of those who come with it at the same time nobody gets it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Next, People};
use crate::{
    directory::{Identifier, ObjectId, SourceName, State},
    subject::{SubjectId, SubjectName},
};

/// What two people share and may not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "shared")]
pub enum Collision {
    /// A login or user principal name: who had it first keeps it, and from the others it is withheld; of those who come
    /// with it at the same time nobody has it.
    Identifier {
        /// Which of them.
        which: Identifier,
        /// What it is.
        value: String,
        /// Who holds it.
        #[serde(skip_serializing_if = "Option::is_none")]
        holder: Option<Claimant>,
        /// From whom it is withheld.
        withheld: Vec<Claimant>,
    },
    /// A name with a subject who was made here: they stay two.
    Name {
        /// Who was made here.
        subject: SubjectId,
        /// Whom the directory has.
        person: Claimant,
    },
}

/// Somebody of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claimant {
    /// Which directory.
    pub source: SourceName,
    /// Who.
    pub object: ObjectId,
}

impl Next<'_> {
    /// Whether he may hold what others may not be called.
    fn claims(&self) -> bool {
        !self.erase && self.link.state != State::Gone
    }

    fn claimant(&self) -> Claimant {
        Claimant { source: self.link.source.clone(), object: self.link.object }
    }
}

/// Decides who holds what one person alone may be called by. Gives what several claim.
pub(super) fn settle(people: &mut People<'_>) -> Vec<Collision> {
    let mut collisions = Vec::new();
    for next in people.values_mut() {
        next.person.account.withheld.clear();
    }
    for which in Identifier::ALL {
        let mut claims: BTreeMap<String, Vec<(&SourceName, ObjectId)>> = BTreeMap::new();
        for (key, next) in people.iter_mut() {
            let Some(claim) = next.person.account.claims(which).map(str::to_lowercase) else { continue };
            if next.claims() {
                claims.entry(claim).or_default().push(*key);
            } else {
                // Whoever is gone holds nothing that somebody else may get.
                next.person.account.withheld.insert(which);
            }
        }
        for (value, claimants) in claims.into_iter().filter(|(_, claimants)| claimants.len() > 1) {
            let held_before = |key: &&(&SourceName, ObjectId)| {
                let before = people.get(*key).and_then(|next| next.before);
                let held = before.and_then(|before| before.person.account.holds(which));
                held.is_some_and(|held| held.to_lowercase() == value)
            };
            let mut holders = claimants.iter().filter(held_before);
            let holder = holders.next().copied().filter(|_| holders.next().is_none());
            let mut withheld = Vec::new();
            for key in claimants.iter().filter(|key| Some(**key) != holder) {
                if let Some(next) = people.get_mut(key) {
                    next.person.account.withheld.insert(which);
                    withheld.push(next.claimant());
                }
            }
            let holder = holder.and_then(|key| people.get(&key)).map(Next::claimant);
            collisions.push(Collision::Identifier { which, value, holder, withheld });
        }
    }
    collisions
}

/// Who is called as a subject who was made here.
pub(super) fn namesakes(people: &People<'_>, local: &[(SubjectId, SubjectName)]) -> Vec<Collision> {
    let mut named: BTreeMap<String, Vec<SubjectId>> = BTreeMap::new();
    for (subject, name) in local {
        named.entry(name.as_ref().to_lowercase()).or_default().push(*subject);
    }
    let mut found = Vec::new();
    for next in people.values().filter(|next| next.claims()) {
        for subject in named.get(&next.person.name.as_ref().to_lowercase()).into_iter().flatten() {
            found.push(Collision::Name { subject: *subject, person: next.claimant() });
        }
    }
    found
}
