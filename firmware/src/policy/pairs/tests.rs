//! The laws of two fingers, and what a stranger's chances come to.

use proptest::prelude::*;

use super::*;
use crate::policy::{Bound, Fpir};

fn score(value: f64) -> Score {
    Fmr::new(10_f64.powf(-value / 10.0)).unwrap().score()
}

/// Fingers of one person, from the thumb on: impressions of each, and its scores with both samples.
fn compared(fingers: &[(usize, f64, f64)]) -> Vec<Compared> {
    let positions = FingerPosition::ALL.iter().zip(fingers);
    positions
        .map(|(position, (impressions, a, b))| Compared {
            position: *position,
            impressions: *impressions,
            scores: [score(*a), score(*b)],
        })
        .collect()
}

fn pair(fingers: &[(usize, f64, f64)]) -> Option<Pair> {
    Pair::of(SubjectId::from_bytes([7; 16]), &compared(fingers))
}

/// Among this many, of samples that are not alike.
fn decided(impressions: usize, pairs: &[Pair]) -> Verdict {
    decide_on_pairs(&Policy::default(), impressions, Score::ZERO, pairs)
}

fn is_accept(verdict: &Verdict) -> bool {
    matches!(verdict.decision, Decision::Accept { .. })
}

fn fingers() -> impl Strategy<Value = Vec<(usize, f64, f64)>> {
    prop::collection::vec((1_usize..5, 0.0..90.0_f64, 0.0..90.0_f64), 0..10)
}

#[test]
fn two_right_fingers_are_their_person_and_one_right_one_is_nobody() {
    let right = pair(&[(3, 70.0, 2.0), (3, 3.0, 65.0), (3, 1.0, 1.0)]).unwrap();
    assert_eq!(right.fingers, [FingerPosition::RightThumb, FingerPosition::RightIndex]);
    let verdict = decided(1000, &[right]);
    assert_eq!(verdict.decision, Decision::Accept { subject: right.subject });
    assert_eq!(verdict.score, Some(score(65.0)));
    for one in [[(3, 70.0, 2.0), (3, 3.0, 12.0)], [(3, 12.0, 2.0), (3, 3.0, 70.0)]] {
        let verdict = decided(1000, &[pair(&one).unwrap()]);
        assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
        assert_eq!(verdict.why, "nobody matches");
    }
    assert_eq!(pair(&[(3, 70.0, 65.0)]), None, "who has one finger has no two");
}

#[test]
fn one_finger_twice_is_not_two_even_where_it_is_enrolled_twice() {
    let twice = pair(&[(3, 80.0, 75.0), (3, 8.0, 9.0)]).unwrap();
    assert!(!is_accept(&decided(10, &[twice])), "two impressions of one enrolled finger");
    let enrolled_twice = pair(&[(3, 80.0, 75.0), (3, 78.0, 79.0)]).unwrap();
    let verdict = decide_on_pairs(&Policy::default(), 10, score(60.0), &[enrolled_twice]);
    assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::FingersRequired { fingers: 2 } });
    assert!(!verdict.is_failure(), "nothing was learned of anybody");
}

#[test]
fn two_persons_who_both_pass_are_neither_and_who_passes_has_to_be_the_one_who_is_most_alike() {
    let of = |subject, value: f64, enrolled: &[usize]| {
        let fingers: Vec<_> = enrolled.iter().map(|n| (*n, value, value)).collect();
        Pair::of(subject, &compared(&fingers)).unwrap()
    };
    let (ada, bob) = (SubjectId::random(), SubjectId::random());
    let both = decided(1000, &[of(ada, 80.0, &[3, 3]), of(bob, 60.0, &[3, 3])]);
    assert_eq!(both.why, "several subjects match");
    // Among so many, ten fingers have to be more alike than two.
    let two = Policy::default().largest_gallery_of_two(&Enrolled::of([3; 2]));
    let needed = |n| Policy::default().pair_fmr(two / 12, &Enrolled::of(vec![3; n])).unwrap().score().get();
    assert!(needed(10) > needed(2) + 1.0);
    let (low, high) = (needed(2) + 0.3, needed(2) + 0.6);
    let verdict = decided(two / 12, &[of(ada, low, &[3, 3]), of(bob, high, &[3; 10])]);
    assert_eq!(verdict.why, "another subject is more alike than the one that matches");
    let verdict = decided(two / 2, &[of(bob, 99.0, &[3; 10])]);
    assert_eq!(verdict.decision, Decision::Refuse { reason: RefuseReason::NotMatched });
    assert_eq!(verdict.why, "gallery too large for as many fingers as the subject has");
}

