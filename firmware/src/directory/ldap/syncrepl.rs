//! Content synchronisation (RFC 4533), refresh only: which entries changed since a cookie.
//!
//! Only identifiers are asked for; people are read anew, whole. Where a server does not say what was deleted but what is still
//! there, that is compared with what was there.

use std::collections::BTreeSet;

use ldap3::{Scope, controls::RawControl};

use crate::directory::{
    DirectoryError, ObjectId,
    wire::{
        Answer, Connection, Question,
        ber::{self, Malformed, Reader, tag},
        refusal::{code, is_passing},
    },
};

pub(super) const REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const PRESENT: i64 = 0;
const DELETED: i64 = 3;
const REFRESH_ONLY: u8 = 1;
/// `refreshPresent` among what a server says between entries.
const PRESENT_ENDS: u8 = 0xa2;

/// What was said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refresh {
    pub(super) changed: BTreeSet<ObjectId>,
    pub(super) deleted: BTreeSet<ObjectId>,
    /// What is still as it was; `None`: then all that is not named is.
    pub(super) present: Option<BTreeSet<ObjectId>>,
    pub(super) cookie: Vec<u8>,
}

/// How a server answered.
#[derive(Debug)]
pub(super) enum Refreshed {
    /// It says what changed.
    Since(Refresh),
    /// It does not know the cookie any more.
    Unknown,
}

/// Asks what changed since a cookie, or for a first one.
pub(super) async fn refresh(
    connection: &mut Connection,
    base: &str,
    filter: &str,
    cookie: Option<&[u8]>,
) -> Result<Refreshed, DirectoryError> {
    let mode = ber::element(tag::ENUMERATED, &[REFRESH_ONLY]);
    let value = match cookie {
        Some(cookie) => ber::sequence(&[mode, ber::element(tag::OCTETS, cookie)]),
        None => ber::sequence(&[mode]),
    };
    let question = Question {
        base,
        scope: Scope::Subtree,
        filter,
        attributes: &["1.1"],
        controls: vec![RawControl { ctype: REQUEST.into(), crit: true, val: Some(value) }],
        doing: "synchronise people below `base`",
    };
    let answer = connection.ask(&question).await?;
    // RFC 4533 has a code for a cookie that is not known any more; servers have others for one that they cannot read, or that
    // knows more than they do after a backup was restored.
    if cookie.is_some() && answer.result.code != code::SUCCESS && !is_passing(answer.result.code) {
        return Ok(Refreshed::Unknown);
    }
    if let Some(refusal) = answer.result.refusal(&question) {
        return Err(refusal);
    }
    let unreadable = |_| DirectoryError::Protocol("its synchronisation is malformed".into());
    let mut refresh = read(&answer).map_err(unreadable)?;
    if refresh.cookie.is_empty() {
        // Where nothing changed, the last cookie is still the one. Who tells of changes and gives none could not read it, and
        // would tell of them for ever.
        if cookie.is_some() && !(refresh.changed.is_empty() && refresh.deleted.is_empty()) {
            return Ok(Refreshed::Unknown);
        }
        let none = || DirectoryError::Protocol("its synchronisation gives no cookie".into());
        refresh.cookie = cookie.ok_or_else(none)?.to_vec();
    }
    Ok(Refreshed::Since(refresh))
}

fn read(answer: &Answer) -> Result<Refresh, Malformed> {
    let (mut refresh, mut present) = (Refresh::default(), BTreeSet::new());
    for found in &answer.found {
        let state = found.controls.iter().find(|control| control.ctype == STATE);
        let value = state.and_then(|control| control.val.as_deref()).ok_or(Malformed)?;
        let mut inside = Reader::new(Reader::new(value).required(tag::SEQUENCE)?);
        let state = ber::integer(inside.required(tag::ENUMERATED)?)?;
        let id = identifier(inside.required(tag::OCTETS)?)?;
        match state {
            PRESENT => present.insert(id),
            DELETED => refresh.deleted.insert(id),
            _ => refresh.changed.insert(id),
        };
    }
    for value in &answer.said {
        said(value, &mut refresh, &mut present)?;
    }
    let value = answer.result.control(DONE).ok_or(Malformed)?;
    let mut inside = Reader::new(Reader::new(value).required(tag::SEQUENCE)?);
    if let Some(cookie) = inside.optional(tag::OCTETS)? {
        refresh.cookie = cookie.to_vec();
    }
    let deletes = inside.optional(tag::BOOLEAN)?.is_some_and(|value| value != [0]);
    // A phase of what is there may be followed by one of what was deleted.
    let by_presence = answer.said.iter().any(|value| value.first() == Some(&PRESENT_ENDS));
    refresh.present = (!deletes || by_presence).then_some(present);
    Ok(refresh)
}

