//! What a score is worth: thresholds in terms of the errors they risk, and the decision.
//!
//! Verification asks whether the probe is any of the impressions that one subject has enrolled: the
//! policy keeps the chance that a stranger passes, and each of K comparisons gets a K-th of it.
//! Identification asks the same question of every enrolled impression; with N of them the chance that anyone's matches is
//! FPIR = 1 - (1 - FMR)^N, at most N x FMR. So the policy keeps an FPIR, and the FMR that a gallery of N
//! needs is FPIR / N. When that lies below what the matcher is calibrated for, one finger does not
//! identify anybody: the answer says so instead of guessing. Two fingers may (`pairs.rs`).

mod bar;
mod bound;
mod decide;
mod hours;
mod lockout;
mod pairs;
mod replay;
mod restriction;
mod rules;

use authenteon_matcher::{CALIBRATED_FMR_FLOOR, Fmr};

pub use bar::{Bar, Circumstances, Presented, judge};
pub use bound::Bound;
pub use decide::{Decision, Evidence, RefuseReason, Verdict, decide};
pub use hours::{Hours, NotHours};
pub use lockout::{Lockout, Scope, Tally, Wait};
pub(crate) use pairs::MOST_TO_IDENTIFY;
pub use pairs::{Compared, Enrolled, Pair};
pub use replay::{Replay, ReplayRule};
pub(crate) use restriction::{LONGEST_GRACE, MOST_FINGERS};
pub use restriction::{NotARestriction, NotWhom, Operation, Restriction, Whom};
pub use rules::Rules;

/// False positive identification rate: the share of searches by someone not enrolled that find
/// anybody. Within 0 < rate <= 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fpir(f64);

impl Fpir {
    /// A rate as a share of searches.
    #[must_use]
    pub fn new(rate: f64) -> Option<Self> {
        (rate > 0.0 && rate <= 1.0).then_some(Self(rate))
    }

    /// The rate.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// The rules of the house.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// False match rate of a verification, over all impressions of the subject.
    pub verify: Fmr,
    /// False positive rate of an identification.
    pub identify: Fpir,
    /// False match rate at which the impressions of an enrolment count as one finger's.
    pub enrol: Fmr,
    /// Impressions that an enrolment needs.
    pub impressions: usize,
    /// Impressions that an enrolment may bring.
    pub most_impressions: usize,
    /// Least quality of an impression at enrolment, 0 to 100.
    pub enrol_quality: u8,
    /// How many failures are let pass.
    pub lockout: Lockout,
    /// Only then is anybody accepted: each list has to admit the moment, by any of its hours. None: at any time.
    pub hours: Vec<Vec<Hours>>,
    /// Different fingers of which one impression each is needed in a verification; at least 1.
    pub fingers: u8,
    /// Whether a PIN is needed too.
    pub pin: bool,
    /// Seconds after an accept in which the same station needs no finger of the same subject again; 0: none.
    pub grace_seconds: u32,
    /// Which samples are taken for replays.
    pub replay: ReplayRule,
    /// The false match rate that an identification rests on.
    pub bound: Bound,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            verify: share(1e-4),
            identify: Fpir(1e-2),
            enrol: share(1e-3),
            impressions: 3,
            most_impressions: 10,
            enrol_quality: 20,
            lockout: Lockout::default(),
            hours: Vec::new(),
            fingers: 1,
            pin: false,
            grace_seconds: 0,
            replay: ReplayRule::default(),
            bound: Bound::default(),
        }
    }
}

/// A constant rate; anything but 0 < rate <= 1 would be "always matches", which tests would show.
fn share(rate: f64) -> Fmr {
    Fmr::new(rate).unwrap_or(CALIBRATED_FMR_FLOOR)
}

impl Policy {
    /// The FMR that each comparison of a verification needs when the subject has so many impressions
    /// enrolled. It may lie below what the matcher is calibrated for: then the share that passes in
    /// truth is at most the calibration's floor times the impressions.
    #[must_use]
    pub fn verification_fmr(&self, impressions: usize) -> Fmr {
        Fmr::new(self.verify.get() / impressions.max(1) as f64).unwrap_or(self.verify)
    }

