//! The first stage: cylinders that share a key with one of the probe vote for their impression, and the votes count that agree
//! about how the print is turned and moved; what they agree about is where the next stage looks.
//!
//! Invariant: what an impression gets depends on its segment and the probe alone, so that it is the same with any number of
//! threads.

use std::cell::RefCell;

use super::{
    alignment::rounded,
    hash::keys,
    segment::{LARGEST, Posting, Segment},
    sketch::{Cut, PLACE_STEP},
};
use crate::{
    compare::cylinder::turn,
    params::{CYLINDER_TURN, HASH_TABLES, VOTE_COMMON, VOTE_REACH, VOTE_TURN},
    simd::{agreed, fetch},
};

/// Votes of an impression that are kept, of more the rarest: most have two.
pub(crate) const KEPT: usize = 8;
/// A vote by a key that only one impression in 512 has.
const HEAVIEST: f32 = 31.0;
/// See [`HEAVIEST`].
const RARE: f32 = 512.0;
/// Of so many impressions of a segment one is asked which of its votes agree. The next stage looks at fewer.
const ASKED: usize = 4;
/// Of a small segment so many are asked, and lists of so many vote: of three impressions a quarter would be none, and they were
/// never found.
const FEW: usize = 256;
/// The highest number of votes.
pub(super) const MOST: usize = KEPT * HEAVIEST as usize;
/// Postings that are passed over at a time.
const TOGETHER: usize = 8;
/// Angles that postings tell apart.
const ANGLES: usize = 256 / Posting::ANGLE_STEP as usize;

/// A probe made ready to ask segments.
pub(super) struct Ballot {
    cylinders: Vec<Asking>,
}

/// A cylinder of the probe.
struct Asking {
    keys: [u32; HASH_TABLES],
    /// Which angles of the other are not too far: a bit for each that postings tell apart.
    allowed: u64,
    /// By that angle: the vote without what the posting says of the place.
    turned: [Vote; ANGLES],
}

impl Ballot {
    pub(super) fn new(cuts: impl IntoIterator<Item = Cut>) -> Self {
        let asking = |cut: Cut| {
            let mut allowed = 0;
            let turned = std::array::from_fn(|step| {
                let angle = (step as u32 * Posting::ANGLE_STEP + Posting::ANGLE_STEP / 2) as u8;
                let off = cut.angle.wrapping_sub(angle) as i8;
                if off.unsigned_abs() > CYLINDER_TURN {
                    return Vote::NEVER;
                }
                allowed |= 1 << step;
                let (sine, cosine) = turn(off as u8);
                let (x, y) = (f32::from(cut.x), f32::from(cut.y));
                Vote::turned(off, cosine * x + sine * y, cosine * y - sine * x)
            });
            keys(&cut).map(|keys| Asking { keys, allowed, turned })
        };
        Self { cylinders: cuts.into_iter().filter_map(asking).collect() }
    }
}

impl Asking {
    /// Whether all of these, which are in the order of their angles, are turned too far, as far as the first and the last tell.
    fn none_of(&self, postings: &[Posting]) -> bool {
        let [first, .., last] = postings else { return false };
        let (first, last) = (first.angle_step() % ANGLES, last.angle_step() % ANGLES);
        // Of angles that are not too far there are as many side by side, and none of them has place between.
        (self.allowed >> first | self.allowed >> last) & 1 == 0
            && last - first < self.allowed.count_ones() as usize
    }
}

/// A vote: where the print is moved along y and x and how far it is turned, eight bits each with one above that is free, so that
/// all three are compared at a time; and in the five highest bits its weight.
#[derive(Clone, Copy, Default)]
pub(crate) struct Vote(u32);

/// How an impression lies under a probe that voted for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// What the votes weigh that agree.
    pub(crate) votes: u16,
    /// How far the probe is turned, 1/256 turns.
    pub(crate) turn: i8,
    /// Where it is moved once it is turned back, in steps of a sketch.
    pub(crate) x: i16,
    /// The same.
    pub(crate) y: i16,
}

impl Vote {
    /// Where x, the turn and the weight begin.
    const X: u32 = 9;
    const TURN: u32 = 18;
    const WEIGHT: u32 = 27;
    /// No turn.
    const NO_TURN: i32 = CYLINDER_TURN as i32;
    /// No move: a place is at most 45 steps of a posting from the middle when it is turned, and the other's 32.
    const NO_MOVE: i32 = 96;
    /// Written and not counted.
    const NEVER: Self = Self::at(0, Self::NO_MOVE, Self::NO_MOVE);
    /// The bits that are free.
    const FREE: u32 = 1 << 8 | 1 << (Self::X + 8) | 1 << (Self::TURN + 8);
    /// The three that are compared.
    const PLACE: u32 = 0xff | 0xff << Self::X | 0xff << Self::TURN;
    /// Differences within which votes agree.
    const REACH: u32 = {
        let step = Posting::PLACE_STEP as f32 * PLACE_STEP;
        let reach = (VOTE_REACH / step) as i32;
        Self::at(VOTE_TURN, reach, reach).0
    };

