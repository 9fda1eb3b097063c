//! The policy as plain numbers: what the store and the audit keep of it.

use serde::{Deserialize, Serialize};

use super::{Bound, Hours, Lockout, Policy, ReplayRule};

/// The rules as they are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// How many failures are let pass; absent in what was kept before there was a lockout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockout: Option<Lockout>,
    /// Hours in which anybody is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Vec<Hours>>,
    /// Different fingers that a verification needs; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingers: Option<u8>,
    /// Whether a PIN is needed too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<bool>,
    /// Seconds after an accept in which no finger is needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
    /// Which samples are taken for replays; absent in what was kept before copies were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayRule>,
    /// The false match rate that an identification rests on; absent: the estimate itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identify_bound: Option<Bound>,
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
            lockout: Some(policy.lockout),
            hours: policy.hours.clone(),
            fingers: (policy.fingers > 1).then_some(policy.fingers),
            pin: policy.pin.then_some(true),
            grace_seconds: (policy.grace_seconds > 0).then_some(policy.grace_seconds),
            replay: Some(policy.replay),
            identify_bound: Some(policy.bound),
        }
    }
}
