//! The decision: a pure function of policy and evidence.

use authenteon_matcher::Score;

use super::{Bar, Pair, Policy, Replay, pairs::decide_on_pairs};
use crate::subject::SubjectId;

/// What is known when it is time to decide.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// The probe was compared with the finger of one subject, or with a stand-in when there is none.
    Verification {
        /// Who is claimed.
        claimed: SubjectId,
        /// Whether that subject is enrolled.
        enrolled: bool,
        /// Impressions compared with, over all fingers of that subject.
        impressions: usize,
        /// The best score among them.
        score: Score,
    },
    /// The probe was compared with everybody's.
    Identification {
        /// Impressions searched.
        impressions: usize,
        /// Best score of the best subjects, best first.
        candidates: Vec<(SubjectId, Score)>,
    },
    /// Two probes were compared with everybody's.
    TwoFingers {
        /// Impressions searched.
        impressions: usize,
        /// How alike they are to each other.
        between: Score,
        /// Who may be meant, each compared with both finger by finger.
        pairs: Vec<Pair>,
    },
    /// Nothing was looked at.
    Barred(Bar),
    /// A code that an officer gave stands for the finger.
    Recovery {
        /// Who is claimed.
        claimed: SubjectId,
        /// Whether it is his, and good now.
        right: bool,
    },
    /// A code that an accept a moment ago gave stands for the finger.
    OneTimeCode {
        /// Who is claimed.
        claimed: SubjectId,
        /// Whether it is his, and good now.
        right: bool,
    },
    /// Nothing, but an accept a moment ago.
    Grace {
        /// Who is claimed.
        claimed: SubjectId,
        /// Whether it was long ago, or never.
        over: bool,
    },
    /// It came before.
    Replay(Replay),
    /// The finger was not usable.
    Unusable {
        /// What the person can do.
        hint: &'static str,
    },
}

/// What the caller learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is this subject.
    Accept {
        /// Who.
        subject: SubjectId,
    },
    /// It is not, or cannot be said.
    Refuse {
        /// As much of the reason as a caller may know.
        reason: RefuseReason,
    },
    /// Try again.
    Retry {
        /// What the person can do.
        hint: &'static str,
    },
}

/// Why, in public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseReason {
    /// The finger is not that of the subject, or nobody's, or the subject does not exist.
    NotMatched,
    /// So many are enrolled that what was presented does not tell them apart safely.
    GalleryTooLarge {
        /// How many different fingers would; none: the identity has to be asked for.
        fingers: Option<u8>,
    },
    /// The same sample was presented before.
    Replay,
    /// There were too many failures before: whatever is presented is refused for so long.
    LockedOut {
        /// Whole seconds.
        retry_after_s: u32,
    },
    /// Nobody is accepted at this hour, or this one is not.
    OutsideHours,
    /// Impressions of so many different fingers are needed.
    FingersRequired {
        /// How many.
        fingers: u8,
    },
    /// A PIN is needed too.
    PinRequired,
    /// The grace period is over, or there is none.
    FingerRequired,
    /// The account in the directory is disabled, over, or gone.
    AccountDisabled,
}

impl RefuseReason {
    /// The word that the API uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotMatched => "not-matched",
            Self::GalleryTooLarge { .. } => "gallery-too-large",
            Self::Replay => "replay",
            Self::LockedOut { .. } => "locked-out",
            Self::OutsideHours => "outside-hours",
            Self::FingersRequired { .. } => "fingers-required",
            Self::PinRequired => "pin-required",
            Self::FingerRequired => "finger-required",
            Self::AccountDisabled => "account-disabled",
        }
    }
}

/// The decision, and why in full: that is for the audit alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What the caller learns.
    pub decision: Decision,
    /// The reason in full.
    pub why: &'static str,
    /// The score that decided.
    pub score: Option<Score>,
    /// The score that was needed.
    pub needed: Option<Score>,
}