    /// One of these bits, as far as there are such.
    #[cfg(test)]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits & !Self::FREE | 1 << Self::WEIGHT)
    }

    const fn at(turn: i32, x: i32, y: i32) -> Self {
        Self((turn as u32) << Self::TURN | (x as u32) << Self::X | y as u32)
    }

    fn turned(by: i8, x: f32, y: f32) -> Self {
        // A posting's place stands for what is half a step above.
        let half = Posting::PLACE_STEP as f32 / 2.0;
        let moved = |at: f32| rounded((at - half) / Posting::PLACE_STEP as f32) + Self::NO_MOVE;
        Self::at(i32::from(by) + Self::NO_TURN, moved(x), moved(y))
    }

    /// With where the posting is.
    fn of(self, posting: Posting, weight: u32) -> Self {
        let (x, y) = posting.steps();
        // Nothing goes below nothing: 96 less 45 and 32.
        Self((self.0 + Self::at(0, 32, 32).0 - (x << Self::X | y)) | weight << Self::WEIGHT)
    }

    fn weight(self) -> u32 {
        self.0 >> Self::WEIGHT
    }

    /// How far turned, and where moved, as they are kept.
    fn place(self) -> [i32; 3] {
        let at = |at: u32| (self.0 >> at & 0xff) as i32;
        [at(Self::TURN), at(Self::X), at(0)]
    }

    /// Neither is farther from the other than the reach: the bit above stays where nothing is taken from it.
    fn agrees(self, other: Self) -> bool {
        let (a, b) = (self.0 & Self::PLACE, other.0 & Self::PLACE);
        let (a_less_b, b_less_a) = ((a | Self::FREE) + Self::REACH - b, (b | Self::FREE) + Self::REACH - a);
        a_less_b & b_less_a & Self::FREE == Self::FREE
    }

    /// Where this vote alone lays the probe.
    fn tally(self) -> Tally {
        let [turn, x, y] = self.place();
        let moved = |at: i32| ((at - Self::NO_MOVE) * Posting::PLACE_STEP) as i16;
        Tally { votes: self.weight() as u16, turn: (turn - Self::NO_TURN) as i8, x: moved(x), y: moved(y) }
    }
}

/// An impression of a segment that has votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Voted {
    /// Which.
    pub(crate) impression: u16,
    /// What those say that agree.
    pub(crate) tally: Tally,
}

/// How many votes an impression has, and in the bits above what all of them weigh.
#[derive(Clone, Copy, Default)]
struct Count(u16);

impl Count {
    const WEIGHT: u32 = 4;
    /// What all weigh at most.
    const HEAVIEST: usize = KEPT * HEAVIEST as usize;

    fn votes(self) -> usize {
        usize::from(self.0 & ((1 << Self::WEIGHT) - 1))
    }

    fn weight(self) -> usize {
        usize::from(self.0 >> Self::WEIGHT)
    }
}

/// Votes of a segment, to be used again.
pub(super) struct Votes {
    count: Vec<Count>,
    votes: Vec<[Vote; KEPT]>,
}

impl Default for Votes {
    fn default() -> Self {
        Self { count: vec![Count::default(); LARGEST], votes: vec![[Vote::default(); KEPT]; LARGEST] }
    }
}

