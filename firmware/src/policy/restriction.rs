//! Restrictions: what holds for the subjects of a group, at a station or in an operation beyond what holds for all.
//!
//! Invariant: a restriction only ever makes the policy stricter. Of several that apply the strictest counts, value by
//! value, so their order does not matter.

use std::fmt;

use authenteon_matcher::Fmr;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Fpir, Hours, Policy};
use crate::subject::GroupName;

/// What is asked of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Is this the finger of that subject?
    Verify,
    /// Whose finger is this?
    Identify,
}

impl Operation {
    /// The word that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Identify => "identify",
        }
    }
}

/// For whom a restriction holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// The subjects of a group.
    Group(GroupName),
    /// A station, by name.
    Station(String),
    /// Everybody, in an operation.
    Operation(Operation),
}

/// What names nobody for whom a restriction could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWhom {
    /// Another kind.
    #[error("a restriction is of a group, a station or an operation")]
    Kind,
    /// No name of that kind.
    #[error("a group has 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")]
    Group,
    /// No name of that kind.
    #[error("a station has 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Station,
    /// No name of that kind.
    #[error("the operations are verify and identify")]
    Operation,
}

impl Whom {
    /// Of a kind and a name.
    ///
    /// # Errors
    /// [`NotWhom`].
    pub fn of(kind: &str, name: &str) -> Result<Self, NotWhom> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        match kind {
            "group" => GroupName::try_from(name.to_owned()).map(Self::Group).map_err(|_| NotWhom::Group),
            "station" if (1..=64).contains(&name.len()) && name.bytes().all(plain) => {
                Ok(Self::Station(name.to_owned()))
            }
            "station" => Err(NotWhom::Station),
            "operation" => [Operation::Verify, Operation::Identify]
                .into_iter()
                .find(|operation| operation.name() == name)
                .map(Self::Operation)
                .ok_or(NotWhom::Operation),
            _ => Err(NotWhom::Kind),
        }
    }

    /// `group`, `station` or `operation`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Group(_) => "group",
            Self::Station(_) => "station",
            Self::Operation(_) => "operation",
        }
    }

    /// Which one.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Group(name) => name.as_ref(),
            Self::Station(name) => name,
            Self::Operation(operation) => operation.name(),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.name())
    }
}

/// What holds beyond the policy of all; what is absent is not restricted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restriction {
    /// At most one false match in so many verifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_one_in: Option<f64>,
    /// At most one false identification in so many searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identify_one_in: Option<f64>,
    /// Only then is anybody accepted: in any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["mon-fri 07:00-19:30 +01:00"]))]
    pub hours: Vec<Hours>,
    /// Different fingers of which a verification needs an impression each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingers: Option<u8>,
    /// Whether a PIN is needed too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<bool>,
    /// Seconds after an accept in which the same station needs no finger of the same subject again; at most
    /// so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
    /// Failures for one subject before the first wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_failures: Option<u32>,
    /// Failures of one station before the first wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station_failures: Option<u32>,
    /// Seconds of the first wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_wait_seconds: Option<u32>,
    /// Seconds of the longest wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_wait_seconds: Option<u32>,
}

/// Rates are one in at most so many: the matcher is not calibrated for less.
const RAREST: f64 = 1e6;
const DAY_SECONDS: u32 = 86_400;
/// Hours of one restriction.
const MOST_HOURS: usize = 32;
/// Seconds of the longest grace period.
pub(crate) const LONGEST_GRACE: u32 = 3600;
/// Fingers of one verification.
pub(crate) const MOST_FINGERS: u8 = 4;

/// A value that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct NotARestriction {
    /// Which.
    pub field: &'static str,
    /// What would be right.
    pub why: &'static str,
}

