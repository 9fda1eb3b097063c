//! What a decision rested on: with which reader, rules and programs it was made, so that it can be told later why.

use serde::{Deserialize, Serialize};

use super::chain::hash;
use crate::policy::{Policy, Rules};

/// It, as a record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Basis {
    /// The box's own reader that took the finger, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// The rules that held for this request: the first 16 digits of the SHA-256 of their JSON.
    pub rules: String,
    /// The version of the matcher.
    pub matcher: String,
    /// The version of the templates that it makes.
    pub template: u8,
}

impl Basis {
    /// Of a decision by this policy on a finger from this reader.
    #[must_use]
    pub fn new(policy: &Policy, sensor: Option<String>) -> Self {
        Self {
            sensor,
            rules: version(&Rules::from(policy)),
            matcher: authenteon_matcher::VERSION.to_owned(),
            template: authenteon_matcher::Template::VERSION,
        }
    }
}

/// What rules are told from others by.
fn version(rules: &Rules) -> String {
    // Numbers and words always have a form in JSON.
    let mut digest = hash(&serde_json::to_vec(rules).unwrap_or_default());
    digest.truncate(16);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_from_others_by_their_version() {
        let policy = Policy::default();
        let other = Policy { impressions: policy.impressions + 1, ..Policy::default() };
        let of = |policy: &Policy| Basis::new(policy, None).rules;
        assert_eq!(of(&policy), of(&policy));
        assert_ne!(of(&policy), of(&other));
        assert_eq!(of(&policy).len(), 16);
    }
}
