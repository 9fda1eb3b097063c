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
const KEPT: usize = 12;
/// Steps of a move, in pixels.
const MOVE_STEP: f32 = 8.0;
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
    /// By the angle of the other: how far the print is turned then, and where this cylinder is moved by that. None when it is
    /// turned too far.
    turned: [Option<(i8, f32, f32)>; ANGLES],
}

impl Ballot {
    pub(super) fn new(cuts: &[Cut]) -> Self {
        let asking = |cut: &Cut| {
            let turned = std::array::from_fn(|angle| {
                let angle = (angle as u32 * Posting::ANGLE_STEP + Posting::ANGLE_STEP / 2) as u8;
                let off = cut.angle.wrapping_sub(angle) as i8;
                let (sine, cosine) = turn(off as u8);
                let (x, y) = (f32::from(cut.x) * PLACE_STEP, f32::from(cut.y) * PLACE_STEP);
                (off.unsigned_abs() <= CYLINDER_TURN).then_some((
                    off,
                    cosine * x + sine * y,
                    cosine * y - sine * x,
                ))
            });
            keys(cut).map(|keys| Asking { keys, turned })
        };
        Self { cylinders: cuts.iter().filter_map(asking).collect() }
    }
}

/// One vote.
#[derive(Clone, Copy, Default)]
struct Vote {
    /// How far the print is turned, 1/256 turns.
    turned: i8,
    /// Where it is moved, in steps.
    x: i8,
    y: i8,
    weight: u8,
}

/// Votes of a segment, to be used again.
pub(super) struct Votes {
    count: Vec<u8>,
    votes: Vec<[Vote; KEPT]>,
}

impl Default for Votes {
    fn default() -> Self {
        Self { count: vec![0; LARGEST], votes: vec![[Vote::default(); KEPT]; LARGEST] }
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
                let Some((turned, x, y)) = turned[angle % ANGLES] else { continue };
                let (at_x, at_y) = posting.place();
                let step = |moved: f32, at: i32| ((moved - at as f32 * PLACE_STEP) / MOVE_STEP) as i8;
                let vote = Vote { turned, x: step(x, at_x), y: step(y, at_y), weight };
                let impression = posting.impression();
                let count = &mut self.count[impression];
                if let Some(place) = self.votes[impression].get_mut(usize::from(*count)) {
                    *place = vote;
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

/// The most weight that agrees with one of the votes.
fn agreed(votes: &[Vote; KEPT], count: usize) -> u16 {
    const REACH: i32 = (VOTE_REACH / MOVE_STEP) as i32;
    let mut most = 0;
    for one in &votes[..count.min(KEPT)] {
        let mut sum = 0;
        for (place, other) in votes.iter().enumerate() {
            let near = |a: i8, b: i8, reach: i32| (i32::from(a) - i32::from(b)).abs() <= reach;
            let agrees = near(one.turned, other.turned, VOTE_TURN)
                & near(one.x, other.x, REACH)
                & near(one.y, other.y, REACH)
                & (place < count);
            sum += if agrees { u16::from(other.weight) } else { 0 };
        }
        most = most.max(sum);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_that_agree_add_up_and_others_do_not() {
        let vote = |turned, x, y| Vote { turned, x, y, weight: 10 };
        let mut votes = [Vote::default(); KEPT];
        votes[..4].copy_from_slice(&[vote(0, 0, 0), vote(16, 6, -6), vote(17, 0, 0), vote(0, 7, 0)]);
        assert_eq!((agreed(&votes, 0), agreed(&votes, 1), agreed(&votes, 2)), (0, 10, 20));
        // The second agrees with all, the others not with each other.
        assert_eq!(agreed(&votes, 4), 40);
    }

    #[test]
    fn a_rare_key_weighs_more() {
        assert!(weight(1, 8192) == 200 && weight(16, 8192) == 200);
        assert!(weight(64, 8192) == 100 && weight(8192, 8192) < 10);
        assert_eq!(weight(0, 1), 8);
    }
}
