//! What was found becomes a reading: who is there, who is not, and who cannot be taken.
//!
//! Invariants: everybody who is found is told of once, and is not gone; where somebody does not say who he is, he could be
//! anybody, so nobody is gone but who was found and is not wanted, and the reading is not whole.

use std::collections::BTreeSet;

use super::{Cursor, ObjectId, Reading, pending::Pending, person::Taken};

/// Gathers what was found. `changed` are those who were looked for; `None`: everybody was. How the cursor goes on is said by who
/// knows it: here it is none.
pub(super) fn gathered(
    changed: Option<BTreeSet<ObjectId>>,
    found: impl IntoIterator<Item = Taken>,
    pending: &mut Pending,
    now: i64,
) -> Reading {
    let mut reading = Reading {
        whole: changed.is_none(),
        entries: Vec::new(),
        gone: changed.unwrap_or_default(),
        unusable: Vec::new(),
        shut: BTreeSet::new(),
        cursor: Cursor(serde_json::Value::Null),
    };
    let before = if reading.whole { std::mem::take(pending) } else { Pending::default() };
    // Who changed, and whose groups did, may be found twice.
    let (mut told, mut unwanted) = (BTreeSet::new(), BTreeSet::new());
    for taken in found {
        if taken.id().is_some_and(|id| !told.insert(id)) {
            continue;
        }
        match taken {
            Taken::Person(entry, end) => {
                reading.gone.remove(&entry.id);
                pending.put(entry.id, end, now);
                reading.entries.push(entry);
            }
            Taken::Unwanted(id) => {
                unwanted.insert(id);
            }
            Taken::Unusable { id, shut, why } => {
                if let Some(id) = id {
                    reading.gone.remove(&id);
                }
                reading.shut.extend(id.filter(|_| shut));
                reading.unusable.push((id, why));
            }
        }
    }
    if reading.unusable.iter().any(|(id, _)| id.is_none()) {
        reading.whole = false;
        reading.gone = unwanted;
        pending.fill(before);
    } else if !reading.whole {
        reading.gone.extend(unwanted);
    }
    reading.gone.iter().for_each(|who| pending.forget(*who));
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Entry, Standing};

    fn id(number: u8) -> ObjectId {
        ObjectId::of_octets(&[number; 16]).unwrap()
    }

    fn person(number: u8, end: Option<i64>) -> Taken {
        let entry = Entry {
            id: id(number),
            dn: format!("cn={number}"),
            name: None,
            login: None,
            upn: None,
            sid: None,
            groups: BTreeSet::new(),
            standing: Standing::Active,
            locked_out: false,
            privileged: false,
        };
        Taken::Person(entry, end)
    }

    #[test]
    fn who_was_looked_for_and_is_not_found_or_not_wanted_is_gone() {
        let changed = BTreeSet::from([id(1), id(2), id(3)]);
        let mut pending = Pending::default();
        pending.put(id(3), Some(100), 50);
        let found =
            [person(1, Some(90)), person(1, Some(90)), Taken::Unwanted(id(2)), Taken::Unwanted(id(9))];
        let reading = gathered(Some(changed), found, &mut pending, 50);
        assert!(!reading.whole);
        assert_eq!(reading.entries.len(), 1, "told of once");
        assert_eq!(reading.gone, BTreeSet::from([id(2), id(3), id(9)]));
        assert_eq!(pending.due(200), BTreeSet::from([id(1)]));
    }

    #[test]
    fn of_everybody_nobody_is_told_to_be_gone() {
        let mut pending = Pending::default();
        pending.put(id(7), Some(100), 50);
        let reading = gathered(None, [person(1, None), Taken::Unwanted(id(2))], &mut pending, 50);
        assert!(reading.whole && reading.gone.is_empty() && pending.due(200).is_empty());
    }

    #[test]
    fn somebody_who_does_not_say_who_he_is_could_be_anybody() {
        let nameless = || Taken::nobody("GUID");
        let known = Taken::Unusable { id: Some(id(2)), shut: true, why: "its name is too long".into() };
        let changed = BTreeSet::from([id(1), id(2)]);
        let reading = gathered(Some(changed.clone()), [known], &mut Pending::default(), 0);
        assert_eq!(reading.gone, BTreeSet::from([id(1)]), "who cannot be taken is there");
        assert_eq!(reading.shut, BTreeSet::from([id(2)]), "and is shut out if he may not log in");
        let reading = gathered(Some(changed), [nameless()], &mut Pending::default(), 0);
        assert!(reading.gone.is_empty());
        let found = [nameless(), Taken::Unwanted(id(4))];
        assert_eq!(gathered(None, found, &mut Pending::default(), 0).gone, BTreeSet::from([id(4)]));
        let mut pending = Pending::default();
        pending.put(id(3), Some(100), 50);
        let reading = gathered(None, [nameless()], &mut pending, 50);
        assert!(!reading.whole);
        assert_eq!(pending.due(100), BTreeSet::from([id(3)]), "whose account ends is not forgotten");
    }
}