#[test]
fn what_is_too_large_for_one_finger_is_not_for_two_until_it_is_for_both() {
    for bound in [Bound::Upper, Bound::Point] {
        let policy = Policy { bound, ..Policy::default() };
        let (one, two) = (policy.largest_gallery(), policy.largest_gallery_of_two(&policy.fewest_enrolled()));
        let enough = [one, one + 1, two, two + 1].map(|all| policy.fingers_to_identify(all));
        assert_eq!(enough, [Some(1), Some(2), Some(2), None]);
    }
    let rare = Policy { verify: Fmr::new(1e-6).unwrap(), ..Policy::default() };
    assert_eq!((rare.fingers_to_identify(0), rare.largest_gallery()), (None, 0), "beyond the calibration");
}

/// Numbers that look like chance, the same each time.
struct Chance(u64);

impl Chance {
    /// In units in which one comparison in e^x reaches x.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        -(((self.0 >> 11) as f64 + 1.0) / 2_f64.powi(53)).ln()
    }

    /// A stranger beside a person: each score is one impostor's, and any two reach something at the power [`TOGETHER`] of
    /// the rate of one (Marshall and Olkin's exponentials, with a common cause).
    fn beside(&mut self, subject: SubjectId, fingers: &[usize]) -> Option<Pair> {
        let common = self.next() / (2.0 - TOGETHER);
        let mut best_of = |impressions: usize| {
            let all = (0..impressions).map(|_| (self.next() / (TOGETHER - 1.0)).min(common));
            Fmr::new((-all.fold(0.0, f64::max)).exp()).unwrap().score()
        };
        let positions = FingerPosition::ALL.iter().zip(fingers);
        let compared: Vec<Compared> = positions
            .map(|(position, impressions)| Compared {
                position: *position,
                impressions: *impressions,
                scores: [best_of(*impressions), best_of(*impressions)],
            })
            .collect();
        Pair::of(subject, &compared)
    }
}

#[test]
fn strangers_whose_fingers_err_together_as_was_measured_pass_no_more_often_than_the_policy_says() {
    let policy = Policy {
        identify: Fpir::new(0.05).unwrap(),
        verify: Fmr::new(1.0).unwrap(),
        bound: Bound::Point,
        ..Policy::default()
    };
    // Persons with two fingers, with three and with ten, among each other.
    let gallery: Vec<(SubjectId, Vec<usize>)> =
        (0..12).map(|n| (SubjectId::from_bytes([n; 16]), vec![3; [2, 3, 10][usize::from(n) % 3]])).collect();
    let all = gallery.iter().flat_map(|(_, fingers)| fingers).sum();
    let (mut chance, mut passed, searches) = (Chance(7), 0, 20_000);
    for _ in 0..searches {
        let pairs: Vec<Pair> =
            gallery.iter().filter_map(|(subject, fingers)| chance.beside(*subject, fingers)).collect();
        passed += u32::from(is_accept(&decide_on_pairs(&policy, all, Score::ZERO, &pairs)));
    }
    let rate = f64::from(passed) / f64::from(searches);
    assert!((0.005..0.05).contains(&rate), "{rate}: neither more than was said, nor next to nobody");
}

