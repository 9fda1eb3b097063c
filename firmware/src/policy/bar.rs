//! What bars an attempt whatever the finger is, and the judgement of evidence under the policy that is in force.
//!
//! Invariant: what bars only the subjects of a group is told after a match and not before: to whoever brings the wrong
//! finger, a subject with a restriction and one who does not exist are the same.

use super::{Decision, Evidence, Policy, RefuseReason, Verdict, Wait, decide};
use crate::{clock::Timestamp, directory::State, subject::SubjectId};

/// What bars an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// There were too many failures before.
    LockedOut(Wait),
    /// Nobody is accepted at this hour.
    OutsideHours,
    /// So many are enrolled that what was presented does not tell them apart.
    GalleryTooLarge {
        /// Different fingers that were.
        presented: usize,
        /// And that would; none: the box does not by any.
        enough: Option<u8>,
    },
    /// Impressions of so many different fingers are needed.
    FingersRequired(u8),
    /// A PIN is needed too.
    PinRequired,
    /// The person's directory does not let him in, and says so.
    Closed(State),
}

/// What an attempt brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Impressions, each of another finger.
    pub fingers: usize,
    /// Whether a PIN came too.
    pub pin: bool,
    /// And is known to be wrong.
    pub wrong_pin: bool,
    /// Enrolled impressions that they are to be searched among, in an identification.
    pub among: Option<usize>,
}

impl Presented {
    /// What stands for as many fingers as are needed.
    pub const WHATEVER_FINGERS: usize = usize::MAX;
}

/// Under what evidence is judged.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The policy that holds whoever it is about: it may be told to anybody.
    pub told: &'a Policy,
    /// The one that holds for a subject.
    pub of: &'a dyn Fn(SubjectId) -> Policy,
    /// How a subject stands in the directory that he is followed in; active where he is in none.
    pub stands: &'a dyn Fn(SubjectId) -> State,
    /// When.
    pub now: Timestamp,
    /// What is brought.
    pub presented: Presented,
}

impl Bar {
    /// What bars an attempt at a moment, if anything does.
    #[must_use]
    pub fn of(policy: &Policy, now: Timestamp, presented: &Presented) -> Option<Self> {
        let open = policy.hours.iter().all(|any| any.iter().any(|hours| hours.contain(now)));
        if !open {
            Some(Self::OutsideHours)
        } else if let Some(enough) = presented.among.map(|all| policy.fingers_to_identify(all))
            && enough.is_none_or(|enough| presented.fingers < usize::from(enough))
        {
            Some(Self::GalleryTooLarge { presented: presented.fingers, enough })
        } else if presented.fingers < usize::from(policy.fingers) {
            Some(Self::FingersRequired(policy.fingers))
        } else if policy.pin && !presented.pin {
            Some(Self::PinRequired)
        } else {
            None
        }
    }

    /// What the caller learns.
    #[must_use]
    pub fn reason(&self) -> RefuseReason {
        match self {
            Self::LockedOut(wait) => RefuseReason::LockedOut { retry_after_s: wait.seconds() },
            Self::OutsideHours => RefuseReason::OutsideHours,
            Self::GalleryTooLarge { enough, .. } => RefuseReason::GalleryTooLarge { fingers: *enough },
            Self::FingersRequired(fingers) => RefuseReason::FingersRequired { fingers: *fingers },
            Self::PinRequired => RefuseReason::PinRequired,
            Self::Closed(_) => RefuseReason::AccountDisabled,
        }
    }

    /// What the audit says.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self {
            Self::LockedOut(wait) => wait.why(),
            Self::OutsideHours => "outside the hours",
            Self::GalleryTooLarge { presented: ..2, .. } => "gallery too large for one finger",
            Self::GalleryTooLarge { .. } => "gallery too large for two fingers",
            Self::FingersRequired(_) => "more fingers are needed",
            Self::PinRequired => "a PIN is needed",
            Self::Closed(state) => state.why().unwrap_or("the directory does not let him in"),
        }
    }
}

/// Judges evidence.
#[must_use]
pub fn judge(circumstances: &Circumstances<'_>, evidence: &Evidence) -> Verdict {
    let Circumstances { told, of, .. } = circumstances;
    let verdict = match evidence {
        Evidence::Verification { claimed, .. } => {
            return judged(&of(*claimed), circumstances, evidence);
        }
        _ => decide(told, evidence),
    };
    match verdict.decision {
        // Somebody's own policy may ask for more.
        Decision::Accept { subject } => {
            let own = judged(&of(subject), circumstances, evidence);
            let Decision::Refuse { reason: RefuseReason::GalleryTooLarge { .. } } = own.decision else {
                return own;
            };
            // No score is high enough for the group then. As one that is too low: it tells nobody who is in the group.
            let reason = RefuseReason::NotMatched;
            Verdict {
                decision: Decision::Refuse { reason },
                why: "gallery too large for the group",
                ..verdict
            }
        }
        _ => verdict,
    }
}

