//! The policy in force, as a fact of the store: which rules a decision was made by can be told later.
//!
//! Invariant: the rules are those of the configuration; the store says since when.

use tracing::warn;

use super::{Inner, this_box};
use crate::{
    audit::Event,
    policy::Rules,
    store::{Change, StoreError, Table, Value},
};

/// Under this key of [`Table::Policy`] lies what the configuration says.
const CONFIGURED: &[u8] = b"configured";

/// Whether a value is what the configuration of its box said: no other box follows it.
pub(super) fn is_configured(table: Table, key: &[u8]) -> bool {
    (table, key) == (Table::Policy, CONFIGURED)
}

/// The rules that a value of the store says.
pub(super) fn read(value: &Value) -> Option<Rules> {
    is_configured(value.table, &value.key).then(|| serde_json::from_slice(&value.value).ok()).flatten()
}

impl Inner {
    /// Keeps which rules are in force, when they are others than before. A box whose disk is full decides all the same.
    pub(super) fn keep_rules(&self, before: Option<Rules>) {
        let rules = Rules::from(&self.policy);
        if before.as_ref() == Some(&rules) || self.store.is_earlier() {
            return;
        }
        let kept =
            serde_json::to_vec(&rules).map_err(|why| StoreError::Io(why.to_string())).and_then(|value| {
                let change = Change::Put { table: Table::Policy, key: CONFIGURED.to_vec(), value };
                Self::commit(self, &this_box(), &[change], &Event::PolicyInForce { rules })
            });
        if let Err(why) = kept {
            warn!(%why, "which policy is in force is not in the store: the next start tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        audit::{self, Event},
        clock::SystemClock,
        policy::Policy,
        services::Services,
        store::DiskStore,
    };

    #[test]
    fn store_says_which_policy_was_in_force_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let strict = Policy { enrol_quality: 60, ..Policy::default() };
        let mut qualities = Vec::new();
        for policy in [Policy::default(), Policy::default(), strict] {
            let store = Arc::new(DiskStore::open(folder.path()).unwrap());
            let services = Services::open(store, policy, Arc::new(SystemClock)).unwrap();
            qualities.clear();
            audit::verify(services.inner.store.as_ref(), |record| {
                if let Event::PolicyInForce { rules } = &record.what {
                    qualities.push(rules.enrol_quality);
                }
            })
            .unwrap();
        }
        assert_eq!(qualities, [20, 60]);
    }
}
