//! Who is in the groups that matter, read downwards from each: its members, those of the groups in it, and so on.
//!
//! Invariants: a group is read once, however many lead to it, so a cycle ends; all of a group's members are read, however many
//! ranges the server gives them in. Who has a group as primary group is in it and not among its members: that is found with the
//! person.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ldap3::{Scope, controls::RawControl};

use super::root::Root;
use crate::directory::{
    DirectoryError, ObjectId, Sid, filter,
    roles::{Membership, Roles},
    wire::{Connection, Found, Question, ber},
};

const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
const ATTRIBUTES: [&str; 3] = ["objectGUID", "objectSid", "member"];
/// Groups that may lie in one that matters.
const MOST: usize = 50_000;

/// Members by their identifiers' octets, which is how they sort and are digested.
pub(super) type Member = [u8; 16];
/// The same of numbers of groups.
type Number = [u8; 4];

/// What the groups that matter are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) membership: Membership<Member>,
    /// The numbers of each group and those in it, for whom it is the primary one.
    primary: Membership<Number>,
    /// All groups that were read: a change of one of them can change who is in.
    pub(super) made_of: BTreeSet<ObjectId>,
}

impl Groups {
    pub(super) fn contains(&self, group: &str, member: ObjectId, primary: Option<u32>) -> bool {
        let by_primary = |number: u32| self.primary.contains(group, &number.to_be_bytes());
        self.membership.contains(group, &member.to_octets()) || primary.is_some_and(by_primary)
    }

    /// Whose groups differ, and for those of which primary group they do.
    pub(super) fn differing(&self, other: &Self) -> (BTreeSet<ObjectId>, BTreeSet<u32>) {
        let people = self.membership.differing(&other.membership).into_iter();
        let numbers = self.primary.differing(&other.primary).into_iter().map(u32::from_be_bytes);
        (people.filter_map(|octets| ObjectId::of_octets(&octets).ok()).collect(), numbers.collect())
    }

    pub(super) fn digest(&self) -> String {
        format!("{} {}", self.membership.digest(), self.primary.digest())
    }
}

/// A group as read.
#[derive(Clone, Debug)]
struct Group {
    id: ObjectId,
    number: Option<u32>,
    members: BTreeSet<Member>,
    /// Where the groups in it lie.
    inside: Vec<String>,
}

/// Reads all groups that matter.
pub(super) async fn read(
    connection: &mut Connection,
    root: &Root,
    roles: &Roles,
    nested: bool,
) -> Result<Groups, DirectoryError> {
    let mut known: BTreeMap<String, Group> = BTreeMap::new();
    let mut groups = Groups::default();
    for (key, dn) in roles.groups() {
        let (mut members, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        let (mut seen, mut ahead) = (BTreeSet::from([key.to_owned()]), VecDeque::from([dn.to_owned()]));
        while let Some(dn) = ahead.pop_front() {
            let key = filter::same_dn(&dn);
            if !known.contains_key(&key) {
                if known.len() >= MOST {
                    return Err(DirectoryError::Partial(format!(
                        "more than {MOST} groups lie in those of the mapping"
                    )));
                }
                known.insert(key.clone(), group(connection, root, &dn, nested).await?);
            }
            let Some(group) = known.get(&key) else { continue };
            members.extend(group.members.iter().copied());
            numbers.extend(group.number.map(u32::to_be_bytes));
            groups.made_of.insert(group.id);
            ahead.extend(group.inside.iter().filter(|dn| seen.insert(filter::same_dn(dn))).cloned());
        }
        groups.membership.put(key, members);
        groups.primary.put(key, numbers);
    }
    Ok(groups)
}

async fn group(
    connection: &mut Connection,
    root: &Root,
    dn: &str,
    nested: bool,
) -> Result<Group, DirectoryError> {
    let question = Question {
        base: dn,
        scope: Scope::Base,
        filter: "(objectClass=group)",
        attributes: &ATTRIBUTES,
        controls: vec![extended()],
        doing: "read the groups of the mapping",
    };
    let missing = || DirectoryError::Missing(dn.to_owned());
    let found = connection.entry(&question).await?.ok_or_else(missing)?;
    let id = found.octets("objectGUID").and_then(|octets| ObjectId::of_active_directory(octets).ok());
    let id =
        id.ok_or_else(|| DirectoryError::Protocol("a group has no objectGUID that can be read".into()))?;
    let number = found.octets("objectSid").and_then(Sid::of_octets).and_then(|sid| sid.relative());
    let mut members = BTreeSet::new();
    let mut range = take(&found, &mut members)?;
    while let Some(last) = range {
        let attribute = format!("member;range={}-*", last + 1);
        let attributes = [attribute.as_str()];
        let question = Question { attributes: &attributes, ..question.clone() };
        let found = connection.entry(&question).await?.ok_or_else(missing)?;
        let next = take(&found, &mut members)?;
        if next.is_some_and(|next| next <= last) {
            return Err(DirectoryError::Protocol("the ranges of a group's members do not go on".into()));
        }
        range = next;
    }
    let inside = if nested { inside(connection, root, dn).await? } else { Vec::new() };
    Ok(Group { id, number, members, inside })
}

/// Where the groups lie that are members of this one.
async fn inside(connection: &mut Connection, root: &Root, dn: &str) -> Result<Vec<String>, DirectoryError> {
    let question = Question {
        base: &root.domain,
        scope: Scope::Subtree,
        filter: &format!("(&(objectClass=group)(memberOf={}))", filter::text(dn)),
        attributes: &["objectGUID"],
        controls: Vec::new(),
        doing: "read the groups of the mapping",
    };
    Ok(connection.all(&question).await?.found.into_iter().map(|found| found.dn).collect())
}

/// Takes the members that are there; the last one's index, when more are to come.
fn take(found: &Found, members: &mut BTreeSet<Member>) -> Result<Option<usize>, DirectoryError> {
    let (last, values) = match found.range("member") {
        Some((last, values)) => (last, values),
        None => (None, found.all("member")),
    };
    for value in values {
        let id = member(value);
        members.insert(
            id.ok_or_else(|| DirectoryError::Protocol("a member of a group has no GUID".into()))?.to_octets(),
        );
    }
    Ok(last)
}

/// Who `<GUID=123e4567-e89b-42d3-a456-426614174000>;<SID=S-1-5-…>;CN=…` is.
fn member(value: &[u8]) -> Option<ObjectId> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<GUID=")?.split_once('>')?.0.parse().ok()
}