impl Restriction {
    /// Whether all of it can be used.
    ///
    /// # Errors
    /// [`NotARestriction`]: the first value that cannot.
    pub fn check(&self) -> Result<(), NotARestriction> {
        let bad = |field, why| Err(NotARestriction { field, why });
        for (field, rate) in
            [("verify_one_in", self.verify_one_in), ("identify_one_in", self.identify_one_in)]
        {
            if rate.is_some_and(|rate| !(1.0..=RAREST).contains(&rate)) {
                return bad(field, "one in how many, from 1 to 1000000");
            }
        }
        if self.fingers.is_some_and(|fingers| !(1..=MOST_FINGERS).contains(&fingers)) {
            return bad("fingers", "from 1 to 4");
        }
        if self.grace_seconds.is_some_and(|seconds| seconds > LONGEST_GRACE) {
            return bad("grace_seconds", "from 0 to 3600");
        }
        if self.hours.len() > MOST_HOURS {
            return bad("hours", "at most 32");
        }
        for (field, failures) in
            [("subject_failures", self.subject_failures), ("station_failures", self.station_failures)]
        {
            if failures == Some(0) {
                return bad(field, "at least 1: a restriction cannot switch a lockout off");
            }
        }
        for (field, seconds) in [
            ("first_wait_seconds", self.first_wait_seconds),
            ("longest_wait_seconds", self.longest_wait_seconds),
        ] {
            if seconds.is_some_and(|seconds| !(1..=DAY_SECONDS).contains(&seconds)) {
                return bad(field, "from 1 to 86400 seconds");
            }
        }
        if *self == Self::default() {
            return bad("restriction", "it restricts nothing: say at least one value");
        }
        Ok(())
    }
}

impl Restriction {
    /// Whether all of it can be used for somebody.
    ///
    /// # Errors
    /// [`NotARestriction`]: the first value that cannot.
    pub fn check_for(&self, whom: &Whom) -> Result<(), NotARestriction> {
        self.check()?;
        match (whom, self.station_failures) {
            (Whom::Group(_), Some(_)) => Err(NotARestriction {
                field: "station_failures",
                why: "for a station or an operation: a group's would lock a station for everybody else",
            }),
            _ => Ok(()),
        }
    }
}

/// The fewer failures that are let pass; none are counted where either says 0.
fn fewer(one: u32, other: Option<u32>) -> u32 {
    match (one, other.unwrap_or_default()) {
        (one, 0) => one,
        (0, other) => other,
        (one, other) => one.min(other),
    }
}

