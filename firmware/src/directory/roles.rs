//! What groups of the directory mean, and who is in them.
//!
//! Invariant: what is said of a person follows from the groups as they were read at one time, members of members included
//! where the settings say so.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Settings, filter::same_dn};
use crate::{request::hex, subject::GroupName};

/// Which groups of the directory matter, and for what. Groups are known by where they lie, in one spelling.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    /// As they are written in the settings, by their one spelling.
    named: BTreeMap<String, String>,
    gives: Vec<(String, GroupName)>,
    required: Option<String>,
    privileged: Vec<String>,
}

/// What groups say of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Whether the person is taken at all.
    pub(super) wanted: bool,
    pub(super) groups: BTreeSet<GroupName>,
    pub(super) privileged: bool,
}

impl Roles {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut named = BTreeMap::new();
        let mut key = |dn: &String| {
            let key = same_dn(dn);
            named.insert(key.clone(), dn.clone());
            key
        };
        let gives = settings.groups.iter().map(|(dn, group)| (key(dn), group.clone())).collect();
        let required = settings.required_group.as_ref().map(&mut key);
        let privileged = settings.privileged_groups.iter().map(&mut key).collect();
        Self { named, gives, required, privileged }
    }

    /// Whether no group matters.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The groups that matter: their one spelling, and the configured.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(key, dn)| (key.as_str(), dn.as_str()))
    }

    /// What they say of who is in those that `is_in` says.
    pub(super) fn judge(&self, is_in: impl Fn(&str) -> bool) -> Judgement {
        Judgement {
            wanted: self.required.as_ref().is_none_or(|group| is_in(group)),
            groups: self.gives.iter().filter(|(dn, _)| is_in(dn)).map(|(_, group)| group.clone()).collect(),
            privileged: self.privileged.iter().any(|group| is_in(group)),
        }
    }
}

/// Who is in the groups that matter. `K` is what members are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership<K> {
    members: BTreeMap<String, BTreeSet<K>>,
}

impl<K> Default for Membership<K> {
    fn default() -> Self {
        Self { members: BTreeMap::new() }
    }
}

impl<K: Ord + Clone + AsRef<[u8]>> Membership<K> {
    /// These are in that group.
    pub(super) fn put(&mut self, group: &str, members: BTreeSet<K>) {
        self.members.insert(group.to_owned(), members);
    }

    pub(super) fn contains(&self, group: &str, member: &K) -> bool {
        self.members.get(group).is_some_and(|members| members.contains(member))
    }

    /// Whose groups differ.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<K> {
        let none = BTreeSet::new();
        let groups: BTreeSet<&String> = self.members.keys().chain(other.members.keys()).collect();
        let differ = groups.into_iter().flat_map(|group| {
            let one = self.members.get(group).unwrap_or(&none);
            one.symmetric_difference(other.members.get(group).unwrap_or(&none))
        });
        differ.cloned().collect()
    }

    /// A number that is another where somebody's groups are, short enough to keep with the cursor.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut part = |octets: &[u8]| {
            digest.update((octets.len() as u64).to_be_bytes());
            digest.update(octets);
        };
        for (group, members) in &self.members {
            part(group.as_bytes());
            part(&(members.len() as u64).to_be_bytes());
            members.iter().for_each(|member| part(member.as_ref()));
        }
        hex(&digest.finalize())
    }
}

/// What of the settings decides how a person reads, as a number: a cursor of another mapping is of no use.
pub(super) fn mapping(settings: &Settings) -> String {
    let Settings {
        kind, base, filter, required_group, nested, attributes, groups, privileged_groups, ..
    } = settings;
    let said =
        format!("{:?}", (kind, base, filter, required_group, nested, attributes, groups, privileged_groups));
    hex(&Sha256::digest(said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Groups = BTreeMap<String, BTreeSet<String>>;

    fn groups() -> impl Strategy<Value = Groups> {
        proptest::collection::btree_map("[a-c]", proptest::collection::btree_set("[a-e]", 0..4), 0..4)
    }

    fn membership(groups: &Groups) -> Membership<String> {
        let mut membership = Membership::default();
        groups.iter().for_each(|(group, members)| membership.put(group, members.clone()));
        membership
    }

    proptest! {
        #[test]
        fn who_differs_is_in_a_group_of_one_and_not_of_the_other(one in groups(), other in groups()) {
            let (a, b) = (membership(&one), membership(&other));
            let differ = a.differing(&b);
            for member in "abcde".split("").filter(|one| !one.is_empty()).map(str::to_owned) {
                let differs = "abc".split("").any(|group| a.contains(group, &member) != b.contains(group, &member));
                prop_assert_eq!(differ.contains(&member), differs);
            }
            prop_assert_eq!(a == b, a.digest() == b.digest());
        }
    }

    #[test]
    fn a_group_gives_a_group_takes_in_and_marks() {
        let roles = Roles {
            named: BTreeMap::new(),
            gives: vec![("cn=a".into(), GroupName::try_from("staff".to_owned()).unwrap())],
            required: Some("cn=b".into()),
            privileged: vec!["cn=c".into()],
        };
        let judged = roles.judge(|group| group != "cn=c");
        assert!(judged.wanted && !judged.privileged);
        assert_eq!(judged.groups.len(), 1);
        let judged = roles.judge(|group| group == "cn=c");
        assert!(!judged.wanted && judged.privileged && judged.groups.is_empty());
    }
}