    /// Whether that is so for a finger with as many impressions as an enrolment needs.
    #[must_use]
    pub fn verifies_beyond_calibration(&self) -> bool {
        self.verification_fmr(self.impressions) < CALIBRATED_FMR_FLOOR
    }

    /// The FMR that an identification among `impressions` enrolled ones needs, or `None` when the
    /// matcher is not calibrated that far.
    #[must_use]
    pub fn identification_fmr(&self, impressions: usize) -> Option<Fmr> {
        let needed = self.bound.claimed(Fmr::new(self.identify.get() / impressions.max(1) as f64)?);
        // No laxer than verification, however small the gallery.
        let needed = if needed > self.verify { self.verify } else { needed };
        (needed >= CALIBRATED_FMR_FLOOR).then_some(needed)
    }

    /// The largest number of enrolled impressions that one finger may be searched among.
    #[must_use]
    pub fn largest_gallery(&self) -> usize {
        self.largest(self.bound.floor().get())
    }

    /// How many chances there may be when each is taken at this rate.
    fn largest(&self, rate: f64) -> usize {
        if self.verify < CALIBRATED_FMR_FLOOR {
            return 0;
        }
        // What divides without a rest may come out a hair below.
        (self.identify.get() / rate * (1.0 + 1e-9)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_gallery_needs_a_lower_rate_until_none_is_low_enough() {
        let policy = Policy::default();
        assert_eq!(policy.identification_fmr(0), Some(policy.verify));
        assert_eq!(policy.identification_fmr(10), Some(policy.verify), "no laxer than verification");
        let strict = Policy { verify: share(0.1), bound: Bound::Point, ..Policy::default() };
        let fifty = strict.identification_fmr(50).unwrap().get();
        assert!((fifty - 2e-4).abs() < 1e-12, "one in a hundred among fifty");
        let sure = Policy { bound: Bound::Upper, ..strict };
        let fifty = sure.identification_fmr(50).unwrap();
        assert!((fifty.upper().get() - 2e-4).abs() < 1e-12, "what holds with confidence is that");
        for bound in [Bound::Upper, Bound::Point] {
            let policy = Policy { bound, ..Policy::default() };
            assert!(policy.identification_fmr(policy.largest_gallery()).is_some());
            assert_eq!(policy.identification_fmr(policy.largest_gallery() + 1), None);
        }
    }

    #[test]
    fn a_rate_that_the_matcher_is_not_calibrated_for_is_known_to_be_one() {
        let policy = |one_in: f64| Policy { verify: share(1.0 / one_in), ..Policy::default() };
        assert!(!policy(10_000.0).verifies_beyond_calibration());
        assert!(!policy(33_000.0).verifies_beyond_calibration());
        assert!(
            policy(100_000.0).verifies_beyond_calibration(),
            "of three impressions each needs a third of it"
        );
    }

    /// Two digits of a large number, rounded down, in groups of three.
    fn shown(number: usize) -> String {
        let mut unit = 1;
        while number >= 1000 && number / unit >= 100 {
            unit *= 10;
        }
        let digits = (number / unit * unit).to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
        groups.join(",")
    }

    #[test]
    fn the_docs_print_the_largest_galleries_that_the_policy_allows() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/matching/calibration.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        assert!(docs.contains("r^(5/3)"), "what two fingers of one person pass at");
        for (rate, one_in) in [(1e-2, "100"), (1e-3, "1,000")] {
            for (bound, name) in [(Bound::Upper, "upper bound"), (Bound::Point, "point estimate")] {
                let policy = Policy { identify: Fpir(rate), bound, ..Policy::default() };
                let with_pin = (rate / bound.floor().get() * 1e4 * (1.0 + 1e-9)) as usize;
                let of_two = |fingers| {
                    let person = Enrolled::of(vec![policy.impressions; fingers]);
                    shown(policy.largest_gallery_of_two(&person))
                };
                let (one, two, ten) = (shown(policy.largest_gallery()), of_two(2), of_two(10));
                let with_pin = shown(with_pin);
                let row = format!("| one in {one_in}, {name} | {one} | {two} | {ten} | {with_pin} |");
                assert!(docs.contains(&row), "{row}");
            }
        }
    }
}