impl Votes {
    /// Gives the thread's own, which it keeps: to make them anew takes longer than to count in them.
    pub(super) fn with<T>(use_them: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static OWN: RefCell<Votes> = RefCell::default();
        }
        OWN.with_borrow_mut(use_them)
    }

    /// Who of a segment has votes, in the order of the segment.
    pub(super) fn of<K>(&mut self, ballot: &Ballot, segment: &Segment<K>) -> Vec<Voted> {
        let impressions = segment.impressions();
        self.count.fill(Count::default());
        for asking in &ballot.cylinders {
            asking.keys.iter().enumerate().for_each(|(table, key)| segment.fetch_place(table, *key));
        }
        let lists = ballot.cylinders.iter().flat_map(|asking| {
            let lists = asking.keys.iter().enumerate();
            lists.map(move |(table, key)| (segment.postings(table, *key), asking))
        });
        // What many have says little, and there is much of it.
        let longest = (impressions / VOTE_COMMON).max(FEW);
        let mut lists: Vec<_> =
            lists.filter(|(postings, _)| !postings.is_empty() && postings.len() <= longest).collect();
        // All of them come from memory while the first are gone through.
        for (postings, _) in &lists {
            fetch(postings);
            fetch(&postings[postings.len() - 1..]);
        }
        // The rarest first: their votes are kept where there are too many.
        lists.sort_by_key(|(postings, _)| postings.len());
        for (postings, asking) in lists {
            let weight = weight(postings.len(), impressions);
            let one = (1 | weight << Count::WEIGHT) as u16;
            for postings in postings.chunks(TOGETHER) {
                // They are in the order of their angles: where the first and the last are turned too far, so are those between.
                if asking.none_of(postings) {
                    continue;
                }
                for posting in postings {
                    let step = posting.angle_step() % ANGLES;
                    if asking.allowed >> step & 1 == 0 {
                        continue;
                    }
                    let impression = posting.impression();
                    let count = &mut self.count[impression];
                    if let Some(vote) = self.votes[impression].get_mut(count.votes()) {
                        *vote = asking.turned[step].of(*posting, weight);
                        count.0 += one;
                    }
                }
            }
        }
        self.asked(impressions)
    }

    /// Only of those with the most votes in all it is asked which of them agree.
    fn asked(&self, impressions: usize) -> Vec<Voted> {
        let counts = &self.count[..impressions];
        // Side by side, as the next one is often the same.
        let mut with = [[0; Count::HEAVIEST + 1]; 4];
        for counts in counts.chunks(with.len()) {
            for (with, count) in with.iter_mut().zip(counts) {
                with[count.weight().min(Count::HEAVIEST)] += 1;
            }
        }
        let with: [usize; Count::HEAVIEST + 1] =
            std::array::from_fn(|weight| with.iter().map(|with| with[weight]).sum());
        let least = usize::from(least(&with, (impressions / ASKED).max(FEW)));
        let mut asked = Vec::with_capacity(impressions / ASKED);
        for (impression, count) in counts.iter().enumerate() {
            if count.weight() >= least {
                let tally = agreed(&self.votes[impression], count.votes());
                asked.push(Voted { impression: impression as u16, tally });
            }
        }
        asked
    }
}

/// The least value, at least one, that not more than so many have or exceed, given how many have each.
pub(super) fn least(with: &[usize], most: usize) -> u16 {
    let mut left = most;
    let mut least = with.len();
    while least > 1 && with[least - 1] <= left {
        least -= 1;
        left -= with[least];
    }
    least as u16
}

/// The rarer a key, the more it says.
fn weight(postings: usize, impressions: usize) -> u32 {
    let expected = impressions as f32 / RARE;
    (HEAVIEST * (expected / postings.max(1) as f32).sqrt()).clamp(1.0, HEAVIEST) as u32
}