proptest! {
    #[test]
    fn the_order_of_the_samples_does_not_matter(fingers in fingers(), all in 0_usize..100_000) {
        let swapped: Vec<_> = fingers.iter().map(|(n, a, b)| (*n, *b, *a)).collect();
        let (one, other) = (pair(&fingers), pair(&swapped));
        prop_assert_eq!(one.map(|p| p.score), other.map(|p| p.score));
        let decision = |pair: Option<Pair>| decided(all, pair.as_slice()).decision;
        prop_assert_eq!(decision(one), decision(other));
    }

    #[test]
    fn a_person_is_worth_the_lower_score_of_the_best_two_different_fingers(fingers in fingers()) {
        let mut best: Option<f64> = None;
        for (i, one) in fingers.iter().enumerate() {
            for (j, other) in fingers.iter().enumerate().filter(|(j, _)| *j != i) {
                let lower = score(one.1).get().min(score(other.2).get());
                prop_assert_ne!(i, j);
                best = Some(best.map_or(lower, |best| best.max(lower)));
            }
        }
        let pair = pair(&fingers);
        prop_assert_eq!(pair.map(|p| p.score.get()), best);
        prop_assert!(pair.is_none_or(|p| p.fingers[0] != p.fingers[1]));
    }

    #[test]
    fn who_is_accepted_is_so_with_more_likeness_too(
        fingers in fingers(), all in 0_usize..100_000,
        at in any::<prop::sample::Index>(), more in (0.0..50.0_f64, 0.0..50.0_f64),
    ) {
        prop_assume!(!fingers.is_empty());
        let mut alike = fingers.clone();
        let finger = at.index(alike.len());
        alike[finger].1 += more.0;
        alike[finger].2 += more.1;
        let decision = |fingers: &[_]| decided(all, pair(fingers).as_slice());
        prop_assert!(!is_accept(&decision(&fingers)) || is_accept(&decision(&alike)));
    }

    #[test]
    fn one_finger_that_both_samples_are_like_is_never_enough(
        others in fingers(), both in (0.0..300.0_f64, 0.0..300.0_f64), all in 0_usize..100_000,
    ) {
        // No other finger is like either of them.
        let mut fingers: Vec<_> = others.iter().map(|(n, a, b)| (*n, a / 3.0, b / 3.0)).collect();
        fingers.truncate(9);
        fingers.push((3, both.0, both.1));
        prop_assert!(!is_accept(&decided(all, pair(&fingers).as_slice())));
    }

    #[test]
    fn samples_that_are_like_each_other_are_never_enough(fingers in fingers(), between in 30.001..300.0_f64) {
        let verdict = decide_on_pairs(&Policy::default(), 10, score(between), pair(&fingers).as_slice());
        prop_assert!(!is_accept(&verdict));
    }

    #[test]
    fn more_fingers_or_a_larger_gallery_never_need_less(
        enrolled in prop::collection::vec(1_usize..11, 2..10), more in 1_usize..11, all in 0_usize..1_000_000,
        point in any::<bool>(),
    ) {
        let bound = if point { Bound::Point } else { Bound::Upper };
        let policy = Policy { bound, ..Policy::default() };
        let needed = |all, of: &[usize]| policy.pair_fmr(all, &Enrolled::of(of.iter().copied()));
        let more: Vec<usize> = enrolled.iter().copied().chain([more]).collect();
        if let Some(now) = needed(all, &more) {
            prop_assert!(needed(all / 2, &more).is_some_and(|smaller| smaller >= now));
            prop_assert!(now <= policy.verify && now >= CALIBRATED_FMR_FLOOR);
        }
    }

    #[test]
    fn what_all_pairings_come_to_is_no_more_than_the_policy_says(
        gallery in prop::collection::vec(prop::collection::vec(1_usize..11, 2..=10), 1..40), one_in in 1.0..1e6_f64,
    ) {
        let policy = Policy { identify: Fpir::new(1.0 / one_in).unwrap(), ..Policy::default() };
        let all = gallery.iter().flatten().sum();
        let mut sum = 0.0;
        for fingers in &gallery {
            let person = Enrolled::of(fingers.iter().copied());
            if let Some(each) = policy.pair_fmr(all, &person) {
                sum += person.pairings as f64 * each.upper().get().powf(TOGETHER);
            }
        }
        prop_assert!(sum <= policy.identify.get() * (1.0 + 1e-6), "{}", sum);
    }
}
