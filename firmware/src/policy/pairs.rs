//! Identification by two fingers: how alike two samples are to two fingers of one person, and what that has to be worth.
//!
//! A stranger passes for a person when his samples match two different fingers of that person. Fingers of n and m
//! impressions give him n x m chances, and as many with the samples the other way round: these are the pairings. The
//! fingers of one person err together, so a pairing passes more often than at the square of the rate of one impression, and
//! it is that rate, as it holds with confidence, to a lower power ([`TOGETHER`]). The policy shares its FPIR among all
//! enrolled impressions: a person with n of N gets n / N of it, and each of his pairings the same part of that. Summed over
//! everybody it is the FPIR, however many fingers who has enrolled, and no more has to be known for it than N and what this
//! person has enrolled.
//!
//! Invariant: a finger counts once, for one of the samples; their order does not matter; a person who passes does not
//! cease to by being more alike. Samples that are of one finger are not of two, wherever it is enrolled.

use authenteon_matcher::{CALIBRATED_FMR_FLOOR, Fmr, Score};

use super::{Decision, Policy, RefuseReason, Verdict};
use crate::subject::{FingerPosition, SubjectId};

/// What power of the rate of one comparison the rate is at which two fingers of one person pass for two of another. It
/// would be 2 did they err independently; `docs/matching/calibration.md` says what was measured, and
/// `tests/tests/calibration.rs` measures it anew.
const TOGETHER: f64 = 5.0 / 3.0;

/// Fingers of one identification.
pub(crate) const MOST_TO_IDENTIFY: u8 = 2;

/// What a person has enrolled, as far as it says how many chances a stranger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    impressions: usize,
    pairings: usize,
}

impl Enrolled {
    /// So many impressions of each finger.
    #[must_use]
    pub fn of(fingers: impl IntoIterator<Item = usize>) -> Self {
        let fingers = fingers.into_iter();
        let (all, squares) = fingers.fold((0, 0), |(all, squares), n| (all + n, squares + n * n));
        Self { impressions: all, pairings: all * all - squares }
    }

    /// Pairings for each impression.
    fn chances(&self) -> f64 {
        (self.pairings as f64 / self.impressions.max(1) as f64).max(1.0)
    }
}

/// One finger of a person beside both samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Which finger.
    pub position: FingerPosition,
    /// Its impressions.
    pub impressions: usize,
    /// How alike it is to the one sample and to the other.
    pub scores: [Score; 2],
}

/// Both samples beside one person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Who.
    pub subject: SubjectId,
    /// The two different fingers that the samples are most like, in their order.
    pub fingers: [FingerPosition; 2],
    /// The lower of their scores: each of them has to pass.
    pub score: Score,
    /// What the person has enrolled.
    pub enrolled: Enrolled,
}

impl Pair {
    /// Of all fingers of a person; nothing when there are no two.
    #[must_use]
    pub fn of(subject: SubjectId, fingers: &[Compared]) -> Option<Self> {
        let enrolled = Enrolled::of(fingers.iter().map(|finger| finger.impressions));
        let mut best: Option<(Self, Score)> = None;
        for one in fingers {
            for other in fingers.iter().filter(|other| other.position != one.position) {
                let [a, b] = [one.scores[0], other.scores[1]];
                let (score, higher) = if b < a { (b, a) } else { (a, b) };
                let pair = Self { subject, fingers: [one.position, other.position], score, enrolled };
                let is_better = |(best, best_higher): &(Self, Score)| {
                    score > best.score || (score == best.score && higher > *best_higher)
                };
                if best.as_ref().is_none_or(is_better) {
                    best = Some((pair, higher));
                }
            }
        }
        best.map(|(pair, _)| pair)
    }

    /// The person who is most alike; of equal ones the first by id.
    #[must_use]
    pub fn best(pairs: &[Self]) -> Option<&Self> {
        let order =
            |a: &&Self, b: &&Self| a.score.get().total_cmp(&b.score.get()).then(b.subject.cmp(&a.subject));
        pairs.iter().max_by(order)
    }
}

