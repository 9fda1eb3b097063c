//! Two fingers in one search: who may be meant, and what both samples are like beside each finger of theirs.
//!
//! Whoever has one finger that either search finds is compared with both samples, so that a finger which its own search
//! ranks badly, or misses, is found all the same. Invariant: who is compared depends on ranks and not on scores, and it is
//! about as much in each case: the time of that tells nobody that one of the fingers was right. The time of both searches
//! together does not tell which; a search of more than 13,000 impressions that ends early may tell that one was.

use std::collections::{BTreeMap, BTreeSet};

use authenteon_matcher::{
    Prepared, Score, compare,
    search::{Candidate, Gallery},
};

use crate::{
    gallery,
    policy::{Compared, Evidence, Pair},
    services::FingerKey,
    subject::{FingerPosition, SubjectId},
};

/// Fingers that each search gives: enough for somebody both of whose fingers rank badly to be in both lists, and few enough
/// not to be what a search takes long for.
const LISTED: usize = 24;
/// The rank of who is not in a list: behind everybody who is in both.
const ABSENT: usize = 4 * LISTED;
/// People who are compared at most.
const COMPARED: usize = 8;
/// Impressions after which nobody else is: those of five people with two fingers. Each takes half a millisecond for both
/// samples, since it is prepared for each of them.
const ENOUGH: usize = 30;
/// People who are compared at least, however many impressions they have: the first of each list, and of both together.
const FEWEST: usize = 3;

/// Searches for both, and compares them with who may be meant and with each other.
pub(super) fn evidence(gallery: &Gallery<FingerKey>, probes: [&Prepared; 2]) -> Evidence {
    let lists = probes.map(|probe| gallery::search(gallery, probe, LISTED));
    let pairs = pairs(gallery, &lists, probes);
    Evidence::TwoFingers { impressions: gallery.impressions(), between: between(probes), pairs }
}

/// Of everybody who may be meant when the searches have found these.
fn pairs(
    gallery: &Gallery<FingerKey>,
    lists: &[Vec<Candidate<FingerKey>>],
    probes: [&Prepared; 2],
) -> Vec<Pair> {
    let (mut pairs, mut people, mut impressions) = (Vec::new(), 0, 0);
    for subject in likely(lists) {
        if people >= FEWEST && impressions >= ENOUGH {
            break;
        }
        let fingers = beside(gallery, subject, probes);
        people += 1;
        impressions += fingers.iter().map(|finger| finger.impressions).sum::<usize>();
        pairs.extend(Pair::of(subject, &fingers));
    }
    pairs
}

/// How alike two samples are to each other, whichever came first.
fn between([one, other]: [&Prepared; 2]) -> Score {
    let (there, back) = (compare(one, other), compare(other, one));
    if back > there { back } else { there }
}

/// Both samples beside the fingers of one person.
fn beside(gallery: &Gallery<FingerKey>, subject: SubjectId, probes: [&Prepared; 2]) -> Vec<Compared> {
    let fingers = FingerPosition::ALL.iter().filter_map(|position| {
        let finger = gallery.get(&(subject, *position))?;
        let scores = probes.map(|probe| finger.compare(probe));
        Some(Compared { position: *position, impressions: finger.impressions(), scores })
    });
    fingers.collect()
}

/// Who may be meant: in turns whoever ranks best in one of the lists, and best in all of them together.
fn likely(lists: &[Vec<Candidate<FingerKey>>]) -> Vec<SubjectId> {
    let mut ranks: BTreeMap<SubjectId, Vec<usize>> = BTreeMap::new();
    for (at, list) in lists.iter().enumerate() {
        for (rank, candidate) in list.iter().enumerate() {
            let of = ranks.entry(candidate.key.0).or_insert_with(|| vec![ABSENT; lists.len()]);
            // The best of the person's fingers.
            if let Some(best) = of.get_mut(at) {
                *best = rank.min(*best);
            }
        }
    }
    let by = |worth: fn(&[usize]) -> usize| {
        let mut order: Vec<SubjectId> = ranks.keys().copied().collect();
        // What is equal stays in the order of the ids.
        order.sort_by_key(|subject| ranks.get(subject).map(|ranks| worth(ranks)));
        order
    };
    let in_one = by(|ranks| ranks.iter().copied().min().unwrap_or(ABSENT));
    let in_all = by(|ranks| ranks.iter().sum());
    let mut named = BTreeSet::new();
    let both = in_one.into_iter().zip(in_all).flat_map(<[SubjectId; 2]>::from);
    both.filter(|subject| named.insert(*subject)).take(COMPARED).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod work;