fn judged(policy: &Policy, circumstances: &Circumstances<'_>, evidence: &Evidence) -> Verdict {
    let verdict = decide(policy, evidence);
    let Circumstances { stands, now, presented, .. } = circumstances;
    let Decision::Accept { subject } = verdict.decision else { return verdict };
    if presented.wrong_pin {
        // As a wrong finger: who tries learns nothing of either.
        let reason = RefuseReason::NotMatched;
        return Verdict { decision: Decision::Refuse { reason }, why: "wrong PIN", ..verdict };
    }
    let state = stands(subject);
    let closed = (state != State::Active).then_some(Bar::Closed(state));
    match closed.or_else(|| Bar::of(policy, *now, presented)) {
        Some(bar) => verdict.barred(&bar),
        None => verdict,
    }
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::Fmr;

    use super::*;
    use crate::policy::Restriction;

    fn evidence(claimed: SubjectId, one_in: f64) -> Evidence {
        let score = Fmr::new(1.0 / one_in).unwrap().score();
        Evidence::Verification { claimed, enrolled: true, impressions: 1, score }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::try_from(text.to_owned()).unwrap()
    }

    fn office() -> Policy {
        let hours = vec!["mon-fri 07:00-19:00 +00:00".parse().unwrap()];
        Policy::default().restricted(&Restriction { hours, ..Restriction::default() })
    }

    const ONE: Presented = Presented { fingers: 1, pin: false, wrong_pin: false, among: None };

    fn judged_as(policy: Policy, moment: &str, presented: Presented, evidence: &Evidence) -> Decision {
        let of = |_| policy.clone();
        let now = at(moment);
        let (told, stands) = (Policy::default(), |_| State::Active);
        judge(&Circumstances { told: &told, of: &of, stands: &stands, now, presented }, evidence).decision
    }

    #[test]
    fn whom_the_directory_does_not_let_in_is_refused_after_a_match_by_whatever_he_brings() {
        let ada = SubjectId::random();
        let told = Policy::default();
        let score = Fmr::new(1e-5).unwrap().score();
        let judged = |state: State, presented: Presented, evidence: &Evidence| {
            let (of, stands) = (|_| Policy::default(), |_| state);
            let now = at(MONDAY);
            judge(&Circumstances { told: &told, of: &of, stands: &stands, now, presented }, evidence)
        };
        let closed = Decision::Refuse { reason: RefuseReason::AccountDisabled };
        for state in [State::Disabled, State::Expired, State::Gone] {
            for evidence in [
                evidence(ada, 1e5),
                Evidence::Identification { impressions: 1, candidates: vec![(ada, score)] },
                Evidence::Recovery { claimed: ada, right: true },
                Evidence::Grace { claimed: ada, over: false },
            ] {
                let verdict = judged(state, ONE, &evidence);
                assert_eq!((&verdict.decision, Some(verdict.why)), (&closed, state.why()), "{evidence:?}");
            }
            // It tells that the finger was right, so it counts as a failure; and to a wrong finger or PIN it is not told.
            assert!(judged(state, ONE, &evidence(ada, 1e5)).is_failure());
            let wrong = Decision::Refuse { reason: RefuseReason::NotMatched };
            assert_eq!(judged(state, ONE, &evidence(ada, 10.0)).decision, wrong);
            let typed = Presented { pin: true, wrong_pin: true, ..ONE };
            assert_eq!(judged(state, typed, &evidence(ada, 1e5)).decision, wrong);
        }
        assert_eq!(
            judged(State::Active, ONE, &evidence(ada, 1e5)).decision,
            Decision::Accept { subject: ada }
        );
    }

    #[test]
    fn who_needs_two_fingers_or_a_pin_is_told_after_a_match_only_and_a_wrong_pin_is_a_wrong_finger() {
        let ada = SubjectId::random();
        let more = Restriction { fingers: Some(2), ..Restriction::default() };
        let pin = Restriction { pin: Some(true), ..Restriction::default() };
        let decided =
            |policy, presented, one_in| judged_as(policy, MONDAY, presented, &evidence(ada, one_in));
        let refused = |reason| Decision::Refuse { reason };
        let two = Policy::default().restricted(&more);
        assert_eq!(decided(two.clone(), ONE, 1e5), refused(RefuseReason::FingersRequired { fingers: 2 }));
        assert_eq!(decided(two.clone(), ONE, 10.0), refused(RefuseReason::NotMatched));
        let both = Presented { fingers: 2, ..ONE };
        assert_eq!(decided(two, both, 1e5), Decision::Accept { subject: ada });

        let known = Policy::default().restricted(&pin);
        let typed = |wrong_pin| Presented { pin: true, wrong_pin, ..ONE };
        assert_eq!(decided(known.clone(), ONE, 1e5), refused(RefuseReason::PinRequired));
        assert_eq!(decided(known.clone(), ONE, 10.0), refused(RefuseReason::NotMatched));
        assert_eq!(decided(known.clone(), typed(true), 1e5), refused(RefuseReason::NotMatched));
        assert_eq!(decided(known.clone(), typed(false), 10.0), refused(RefuseReason::NotMatched));
        assert_eq!(decided(known, typed(false), 1e5), Decision::Accept { subject: ada });
        // Also where none is needed: what is said has to be right.
        assert_eq!(decided(Policy::default(), typed(true), 1e5), refused(RefuseReason::NotMatched));
    }

    const MONDAY: &str = "2026-11-23T12:00:00Z";
    const SUNDAY: &str = "2026-11-22T12:00:00Z";

    #[test]
    fn outside_its_hours_a_right_finger_is_told_so_and_a_wrong_one_learns_nothing() {
        let ada = SubjectId::random();
        let judged = |one_in, moment| judged_as(office(), moment, ONE, &evidence(ada, one_in));
        assert_eq!(judged(1e5, MONDAY), Decision::Accept { subject: ada });
        assert_eq!(judged(1e5, SUNDAY), Decision::Refuse { reason: RefuseReason::OutsideHours });
        assert_eq!(judged(10.0, SUNDAY), Decision::Refuse { reason: RefuseReason::NotMatched });
    }

    #[test]
    fn every_restriction_has_to_admit_the_hour() {
        let evening = vec!["mon-fri 17:00-23:00 +00:00".parse().unwrap()];
        let both = office().restricted(&Restriction { hours: evening, ..Restriction::default() });
        assert_eq!(Bar::of(&both, at("2026-11-23T18:00:00Z"), &ONE), None);
        for moment in ["2026-11-23T12:00:00Z", "2026-11-23T20:00:00Z"] {
            assert_eq!(Bar::of(&both, at(moment), &ONE), Some(Bar::OutsideHours), "{moment}");
        }
    }

    #[test]
    fn who_is_identified_is_held_to_his_own_policy() {
        let ada = SubjectId::random();
        let score = Fmr::new(1e-5).unwrap().score();
        let evidence = Evidence::Identification { impressions: 1, candidates: vec![(ada, score)] };
        let strict =
            Policy::default().restricted(&Restriction { verify_one_in: Some(1e6), ..Restriction::default() });
        let judged = |policy: Policy, moment| judged_as(policy, moment, ONE, &evidence);
        assert_eq!(judged(Policy::default(), SUNDAY), Decision::Accept { subject: ada });
        assert!(matches!(judged(strict, SUNDAY), Decision::Refuse { .. }));
        assert_eq!(judged(office(), SUNDAY), Decision::Refuse { reason: RefuseReason::OutsideHours });
    }

    #[test]
    fn too_large_a_gallery_bars_an_identification_and_one_too_large_for_a_group_tells_nobody_who_is_in_it() {
        let all = Policy::default().largest_gallery() / 10;
        let rare = Restriction { identify_one_in: Some(1e5), ..Restriction::default() };
        let group = Policy::default().restricted(&rare);
        let among = |all| Presented { among: Some(all), ..ONE };
        assert_eq!(Bar::of(&Policy::default(), at(MONDAY), &among(all)), None);
        let too_large = Bar::GalleryTooLarge { presented: 1, enough: Some(2) };
        assert_eq!(Bar::of(&group, at(MONDAY), &among(all)), Some(too_large));
        let two = Presented { fingers: 2, ..among(all) };
        assert_eq!(Bar::of(&group, at(MONDAY), &two), None, "two fingers tell them apart");
        let most = Policy::default().largest_gallery_of_two(&Policy::default().fewest_enrolled());
        let more = Presented { fingers: 2, ..among(most + 1) };
        let too_large = Bar::GalleryTooLarge { presented: 2, enough: None };
        assert_eq!(Bar::of(&Policy::default(), at(MONDAY), &more), Some(too_large));
        assert_eq!(Bar::of(&group, at(MONDAY), &ONE), None, "who is claimed is not searched for");

        let candidates = vec![(SubjectId::random(), Fmr::new(1e-9).unwrap().score())];
        let evidence = Evidence::Identification { impressions: all, candidates };
        let of = |_| group.clone();
        let told = Policy::default();
        let (stands, presented) = (|_| State::Active, among(all));
        let circumstances =
            Circumstances { told: &told, of: &of, stands: &stands, now: at(MONDAY), presented };
        let verdict = judge(&circumstances, &evidence);
        assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
        assert!(verdict.is_failure() && verdict.score.is_some(), "{verdict:?}");
    }
}