/// The most weight that agrees with one of so many votes, and what those say on the average.
#[inline(always)]
pub(crate) fn agreed_with(votes: &[Vote; KEPT], count: usize) -> Tally {
    match count {
        0 => return Tally::default(),
        1 => return votes[0].tally(),
        _ => {}
    }
    // All eight with all eight at a time, which vectors do; those that are not there weigh nothing, and are not asked.
    let count = count.min(KEPT);
    let mut there = [Vote::default(); KEPT];
    there[..count].copy_from_slice(&votes[..count]);
    // By numbers, not by iterators: those may be compiled without the caller's instructions, and called.
    let mut sums = [0; KEPT];
    for other in 0..count {
        let (other, weight) = (there[other], there[other].weight());
        for one in 0..KEPT {
            sums[one] += u32::from(there[one].agrees(other)) * weight;
        }
    }
    let votes = &there[..count];
    let mut best = 0;
    for one in 1..count {
        if sums[one] > sums[best] {
            best = one;
        }
    }
    let (most, best) = (sums[best] as i32, votes[best]);
    if most as u32 == best.weight() {
        return best.tally();
    }
    let (mut turn, mut x, mut y) = (0, 0, 0);
    for vote in there {
        // Those that are not there weigh nothing.
        let weight = i32::from(best.agrees(vote)) * vote.weight() as i32;
        let [by_turn, by_x, by_y] = vote.place();
        turn += weight * by_turn;
        x += weight * by_x;
        y += weight * by_y;
    }
    let moved = |sum: i32| (Posting::PLACE_STEP * (sum - Vote::NO_MOVE * most) / most) as i16;
    let turn = ((turn - Vote::NO_TURN * most) / most) as i8;
    Tally { votes: most as u16, turn, x: moved(x), y: moved(y) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::search::{Finger, sketch::Sketch};

    proptest! {
        #[test]
        fn votes_agree_that_differ_by_no_more_than_the_reach_in_any_of_the_three(
            a in (0..=2 * Vote::NO_TURN, 20i32..=173, 20i32..=173), off in (-20i32..=20, -5i32..=5, -5i32..=5), weights in (0u32..32, 0u32..32),
        ) {
            let reach = (VOTE_REACH / (Posting::PLACE_STEP as f32 * PLACE_STEP)) as i32;
            let b: (i32, i32, i32) = ((a.0 + off.0).clamp(0, 255), a.1 + off.1, a.2 + off.2);
            let vote = |(turn, x, y), weight| Vote(Vote::at(turn, x, y).0 | weight << Vote::WEIGHT);
            let (one, other) = (vote(a, weights.0), vote(b, weights.1));
            let near = (a.0 - b.0).abs() <= VOTE_TURN && off.1.abs() <= reach && off.2.abs() <= reach;
            prop_assert_eq!((one.agrees(other), other.agrees(one)), (near, near));
            prop_assert_eq!((one.place(), one.weight()), ([a.0, a.1, a.2], weights.0));
        }
    }

    fn vote(turn: i32, x: i32, y: i32) -> Vote {
        let at = Vote::at(turn + Vote::NO_TURN, x + Vote::NO_MOVE, y + Vote::NO_MOVE);
        Vote(at.0 | 10 << Vote::WEIGHT)
    }

    #[test]
    fn votes_that_agree_add_up_and_others_do_not() {
        let all = [(0, 0, 0), (16, 3, -3), (17, 0, 0), (0, 4, 0), (-64, -75, 75), (64, 75, -75)];
        let mut votes = [Vote::default(); KEPT];
        for (place, (turn, x, y)) in all.into_iter().enumerate() {
            votes[place] = vote(turn, x, y);
        }
        let agreed = |count| agreed_with(&votes, count);
        assert_eq!((agreed(0), agreed(1)), (Tally::default(), Tally { votes: 10, ..Tally::default() }));
        // Half way between both, in steps of a sketch.
        assert_eq!(agreed(2), Tally { votes: 20, turn: 8, x: 6, y: -6 });
        // The second agrees with all, the others not with each other; the last two with nobody.
        assert_eq!((agreed(4).votes, agreed(6).votes), (40, 40));
        assert_eq!(agreed(4), agreed(6));
    }

    #[test]
    fn a_vote_says_how_the_probe_lies_on_the_impression() {
        for (angle, x, y) in [(10, 0, 0), (40, 20, -12), (200, -127, 127), (128, 127, 127)] {
            let cut = Cut { words: [5, 6, 7, 8], ones: 10, angle, x, y };
            let ballot = Ballot::new([cut]);
            for (at_angle, at_x, at_y) in [(10u8, 0i8, 0i8), (50, -127, 127), (250, 100, -90)] {
                let at = Cut { angle: at_angle, x: at_x, y: at_y, ..cut };
                let posting = Posting::new(3, &at);
                let asking = &ballot.cylinders[0];
                let off = angle.wrapping_sub(posting.angle()) as i8;
                let step = posting.angle_step();
                assert_eq!(asking.allowed >> step & 1 == 1, off.unsigned_abs() <= CYLINDER_TURN);
                if off.unsigned_abs() > CYLINDER_TURN {
                    continue;
                }
                let mut votes = [Vote::default(); KEPT];
                votes[0] = asking.turned[step].of(posting, 9);
                let tally = agreed_with(&votes, 1);
                let (sine, cosine) = turn(off as u8);
                let to_x = cosine * f32::from(x) + sine * f32::from(y) - f32::from(at_x);
                let to_y = cosine * f32::from(y) - sine * f32::from(x) - f32::from(at_y);
                assert_eq!((tally.votes, tally.turn), (9, off));
                assert!((f32::from(tally.x) - to_x).abs() <= 4.0, "{tally:?} {to_x}");
                assert!((f32::from(tally.y) - to_y).abs() <= 4.0, "{tally:?} {to_y}");
            }
        }
    }

    #[test]
    fn everybody_of_a_small_segment_can_have_votes() {
        let cut = Cut { words: [5, 6, 7, 8], ones: 10, angle: 10, x: 0, y: 0 };
        for impressions in [1, 3, 40] {
            let finger = |key| ((key, Arc::new(Finger::new(&[]))), [Sketch::of([cut])].into());
            let segment = Segment::new((0..impressions).map(finger).collect());
            let voted = Votes::with(|votes| votes.of(&Ballot::new([cut]), &segment));
            let numbers: Vec<usize> = voted.iter().map(|voted| usize::from(voted.impression)).collect();
            assert_eq!(numbers, (0..impressions).collect::<Vec<_>>());
            assert!(voted.iter().all(|voted| voted.tally.votes > 0));
        }
    }

    #[test]
    fn a_rare_key_weighs_more() {
        assert!(weight(1, 8192) == 31 && weight(16, 8192) == 31);
        assert!(weight(64, 8192) == 15 && weight(8192, 8192) == 1);
        assert_eq!(weight(0, 1), 1);
    }
}