/// Why there was an accept without anything new.
const WITHIN_GRACE: &str = "within the grace period";

impl Verdict {
    /// The refusal that a bar makes of any verdict. What the verdict rests on stays, for the audit.
    #[must_use]
    pub fn barred(self, bar: &Bar) -> Self {
        Self { decision: Decision::Refuse { reason: bar.reason() }, why: bar.why(), ..self }
    }

    /// Whether the person has proved himself anew, which takes failures away.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.decision, Decision::Accept { .. }) && self.why != WITHIN_GRACE
    }

    /// Whether it counts against who tried. What bars an attempt after a match does: it tells that the finger was right,
    /// and whoever tries copies of fingers is not to learn that for nothing.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self.decision {
            Decision::Accept { .. } | Decision::Retry { .. } => false,
            Decision::Refuse { reason } => match reason {
                RefuseReason::GalleryTooLarge { .. }
                | RefuseReason::LockedOut { .. }
                | RefuseReason::FingerRequired => false,
                RefuseReason::OutsideHours
                | RefuseReason::FingersRequired { .. }
                | RefuseReason::PinRequired
                | RefuseReason::AccountDisabled => self.score.is_some(),
                RefuseReason::NotMatched | RefuseReason::Replay => true,
            },
        }
    }
}

/// Decides.
#[must_use]
pub fn decide(policy: &Policy, evidence: &Evidence) -> Verdict {
    let refuse =
        |reason, why, score, needed| Verdict { decision: Decision::Refuse { reason }, why, score, needed };
    match evidence {
        Evidence::Recovery { claimed, right: true } => Verdict {
            decision: Decision::Accept { subject: *claimed },
            why: "recovery code",
            score: None,
            needed: None,
        },
        Evidence::Recovery { right: false, .. } => {
            refuse(RefuseReason::NotMatched, "wrong recovery code", None, None)
        }
        Evidence::OneTimeCode { claimed, right: true } => Verdict {
            decision: Decision::Accept { subject: *claimed },
            why: "one-time code",
            score: None,
            needed: None,
        },
        Evidence::OneTimeCode { right: false, .. } => {
            refuse(RefuseReason::NotMatched, "wrong one-time code", None, None)
        }
        Evidence::Grace { claimed, over: false } => Verdict {
            decision: Decision::Accept { subject: *claimed },
            why: WITHIN_GRACE,
            score: None,
            needed: None,
        },
        Evidence::Grace { over: true, .. } => {
            refuse(RefuseReason::FingerRequired, "no grace period", None, None)
        }
        Evidence::Barred(bar) => refuse(bar.reason(), bar.why(), None, None),
        Evidence::Replay(replay) => refuse(RefuseReason::Replay, replay.why(), None, None),
        Evidence::Unusable { hint } => {
            Verdict { decision: Decision::Retry { hint }, why: "unusable sample", score: None, needed: None }
        }
        Evidence::Verification { claimed, enrolled, impressions, score } => {
            let needed = policy.verification_fmr(*impressions).score();
            match (enrolled, *score >= needed) {
                (true, true) => Verdict {
                    decision: Decision::Accept { subject: *claimed },
                    why: "matched",
                    score: Some(*score),
                    needed: Some(needed),
                },
                (true, false) => refuse(RefuseReason::NotMatched, "not matched", Some(*score), Some(needed)),
                (false, _) => refuse(RefuseReason::NotMatched, "not enrolled", Some(*score), Some(needed)),
            }
        }
        Evidence::Identification { impressions, candidates } => {
            let Some(fmr) = policy.identification_fmr(*impressions) else {
                let fingers = policy.fingers_to_identify(*impressions);
                let reason = RefuseReason::GalleryTooLarge { fingers };
                return refuse(reason, "gallery too large for one finger", None, None);
            };
            let needed = fmr.score();
            let passing = |at: usize| candidates.get(at).filter(|(_, score)| *score >= needed);
            match (passing(0), passing(1)) {
                (Some((subject, score)), None) => Verdict {
                    decision: Decision::Accept { subject: *subject },
                    why: "matched",
                    score: Some(*score),
                    needed: Some(needed),
                },
                (Some((_, score)), Some(_)) => {
                    refuse(RefuseReason::NotMatched, "several subjects match", Some(*score), Some(needed))
                }
                (None, _) => {
                    let best = candidates.first().map(|(_, score)| *score);
                    refuse(RefuseReason::NotMatched, "nobody matches", best, Some(needed))
                }
            }
        }
        Evidence::TwoFingers { impressions, between, pairs } => {
            decide_on_pairs(policy, *impressions, *between, pairs)
        }
    }
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::Fmr;
    use proptest::prelude::*;

    use super::*;

    fn score(value: f64) -> Score {
        Fmr::new(10_f64.powf(-value / 10.0)).unwrap().score()
    }

    fn verification(enrolled: bool, value: f64) -> (SubjectId, Verdict) {
        verification_among(1, enrolled, value)
    }

    fn verification_among(impressions: usize, enrolled: bool, value: f64) -> (SubjectId, Verdict) {
        let claimed = SubjectId::random();
        let evidence = Evidence::Verification { claimed, enrolled, impressions, score: score(value) };
        (claimed, decide(&Policy::default(), &evidence))
    }

    #[test]
    fn who_has_ten_impressions_enrolled_is_not_ten_times_as_easy_to_pass_for() {
        let (_, one) = verification_among(1, true, 45.0);
        let (_, ten) = verification_among(10, true, 45.0);
        assert!(matches!(one.decision, Decision::Accept { .. }));
        assert_eq!(ten.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
        let (_, ten) = verification_among(10, true, 50.001);
        assert!(matches!(ten.decision, Decision::Accept { .. }));
    }

    #[test]
    fn a_score_at_the_threshold_is_accepted_and_one_below_is_not() {
        let (claimed, verdict) = verification(true, 40.001);
        assert_eq!(verdict.decision, Decision::Accept { subject: claimed });
        let (_, verdict) = verification(true, 39.9);
        assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
    }

    #[test]
    fn somebody_not_enrolled_gets_the_answer_of_a_wrong_finger_whatever_the_score() {
        let (_, wrong) = verification(true, 10.0);
        let (_, unknown) = verification(false, 99.0);
        assert_eq!(wrong.decision, unknown.decision);
        assert_ne!(wrong.why, unknown.why);
    }

    #[test]
    fn two_subjects_that_both_match_are_neither() {
        let candidates = vec![(SubjectId::random(), score(80.0)), (SubjectId::random(), score(70.0))];
        let verdict = decide(&Policy::default(), &Evidence::Identification { impressions: 6, candidates });
        assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
        assert_eq!(verdict.why, "several subjects match");
    }

    #[test]
    fn a_gallery_beyond_the_calibration_is_refused_and_said_so() {
        let candidates = vec![(SubjectId::random(), score(99.0))];
        let verdict = decide(
            &Policy::default(),
            &Evidence::Identification { impressions: Policy::default().largest_gallery() + 1, candidates },
        );
        let reason = RefuseReason::GalleryTooLarge { fingers: Some(2) };
        assert_eq!(verdict.decision, Decision::Refuse { reason });
    }

    proptest! {
        #[test]
        fn a_higher_score_never_turns_an_accept_into_a_refusal(low in 0.0..99.0_f64, more in 0.0..50.0_f64, n in 1_usize..100) {
            let subject = SubjectId::random();
            let decided = |value| {
                let candidates = vec![(subject, score(value))];
                decide(&Policy::default(), &Evidence::Identification { impressions: n, candidates }).decision
            };
            if decided(low) == (Decision::Accept { subject }) {
                prop_assert_eq!(decided(low + more), Decision::Accept { subject });
            }
        }
    }
}