/// Members with their identifiers, written as texts.
fn extended() -> RawControl {
    RawControl { ctype: EXTENDED_DN.into(), crit: true, val: Some(ber::sequence(&[ber::of_integer(1)])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &[u8] =
        b"<GUID=123e4567-e89b-42d3-a456-426614174000>;<SID=S-1-5-21-1-2-3-1105>;CN=Ann,DC=corp";

    fn id() -> ObjectId {
        "123e4567-e89b-42d3-a456-426614174000".parse().unwrap()
    }

    #[test]
    fn a_member_is_known_by_its_guid() {
        assert_eq!(member(ANN), Some(id()));
        assert_eq!(member(b"CN=Ann,DC=corp"), None);
        assert_eq!(member(b"<GUID=123e4567>;CN=Ann"), None);
    }

    #[test]
    fn members_come_in_ranges_or_at_once() {
        let mut members = BTreeSet::new();
        let some = Found::of("cn=all", &[("member;range=0-0", &[ANN]), ("member", &[])]);
        assert_eq!(take(&some, &mut members), Ok(Some(0)));
        let rest = Found::of("cn=all", &[("member;range=1-*", &[ANN])]);
        assert_eq!(take(&rest, &mut members), Ok(None));
        assert_eq!(take(&Found::of("cn=all", &[("member", &[ANN])]), &mut members), Ok(None));
        assert_eq!(members, BTreeSet::from([id().to_octets()]));
        assert!(take(&Found::of("cn=all", &[("member", &[b"CN=x"])]), &mut members).is_err());
    }

    #[test]
    fn a_primary_group_is_a_group_too() {
        let number = BTreeSet::from([513_u32.to_be_bytes()]);
        let (mut groups, none) = (Groups::default(), Groups::default());
        groups.primary.put("cn=a", number);
        assert!(groups.contains("cn=a", id(), Some(513)));
        assert!(!groups.contains("cn=a", id(), Some(514)) && !groups.contains("cn=a", id(), None));
        assert_eq!(groups.differing(&none), (BTreeSet::new(), BTreeSet::from([513])));
        assert_ne!(groups.digest(), none.digest());
        groups = Groups::default();
        groups.membership.put("cn=a", BTreeSet::from([id().to_octets()]));
        assert_eq!(groups.differing(&none), (BTreeSet::from([id()]), BTreeSet::new()));
    }
}