impl Policy {
    /// The policy with a restriction more.
    #[must_use]
    pub fn restricted(mut self, by: &Restriction) -> Self {
        let rate = |one_in: Option<f64>| one_in.map(|one_in| 1.0 / one_in);
        if let Some(verify) = rate(by.verify_one_in).and_then(Fmr::new)
            && verify < self.verify
        {
            self.verify = verify;
        }
        if let Some(identify) = rate(by.identify_one_in).and_then(Fpir::new)
            && identify < self.identify
        {
            self.identify = identify;
        }
        if !by.hours.is_empty() {
            self.hours.push(by.hours.clone());
        }
        self.fingers = self.fingers.max(by.fingers.unwrap_or_default());
        self.pin |= by.pin.unwrap_or_default();
        self.grace_seconds = self.grace_seconds.min(by.grace_seconds.unwrap_or(u32::MAX));
        let lockout = &mut self.lockout;
        lockout.subject_failures = fewer(lockout.subject_failures, by.subject_failures);
        lockout.station_failures = fewer(lockout.station_failures, by.station_failures);
        let longer = |one: u32, other: Option<u32>| one.max(other.unwrap_or_default());
        lockout.first_wait_seconds = longer(lockout.first_wait_seconds, by.first_wait_seconds);
        lockout.longest_wait_seconds =
            longer(lockout.longest_wait_seconds, by.longest_wait_seconds).max(lockout.first_wait_seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whom_is_read_from_what_it_is_called() {
        for (kind, name) in [("group", "night-shift"), ("station", "Front-Desk.2"), ("operation", "identify")]
        {
            let whom = Whom::of(kind, name).unwrap();
            assert_eq!((whom.kind(), whom.name(), whom.to_string()), (kind, name, format!("{kind}/{name}")));
        }
        assert_eq!(Whom::of("group", "Night"), Err(NotWhom::Group));
        assert_eq!(Whom::of("station", "../x"), Err(NotWhom::Station));
        assert_eq!(Whom::of("operation", "enrol"), Err(NotWhom::Operation));
        assert_eq!(Whom::of("role", "station"), Err(NotWhom::Kind));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named() {
        let one = |text: &str| serde_json::from_str::<Restriction>(text).unwrap().check();
        assert_eq!(one(r#"{"verify_one_in": 100000, "hours": ["mon-fri 07:00-19:00 +01:00"]}"#), Ok(()));
        for (text, field) in [
            (r#"{"verify_one_in": 0.5}"#, "verify_one_in"),
            (r#"{"identify_one_in": 1e7}"#, "identify_one_in"),
            (r#"{"subject_failures": 0}"#, "subject_failures"),
            (r#"{"longest_wait_seconds": 90000}"#, "longest_wait_seconds"),
            ("{}", "restriction"),
        ] {
            assert_eq!(one(text).unwrap_err().field, field, "{text}");
        }
        assert!(serde_json::from_str::<Restriction>(r#"{"hours": ["always"]}"#).is_err());
        assert!(serde_json::from_str::<Restriction>(r#"{"colour": 1}"#).is_err());
    }

    #[test]
    fn a_group_has_no_say_in_how_often_a_station_may_fail() {
        let fewer = Restriction { station_failures: Some(5), ..Restriction::default() };
        let whom = |kind, name| Whom::of(kind, name).unwrap();
        assert_eq!(fewer.check_for(&whom("group", "night")).unwrap_err().field, "station_failures");
        assert_eq!(fewer.check_for(&whom("station", "door")), Ok(()));
        assert!(Restriction::default().check_for(&whom("station", "door")).is_err());
    }

    fn restriction() -> impl Strategy<Value = Restriction> {
        (
            prop::option::of(1.0..1e6_f64),
            prop::option::of(1.0..1e6_f64),
            prop::option::of(1..20_u32),
            prop::option::of(1..20_u32),
            prop::option::of(1..86_400_u32),
            prop::option::of(1..86_400_u32),
        )
            .prop_map(|(verify_one_in, identify_one_in, subject, station, first, longest)| {
                Restriction {
                    verify_one_in,
                    identify_one_in,
                    hours: Vec::new(),
                    fingers: subject.map(|n| n.min(4) as u8),
                    pin: station.map(|n| n > 9),
                    grace_seconds: None,
                    subject_failures: subject,
                    station_failures: station,
                    first_wait_seconds: first,
                    longest_wait_seconds: longest,
                }
            })
    }

    proptest! {
        #[test]
        fn a_restriction_makes_nothing_laxer_and_the_order_of_two_does_not_matter(
            one in restriction(), other in restriction(),
        ) {
            let policy = Policy::default();
            let both = policy.clone().restricted(&one).restricted(&other);
            prop_assert_eq!(&both, &policy.clone().restricted(&other).restricted(&one));
            prop_assert!(both.verify <= policy.verify && both.identify <= policy.identify);
            let (now, before) = (both.lockout, policy.lockout);
            prop_assert!(now.subject_failures <= before.subject_failures && now.subject_failures > 0);
            prop_assert!(now.station_failures <= before.station_failures && now.station_failures > 0);
            prop_assert!(now.first_wait_seconds >= before.first_wait_seconds);
            prop_assert!(now.longest_wait_seconds >= before.longest_wait_seconds);
            prop_assert!(now.check().is_ok());
            prop_assert!(both.fingers >= policy.fingers && both.pin >= policy.pin);
            prop_assert_eq!(&both, &both.clone().restricted(&one));
        }
    }
}