impl Policy {
    /// The FMR that each of two fingers needs in an identification among `impressions` enrolled ones, to be taken for
    /// somebody who has enrolled this; `None` when the matcher is not calibrated that far.
    #[must_use]
    pub fn pair_fmr(&self, impressions: usize, of: &Enrolled) -> Option<Fmr> {
        if self.verify < CALIBRATED_FMR_FLOOR || impressions > self.largest_gallery_of_two(of) {
            return None;
        }
        let each = (self.identify.get() / (impressions.max(1) as f64 * of.chances())).powf(1.0 / TOGETHER);
        let needed = self.bound.claimed(Fmr::new(each.min(1.0))?);
        // Neither finger is asked less than one is, however small the gallery: so much holds even if the fingers of a person
        // err as one.
        let needed = if needed > self.verify { self.verify } else { needed };
        // At the largest gallery it may come out a hair below.
        Some(if needed < CALIBRATED_FMR_FLOOR { CALIBRATED_FMR_FLOOR } else { needed })
    }

    /// The largest number of enrolled impressions that two fingers of somebody who has enrolled this may be searched among.
    #[must_use]
    pub fn largest_gallery_of_two(&self, of: &Enrolled) -> usize {
        self.largest(self.bound.floor().get().powf(TOGETHER) * of.chances())
    }

    /// Who gives a stranger the fewest chances: somebody with two fingers, of as many impressions as an enrolment needs.
    #[must_use]
    pub fn fewest_enrolled(&self) -> Enrolled {
        Enrolled::of([self.impressions; 2])
    }

    /// How many different fingers tell somebody apart among so many impressions; `None`: the box does not.
    #[must_use]
    pub fn fingers_to_identify(&self, impressions: usize) -> Option<u8> {
        match self.identification_fmr(impressions) {
            Some(_) => Some(1),
            None => self.pair_fmr(impressions, &self.fewest_enrolled()).map(|_| MOST_TO_IDENTIFY),
        }
    }
}

/// Decides on two samples that were compared with everybody's fingers: `between` is how alike they are to each other.
pub(super) fn decide_on_pairs(
    policy: &Policy,
    impressions: usize,
    between: Score,
    pairs: &[Pair],
) -> Verdict {
    let refuse =
        |reason, why, score, needed| Verdict { decision: Decision::Refuse { reason }, why, score, needed };
    let enough = policy.fingers_to_identify(impressions);
    if enough.is_none() {
        let reason = RefuseReason::GalleryTooLarge { fingers: enough };
        return refuse(reason, "gallery too large for two fingers", None, None);
    }
    if between >= policy.enrol.score() {
        // It says nothing of anybody who is enrolled.
        let reason = RefuseReason::FingersRequired { fingers: MOST_TO_IDENTIFY };
        return refuse(reason, "one finger presented twice", None, None);
    }
    let needed = |pair: &Pair| policy.pair_fmr(impressions, &pair.enrolled).map(Fmr::score);
    let passes = |pair: &Pair| needed(pair).is_some_and(|needed| pair.score >= needed);
    let Some(best) = Pair::best(pairs) else {
        return refuse(RefuseReason::NotMatched, "nobody matches", None, None);
    };
    let others = pairs.iter().any(|pair| pair.subject != best.subject && passes(pair));
    let (score, needed) = (Some(best.score), needed(best));
    let why = match (passes(best), others) {
        (true, false) => {
            let decision = Decision::Accept { subject: best.subject };
            return Verdict { decision, why: "matched", score, needed };
        }
        (true, true) => "several subjects match",
        (false, true) => "another subject is more alike than the one that matches",
        (false, false) if needed.is_none() => "gallery too large for as many fingers as the subject has",
        (false, false) => "nobody matches",
    };
    refuse(RefuseReason::NotMatched, why, score, needed)
}

#[cfg(test)]
mod tests;