/// A message between entries: identifiers of what was deleted, or is still there.
fn said(value: &[u8], refresh: &mut Refresh, present: &mut BTreeSet<ObjectId>) -> Result<(), Malformed> {
    let (kind, content) = Reader::new(value).any()?;
    let mut inside = Reader::new(content);
    match kind {
        0x80 => refresh.cookie = content.to_vec(),
        0xa1..=0xa3 => {
            if let Some(cookie) = inside.optional(tag::OCTETS)? {
                refresh.cookie = cookie.to_vec();
            }
            let flag = inside.optional(tag::BOOLEAN)?.is_some_and(|value| value != [0]);
            if kind == 0xa3 {
                let mut identifiers = Reader::new(inside.required(tag::SET)?);
                while !identifiers.is_empty() {
                    let id = identifier(identifiers.required(tag::OCTETS)?)?;
                    if flag {
                        refresh.deleted.insert(id)
                    } else {
                        present.insert(id)
                    };
                }
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

fn identifier(octets: &[u8]) -> Result<ObjectId, Malformed> {
    ObjectId::of_octets(octets).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::wire::Found;

    fn id(number: u8) -> ObjectId {
        ObjectId::of_octets(&[number; 16]).unwrap()
    }

    fn entry(state: u8, number: u8) -> Found {
        let value = ber::sequence(&[
            ber::element(tag::ENUMERATED, &[state]),
            ber::element(tag::OCTETS, &[number; 16]),
        ]);
        let mut found = Found::of("uid=x", &[]);
        found.controls.push(RawControl { ctype: STATE.into(), crit: false, val: Some(value) });
        found
    }

    fn answer(found: Vec<Found>, said: Vec<Vec<u8>>, deletes: bool) -> Answer {
        let mut parts = vec![ber::element(tag::OCTETS, b"rid=1,csn=2")];
        parts.extend(deletes.then(|| ber::element(tag::BOOLEAN, &[0xff])));
        let control = RawControl { ctype: DONE.into(), crit: false, val: Some(ber::sequence(&parts)) };
        let mut answer = Answer { found, said, ..Answer::default() };
        answer.result.controls.push(control);
        answer
    }

    fn set(deletes: bool, number: u8) -> Vec<u8> {
        let set = ber::element(tag::SET, &ber::element(tag::OCTETS, &[number; 16]));
        let flag = ber::element(tag::BOOLEAN, &[if deletes { 0xff } else { 0 }]);
        ber::element(0xa3, &[flag, set].concat())
    }

    #[test]
    fn what_was_deleted_is_said_or_what_is_still_there() {
        let refresh = read(&answer(vec![entry(2, 1), entry(3, 2)], vec![set(true, 3)], true)).unwrap();
        assert_eq!(refresh.changed, BTreeSet::from([id(1)]));
        assert_eq!(refresh.deleted, BTreeSet::from([id(2), id(3)]));
        assert_eq!((refresh.present, refresh.cookie), (None, b"rid=1,csn=2".to_vec()));
        let refresh = read(&answer(vec![entry(0, 1), entry(1, 2)], vec![set(false, 3)], false)).unwrap();
        assert_eq!(refresh.present, Some(BTreeSet::from([id(1), id(3)])));
        let ends = ber::element(PRESENT_ENDS, b"");
        let refresh = read(&answer(vec![entry(0, 1), entry(3, 2)], vec![ends], true)).unwrap();
        assert_eq!(
            (refresh.present, refresh.deleted),
            (Some(BTreeSet::from([id(1)])), BTreeSet::from([id(2)]))
        );
    }

    #[test]
    fn malformed_messages_are_errors() {
        assert_eq!(read(&answer(vec![Found::of("uid=x", &[])], Vec::new(), true)), Err(Malformed));
        assert_eq!(read(&answer(Vec::new(), vec![vec![0xa3, 2, 4, 0]], true)), Err(Malformed));
        assert_eq!(read(&answer(Vec::new(), vec![vec![0x30, 0]], true)), Err(Malformed));
        assert_eq!(read(&Answer::default()), Err(Malformed));
    }
}
