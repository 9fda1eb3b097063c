//! The policy as plain numbers: what the store and the audit keep of it.

use serde::{Deserialize, Serialize};

use super::Policy;

/// The rules as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// False match rate of a verification.
    pub verify: f64,
    /// False positive identification rate.
    pub identify: f64,
    /// False match rate at which impressions count as one finger's.
    pub enrol: f64,
    /// Impressions that an enrolment needs.
    pub impressions: usize,
    /// Impressions that it may bring.
    pub most_impressions: usize,
    /// Least quality of an impression at enrolment.
    pub enrol_quality: u8,
}

impl From<&Policy> for Rules {
    fn from(policy: &Policy) -> Self {
        Self {
            verify: policy.verify.get(),
            identify: policy.identify.get(),
            enrol: policy.enrol.get(),
            impressions: policy.impressions,
            most_impressions: policy.most_impressions,
            enrol_quality: policy.enrol_quality,
        }
    }
}
