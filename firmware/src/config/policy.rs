//! `[policy]`: what a decision needs, for everybody.

use authenteon_matcher::Fmr;
use serde::Deserialize;

use crate::policy::{Bound, Fpir, Hours, LONGEST_GRACE, Lockout, MOST_FINGERS, Policy, ReplayRule};

/// Thresholds as people write them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyValues {
    /// One false match in so many verifications.
    pub verify_one_in: f64,
    /// One false identification in so many searches.
    pub identify_one_in: f64,
    /// Impressions of an enrolment.
    pub impressions: usize,
    /// Least quality at enrolment.
    pub enrol_quality: u8,
    /// How many failures are let pass, and how long is waited after them.
    pub lockout: Lockout,
    /// Hours in which anybody is accepted; none: at any time.
    pub hours: Vec<Hours>,
    /// Different fingers that a verification needs.
    pub fingers: u8,
    /// Whether a PIN is needed too.
    pub pin: bool,
    /// Seconds after an accept in which the same station needs no finger of the same subject again; 0: none.
    pub grace_seconds: u32,
    /// Which samples are taken for replays.
    pub replay: ReplayRule,
    /// The false match rate that an identification rests on.
    pub identify_bound: Bound,
}

impl Default for PolicyValues {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            verify_one_in: 1.0 / policy.verify.get(),
            identify_one_in: 1.0 / policy.identify.get(),
            impressions: policy.impressions,
            enrol_quality: policy.enrol_quality,
            lockout: policy.lockout,
            hours: Vec::new(),
            fingers: policy.fingers,
            pin: policy.pin,
            grace_seconds: policy.grace_seconds,
            replay: policy.replay,
            identify_bound: policy.bound,
        }
    }
}

impl PolicyValues {
    /// The policy.
    ///
    /// # Errors
    /// The key whose value cannot be used, and what would be right.
    pub(super) fn policy(&self) -> Result<Policy, (&'static str, &'static str)> {
        const RATE: &str = "one in how many, from 1 to 1000000";
        let sane = |one_in: f64| (1.0..=1e6).contains(&one_in).then(|| 1.0 / one_in);
        let verify = sane(self.verify_one_in).and_then(Fmr::new).ok_or(("verify-one-in", RATE))?;
        let identify = sane(self.identify_one_in).and_then(Fpir::new).ok_or(("identify-one-in", RATE))?;
        // Each of them has to resemble another one of the same finger.
        if !(2..=Policy::default().most_impressions).contains(&self.impressions) {
            return Err((
                "impressions",
                "an enrolment takes 2 to 10 impressions, which have to resemble each other",
            ));
        }
        if self.enrol_quality > 100 {
            return Err(("enrol-quality", "qualities go from 0 to 100"));
        }
        if !(1..=MOST_FINGERS).contains(&self.fingers) {
            return Err(("fingers", "from 1 to 4"));
        }
        if self.grace_seconds > LONGEST_GRACE {
            return Err(("grace-seconds", "from 0 to 3600"));
        }
        Ok(Policy {
            verify,
            identify,
            impressions: self.impressions,
            enrol_quality: self.enrol_quality,
            lockout: self.lockout,
            hours: if self.hours.is_empty() { Vec::new() } else { vec![self.hours.clone()] },
            fingers: self.fingers,
            pin: self.pin,
            grace_seconds: self.grace_seconds,
            replay: self.replay,
            bound: self.identify_bound,
            ..Policy::default()
        })
    }

    /// What is doubtful: section, key and why.
    pub(super) fn doubts(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let all = [
            (
                self.verify_one_in < 1000.0,
                "policy",
                "verify-one-in",
                "one stranger in fewer than 1000 is let in",
            ),
            (
                self.policy().is_ok_and(|policy| policy.verifies_beyond_calibration()),
                "policy",
                "verify-one-in",
                "the matcher is calibrated to 1 in 100,000 for an enrolled impression: what passes beyond was never measured",
            ),
            (
                self.impressions < 3,
                "policy",
                "impressions",
                "three impressions miss a finger less often than two",
            ),
            (
                self.lockout.subject_failures == 0,
                "policy.lockout",
                "subject-failures",
                "whoever guesses for one subject is never made to wait",
            ),
            (
                self.lockout.station_failures == 0,
                "policy.lockout",
                "station-failures",
                "a station that guesses through many subjects is never made to wait",
            ),
            (
                !self.replay.is_on(),
                "policy",
                "replay",
                "whoever recorded a sample can present it again: for measurements only",
            ),
            (
                self.identify_bound == Bound::Point,
                "policy",
                "identify-bound",
                "more strangers than said may be taken for somebody: the estimate may be too good",
            ),
        ];
        all.into_iter()
            .filter(|(doubtful, ..)| *doubtful)
            .map(|(_, section, key, why)| (section, key, why))
            .collect()
    }
}
