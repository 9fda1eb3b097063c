//! Two fingers among people whose fingers are drawn by chance.

use authenteon_matcher::{Fmr, Minutia, MinutiaKind, Template, search::Finger};

use super::*;
use crate::policy::{Decision, Policy, decide};

pub(super) fn template(seed: u32) -> Template {
    let minutia = |n: u32| {
        let spread = |step: u32, range: u32| ((n + 1) * step * (seed * 2 + 3) % range) as u16;
        let (x, y, angle) = (500 + spread(977, 2800), 500 + spread(1409, 3000), spread(89, 256) as u8);
        Minutia { x, y, angle, kind: MinutiaKind::Ending, quality: 80 }
    };
    Template::from_minutiae(400, 400, (0..40).map(minutia).collect()).unwrap()
}

pub(super) fn probe(seed: u32) -> Prepared {
    Prepared::new(&template(seed))
}

pub(super) fn id(n: u8) -> SubjectId {
    SubjectId::from_bytes([n; 16])
}

/// Everybody has two fingers: person n those of the seeds 2 n and 2 n + 1.
fn gallery(people: u8) -> Gallery<FingerKey> {
    let mut gallery = Gallery::new();
    for n in 0..people {
        for (position, seed) in [(FingerPosition::LeftThumb, 0), (FingerPosition::RightIndex, 1)] {
            let finger = Finger::new(&[template(2 * u32::from(n) + seed)]);
            gallery.insert((id(n), position), finger);
        }
    }
    gallery
}

fn decision(pairs: Vec<Pair>, between: Score) -> Decision {
    decide(&Policy::default(), &Evidence::TwoFingers { impressions: 40, between, pairs }).decision
}

#[test]
fn two_fingers_of_one_person_are_found_and_of_two_persons_not() {
    let gallery = gallery(20);
    let decided = |one, other| {
        let evidence = evidence(&gallery, [&probe(one), &probe(other)]);
        decide(&Policy::default(), &evidence).decision
    };
    assert_eq!(decided(14, 15), Decision::Accept { subject: id(7) });
    assert_eq!(decided(15, 14), Decision::Accept { subject: id(7) });
    assert!(matches!(decided(14, 17), Decision::Refuse { .. }), "one finger of each of two persons");
    assert!(matches!(decided(14, 99), Decision::Refuse { .. }), "and one of nobody");
    assert!(matches!(decided(14, 14), Decision::Refuse { .. }), "one finger twice");
}

#[test]
fn a_finger_that_its_own_search_misses_is_found_by_the_other_one_s() {
    let gallery = gallery(20);
    let (one, other) = (probe(14), probe(15));
    let mut lists = gallery.search_each(&[&one, &other], LISTED);
    assert_eq!(lists[1][0].key.0, id(7));
    lists[1].retain(|candidate| candidate.key.0 != id(7));
    let pairs = pairs(&gallery, &lists, [&one, &other]);
    assert_eq!(decision(pairs, Score::ZERO), Decision::Accept { subject: id(7) });
}

#[test]
fn who_is_first_in_one_list_or_far_down_in_both_is_looked_at_and_so_are_as_many_whoever_it_is() {
    let score = Fmr::new(0.1).unwrap().score();
    let candidate = |n| Candidate { key: (id(n), FingerPosition::LeftThumb), score, standing: 0.0 };
    // Persons 0 to 29 in one list and 30 to 59 in the other; 100 far down in both, 101 on top of one.
    let mut one: Vec<_> = (0..30).map(candidate).collect();
    let mut other: Vec<_> = (30..60).map(candidate).collect();
    one.insert(25, candidate(100));
    other.insert(28, candidate(100));
    other.insert(0, candidate(101));
    let found = likely(&[one.clone(), other]);
    assert_eq!(found.len(), COMPARED);
    assert!(found.contains(&id(100)) && found.contains(&id(101)), "{found:?}");
    assert_eq!(likely(&[one, Vec::new()]).len(), COMPARED, "as many when one search finds nothing");
    assert!(likely(&[Vec::new(), Vec::new()]).is_empty());
}

#[test]
fn people_with_one_finger_are_nobody_s_pair() {
    let mut gallery = Gallery::new();
    gallery.insert((id(1), FingerPosition::LeftThumb), Finger::new(&[template(1)]));
    let evidence = evidence(&gallery, [&probe(1), &probe(2)]);
    assert!(matches!(&evidence, Evidence::TwoFingers { pairs, .. } if pairs.is_empty()), "{evidence:?}");
    assert!(matches!(decide(&Policy::default(), &evidence).decision, Decision::Refuse { .. }));
}
