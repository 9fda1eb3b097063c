//! The first stage: cylinders that share a key with one of the probe vote for their impression, and the votes count that agree
//! about how the print is turned and moved.
//!
//! Invariant: what an impression gets depends on its segment and the probe alone, so that it is the same with any number of
//! threads.

use super::{
    hash::keys,
    segment::{LARGEST, Posting, Segment},
    sketch::{Cut, PLACE_STEP},
};
use crate::{
    compare::cylinder::turn,
    params::{CYLINDER_TURN, HASH_TABLES, VOTE_REACH, VOTE_TURN},
};

/// Votes of an impression that are kept; of more the first.
const KEPT: usize = 16;
/// Steps of a sketch in a step of a move.
const MOVE_STEPS: i32 = 2;
/// A vote by a key that only one impression in 512 has.
const HEAVIEST: f32 = 200.0;
/// See [`HEAVIEST`].
const RARE: f32 = 512.0;
/// The highest number of votes.
pub(super) const MOST: usize = KEPT * HEAVIEST as usize;
/// Angles that postings tell apart.
const ANGLES: usize = 256 / Posting::ANGLE_STEP as usize;

/// A probe made ready to ask segments.
pub(super) struct Ballot {
    cylinders: Vec<Asking>,
}

/// A cylinder of the probe.
struct Asking {
    keys: [u32; HASH_TABLES],
    /// By the angle of the other.
    turned: [Turned; ANGLES],
}

/// A cylinder of the probe as it lies when the print is turned onto another.
#[derive(Clone, Copy)]
struct Turned {
    /// How far, 1/256 turns.
    by: i8,
    /// Too far.
    never: bool,
    /// Where, in steps of a sketch.
    x: i16,
    y: i16,
}

impl Ballot {
    pub(super) fn new(cuts: &[Cut]) -> Self {
        let asking = |cut: &Cut| {
            let turned = std::array::from_fn(|angle| {
                let angle = (angle as u32 * Posting::ANGLE_STEP + Posting::ANGLE_STEP / 2) as u8;
                let off = cut.angle.wrapping_sub(angle) as i8;
                let (sine, cosine) = turn(off as u8);
                let (x, y) = (f32::from(cut.x), f32::from(cut.y));
                Turned {
                    by: off,
                    never: off.unsigned_abs() > CYLINDER_TURN,
                    x: libm::roundf(cosine * x + sine * y) as i16,
                    y: libm::roundf(cosine * y - sine * x) as i16,
                }
            });
            keys(cut).map(|keys| Asking { keys, turned })
        };
        Self { cylinders: cuts.iter().filter_map(asking).collect() }
    }
}

/// The votes of an impression, side by side: how far the print is turned in 1/256 turns, where it is moved in steps, and what
/// the vote weighs.
#[derive(Clone, Copy, Default)]
struct Kept {
    turned: [i8; KEPT],
    x: [i8; KEPT],
    y: [i8; KEPT],
    weight: [u8; KEPT],
}

/// Farther than this nothing is moved: two moves differ by less than all that a byte tells apart.
const FARTHEST: i32 = 100;

/// Votes of a segment, to be used again.
pub(super) struct Votes {
    count: Vec<u8>,
    votes: Vec<Kept>,
}

impl Default for Votes {
    fn default() -> Self {
        Self { count: vec![0; LARGEST], votes: vec![Kept::default(); LARGEST] }
    }
}

impl Votes {
    /// The votes of each impression of a segment.
    pub(super) fn of<K>(&mut self, ballot: &Ballot, segment: &Segment<K>) -> Vec<u16> {
        let impressions = segment.impressions();
        self.count.fill(0);
        let lists = ballot.cylinders.iter().flat_map(|asking| {
            let lists = asking.keys.iter().enumerate();
            lists.map(move |(table, key)| (segment.postings(table, *key), &asking.turned))
        });
        let mut lists: Vec<_> = lists.filter(|(postings, _)| !postings.is_empty()).collect();
        // The rarest first: their votes are kept where there are too many.
        lists.sort_by_key(|(postings, _)| postings.len());
        for (postings, turned) in lists {
            let weight = weight(postings.len(), impressions);
            for posting in postings {
                let angle = usize::from(posting.angle()) / Posting::ANGLE_STEP as usize;
                let turned = &turned[angle % ANGLES];
                if turned.never {
                    continue;
                }
                let (x, y) = posting.place();
                let step = |moved: i16, at: i32| {
                    ((i32::from(moved) - at) / MOVE_STEPS).clamp(-FARTHEST, FARTHEST) as i8
                };
                let impression = posting.impression();
                let (count, votes) = (&mut self.count[impression], &mut self.votes[impression]);
                let place = usize::from(*count);
                if place < KEPT {
                    votes.turned[place] = turned.by;
                    (votes.x[place], votes.y[place]) = (step(turned.x, x), step(turned.y, y));
                    votes.weight[place] = weight;
                    *count += 1;
                }
            }
        }
        let each = self.count.iter().zip(&self.votes).take(impressions);
        each.map(|(count, votes)| agreed(votes, usize::from(*count))).collect()
    }
}

/// The rarer a key, the more it says.
fn weight(postings: usize, impressions: usize) -> u8 {
    let expected = impressions as f32 / RARE;
    (HEAVIEST * (expected / postings.max(1) as f32).sqrt()).clamp(1.0, HEAVIEST) as u8
}

/// The most weight that agrees with one of so many votes. All are looked at, so that sixteen go at a time; most impressions
/// have three.
fn agreed(votes: &Kept, count: usize) -> u16 {
    const REACH: u8 = ((VOTE_REACH / PLACE_STEP) as i32 / MOVE_STEPS) as u8;
    const TURN: u8 = VOTE_TURN as u8;
    let weight: [u8; KEPT] = std::array::from_fn(|vote| if vote < count { votes.weight[vote] } else { 0 });
    if count < 2 {
        return u16::from(weight[0]);
    }
    let near = |a: i8, b: i8, reach: u8| (a.wrapping_sub(b) as u8).wrapping_add(reach) <= 2 * reach;
    let mut most = 0;
    for one in 0..count.min(KEPT) {
        let (turned, x, y) = (votes.turned[one], votes.x[one], votes.y[one]);
        let mut agreeing = [0u8; KEPT];
        for other in 0..KEPT {
            let agrees = near(votes.turned[other], turned, TURN)
                & near(votes.x[other], x, REACH)
                & near(votes.y[other], y, REACH);
            agreeing[other] = if agrees { weight[other] } else { 0 };
        }
        most = most.max(agreeing.iter().map(|weight| u16::from(*weight)).sum());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_that_agree_add_up_and_others_do_not() {
        let mut votes = Kept { weight: [10; KEPT], ..Kept::default() };
        let all = [(0, 0, 0), (16, 6, -6), (17, 0, 0), (0, 7, 0), (-64, -100, 100), (64, 100, -100)];
        for (place, (turned, x, y)) in all.into_iter().enumerate() {
            (votes.turned[place], votes.x[place], votes.y[place]) = (turned, x, y);
        }
        assert_eq!((agreed(&votes, 0), agreed(&votes, 1), agreed(&votes, 2)), (0, 10, 20));
        // The second agrees with all, the others not with each other; the last two with nobody.
        assert_eq!((agreed(&votes, 4), agreed(&votes, 6)), (40, 40));
    }

    #[test]
    fn a_rare_key_weighs_more() {
        assert!(weight(1, 8192) == 200 && weight(16, 8192) == 200);
        assert!(weight(64, 8192) == 100 && weight(8192, 8192) < 10);
        assert_eq!(weight(0, 1), 8);
    }
}
