//! Who is in the groups that matter, by where they lie: `member` and `uniqueMember`, members of members followed.
//!
//! Invariant: a group is read once, however many lead to it, so a cycle ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ldap3::Scope;

use super::marks::Marks;
use crate::directory::{
    DirectoryError,
    filter::same_dn,
    roles::{Membership, Roles},
    wire::{Connection, Question},
};

pub(super) const GROUPS: &str = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group)(objectClass=groupOfMembers))";
const MEMBERS: [&str; 2] = ["member", "uniqueMember"];

/// What the groups that matter are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    membership: Membership<String>,
    /// Each group and those in it, for whoever says of itself that it is in one of them; nothing where nobody does.
    made_of: BTreeMap<String, BTreeSet<String>>,
}

impl Groups {
    /// Whether who lies here, and says to be in these, is in a group.
    pub(super) fn contains(&self, group: &str, dn: &String, says: &[String]) -> bool {
        let by_itself =
            || self.made_of.get(group).is_some_and(|groups| says.iter().any(|one| groups.contains(one)));
        self.membership.contains(group, dn) || by_itself()
    }

    /// Where those lie whose groups differ; none when that cannot be told.
    pub(super) fn differing(&self, other: &Self) -> Option<BTreeSet<String>> {
        (self.made_of == other.made_of).then(|| self.membership.differing(&other.membership))
    }

    pub(super) fn digest(&self) -> String {
        let mut digested = self.membership.clone();
        self.made_of.iter().for_each(|(group, inside)| digested.put(&format!("in {group}"), inside.clone()));
        digested.digest()
    }
}

/// How groups are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Whether members of members count.
    pub(super) nested: bool,
    /// Whether people say themselves in which groups they are.
    pub(super) by_person: bool,
}

/// Reads all groups that matter; `known` are all there are.
pub(super) async fn read(
    connection: &mut Connection,
    roles: &Roles,
    how: How,
    known: &Marks<String>,
) -> Result<Groups, DirectoryError> {
    let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut groups = Groups::default();
    for (key, dn) in roles.groups() {
        let (mut members, mut made_of) = (BTreeSet::new(), BTreeSet::from([key.to_owned()]));
        let mut ahead = VecDeque::from([dn.to_owned()]);
        while let Some(dn) = ahead.pop_front() {
            let key = same_dn(&dn);
            if !read.contains_key(&key) {
                read.insert(key.clone(), members_of(connection, &dn).await?);
            }
            let Some(direct) = read.get(&key) else { continue };
            let inside = direct.iter().filter(|dn| how.nested && known.contains(dn));
            ahead.extend(inside.filter(|dn| made_of.insert((*dn).clone())).cloned());
            members.extend(direct.iter().cloned());
        }
        groups.membership.put(key, members);
        if how.by_person {
            groups.made_of.insert(key.to_owned(), made_of);
        }
    }
    Ok(groups)
}

async fn members_of(connection: &mut Connection, dn: &str) -> Result<BTreeSet<String>, DirectoryError> {
    let question = Question {
        base: dn,
        scope: Scope::Base,
        filter: "(objectClass=*)",
        attributes: &MEMBERS,
        controls: Vec::new(),
        doing: "read the groups of the mapping",
    };
    let found = connection.entry(&question).await?.ok_or_else(|| DirectoryError::Missing(dn.to_owned()))?;
    let values = MEMBERS.iter().flat_map(|attribute| found.all(attribute));
    Ok(values.filter_map(|value| std::str::from_utf8(value).ok()).map(member).collect())
}

/// Where a member lies; a unique member may have a number behind it (`cn=ann,o=acme#'0101'B`).
fn member(value: &str) -> String {
    let place = match value.rsplit_once('#') {
        Some((place, number)) if number.starts_with('\'') && number.ends_with("'B") => place,
        _ => value,
    };
    same_dn(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_known_by_where_it_lies() {
        assert_eq!(member("CN=Ann, O=Acme"), "cn=ann,o=acme");
        assert_eq!(member("cn=ann,o=acme#'0101'B"), "cn=ann,o=acme");
        assert_eq!(member("cn=#1,o=acme"), "cn=#1,o=acme");
    }

    #[test]
    fn who_says_to_be_in_a_group_is_in_it() {
        let mut groups = Groups::default();
        groups.membership.put("cn=a", BTreeSet::from(["cn=ann".to_owned()]));
        groups.made_of.insert("cn=a".into(), BTreeSet::from(["cn=a".into(), "cn=b".into()]));
        let is_in = |dn: &str, says: &[String]| groups.contains("cn=a", &dn.to_owned(), says);
        assert!(
            is_in("cn=ann", &[]) && is_in("cn=ben", &["cn=b".into()]) && !is_in("cn=ben", &["cn=c".into()])
        );
        assert_eq!(groups.differing(&Groups::default()), None);
    }
}
