//! A search of the whole gallery: votes choose who is laid on the probe, how alike they then are chooses a shortlist, likeness of
//! whole sketches the finalists, and those are compared as in a verification. Two passes: the second looks farther, unless the
//! first found somebody beyond doubt.
//!
//! Invariant: whoever is a candidate has the score of a full comparison with every impression of that finger; the same
//! snapshot and probe give the same answer with any number of threads and any kernel. The end after the first pass changes no
//! decision but by not looking for a second one as good.

use std::{collections::HashMap, sync::Arc};

use super::{
    Candidate, Finger, Search, Stage, Told,
    alignment::{self, Laid},
    finger::Budget,
    index::Index,
    likeness::Probe,
    parallel::{SHARE, map},
    segment::Entry,
    sketch::{Sketch, sketch},
    votes::{self, Ballot, Tally, Voted, Votes, least},
};
use crate::{
    compare::Prepared,
    params::{
        ALIGNED, EARLY_SCORE, EVERYBODY, FIRST_FINALISTS, FIRST_SHORTLIST, SECOND_FINALISTS,
        SECOND_SHORTLIST, STANDING_OVER, WEIGHED,
    },
    score::Score,
    simd::{aligned, nearest, support},
};

/// An impression: of a part, or of the tail when the part is [`TAIL`].
type Place = (u32, u32);
const TAIL: u32 = u32::MAX;

/// How far a search goes. Tests go less far, so that few fingers take every way.
pub(super) struct Reach {
    /// Of so many all are compared in full.
    pub(super) everybody: usize,
    /// Of so many the likeness of all is looked at.
    pub(super) weighed: usize,
    /// Laid on the probe: a least number, and of how many one more.
    pub(super) aligned: (usize, usize),
    /// On the shortlist of the first pass, and of the second, the same.
    pub(super) shortlist: [(usize, usize); 2],
    /// Compared in full, the same.
    pub(super) finalists: [(usize, usize); 2],
    /// A score that ends it after the first pass.
    pub(super) early: f64,
}

impl Reach {
    pub(super) const USUAL: Self = Self {
        everybody: EVERYBODY,
        weighed: WEIGHED,
        aligned: ALIGNED,
        shortlist: [FIRST_SHORTLIST, SECOND_SHORTLIST],
        finalists: [FIRST_FINALISTS, SECOND_FINALISTS],
        early: EARLY_SCORE,
    };
}

/// How many of so many: a least number, and one of so many more.
fn among((least, one_of): (usize, usize), all: usize) -> usize {
    least + all / one_of
}

/// A search under way.
pub(super) struct Cascade<'a, K> {
    index: &'a Index<K>,
    budget: &'a Arc<Budget>,
    probe: &'a Prepared,
    order: &'a Search<'a, K>,
    sketch: Probe,
    /// Who was laid on the probe, by part: which impression, and how alike.
    aligned: Vec<Vec<(u16, u16)>>,
    /// Likeness of who was on a shortlist.
    likely: Vec<(f32, Place)>,
    /// Who was compared.
    compared: HashMap<Place, Score>,
}

impl<'a, K: Clone + Ord + Send + Sync> Cascade<'a, K> {
    pub(super) fn new(
        index: &'a Index<K>,
        budget: &'a Arc<Budget>,
        probe: &'a Prepared,
        order: &'a Search<'a, K>,
    ) -> Self {
        let sketch = Probe::new(sketch(probe));
        Self {
            index,
            budget,
            probe,
            order,
            sketch,
            aligned: Vec::new(),
            likely: Vec::new(),
            compared: HashMap::new(),
        }
    }

    pub(super) fn run(mut self, reach: &Reach, told: Told<'_>) -> Vec<Candidate<K>> {
        // A filter leaves a smaller gallery, which is searched as one.
        let filtered = self.order.filter.map(|_| self.everybody(0));
        let (parts, tail) = filtered.as_ref().map_or_else(
            || {
                let tail = self.index.tail.iter().map(|recent| recent.entry.1.impressions());
                (self.index.parts.iter().map(|part| part.live).sum::<usize>(), tail.sum())
            },
            |places| {
                let parts = places.iter().filter(|(part, _)| *part != TAIL).count();
                (parts, places.len() - parts)
            },
        );
        let all = parts + tail;
        let [first_shortlist, second_shortlist] = reach.shortlist.map(|of| among(of, parts));
        let [first_finalists, finalists] = reach.finalists.map(|of| among(of, all));
        if all <= reach.everybody {
            let everybody = filtered.unwrap_or_else(|| self.everybody(0));
            self.compare(&everybody, told);
        } else if parts <= reach.weighed.max(second_shortlist) {
            let everybody = filtered.unwrap_or_else(|| self.everybody(0));
            self.weigh(everybody, told);
            self.finals(finalists, told);
        } else {
            let voted = self.vote();
            told(Stage { name: "votes", kept: all });
            self.align(voted, among(reach.aligned, parts));
            told(Stage { name: "alignment", kept: self.aligned.iter().map(Vec::len).sum() });
            let first = self.least_aligned(first_shortlist);
            let shortlist = self.aligned_from(first, u16::MAX, true);
            self.weigh(shortlist, told);
            self.finals(first_finalists, told);
            let best = self.compared.values().map(|score| score.get()).fold(0.0, f64::max);
            if best < reach.early {
                let second = self.least_aligned(second_shortlist);
                if second < first {
                    let shortlist = self.aligned_from(second, first - 1, false);
                    self.weigh(shortlist, told);
                }
                self.finals(finalists, told);
            }
        }
        // What has no sketch is compared with, all of it.
        told(Stage { name: "not sketched", kept: self.index.unsketched() });
        let candidates = self.candidates();
        told(Stage { name: "candidates", kept: candidates.len() });
        candidates
    }

    fn allows(&self, key: &K) -> bool {
        self.order.filter.is_none_or(|filter| filter(key))
    }

    /// Who of each part has votes.
    fn vote(&self) -> Vec<Vec<Voted>> {
        let ballot = Ballot::new(self.sketch.sketch.cuts());
        map(self.order.threads, 1, &self.index.parts, |part| {
            let mut voted = Votes::with(|votes| votes.of(&ballot, &part.segment));
            if !part.dead.is_empty() || self.order.filter.is_some() {
                voted.retain(|voted| {
                    let finger = part.segment.finger_of.get(usize::from(voted.impression));
                    finger.is_some_and(|finger| {
                        let finger = usize::from(*finger);
                        let key = part.segment.entries.get(finger).map(|(key, _)| key);
                        !part.is_dead(finger) && key.is_some_and(|key| self.allows(key))
                    })
                });
            }
            voted
        })
    }

    /// Lays those with the most votes on the probe.
    fn align(&mut self, voted: Vec<Vec<Voted>>, most: usize) {
        let mut with = vec![0; votes::MOST + 1];
        for voted in voted.iter().flatten() {
            with[usize::from(voted.tally.votes).min(votes::MOST)] += 1;
        }
        let least = least(&with, most);
        let laid = Laid::new(self.sketch.sketch);
        let parts: Vec<_> = self.index.parts.iter().zip(voted).collect();
        self.aligned = map(self.order.threads, 1, &parts, |(part, voted)| {
            let chosen = voted.iter().filter(|voted| voted.tally.votes >= least);
            let (which, these): (Vec<u16>, Vec<(&Sketch, Tally)>) = chosen
                .filter_map(|voted| {
                    let sketch = part.segment.sketch(usize::from(voted.impression))?;
                    Some((voted.impression, (sketch, voted.tally)))
                })
                .unzip();
            let mut alike = Vec::with_capacity(these.len());
            aligned(&laid, &these, &mut alike);
            which.into_iter().zip(alike).collect()
        });
    }

    /// The least likeness of who was laid on the probe that not more than so many have.
    fn least_aligned(&self, most: usize) -> u16 {
        let mut with = vec![0; alignment::MOST + 1];
        for (_, alike) in self.aligned.iter().flatten() {
            with[usize::from(*alike).min(alignment::MOST)] += 1;
        }
        least(&with, most)
    }

    /// Who is as alike as from the least to the most, and the tail besides.
    fn aligned_from(&self, least: u16, most: u16, tail: bool) -> Vec<Place> {
        let mut places = if tail { self.everybody(TAIL) } else { Vec::new() };
        for (part, aligned) in self.aligned.iter().enumerate() {
            let chosen = aligned.iter().filter(|(_, alike)| (least..=most).contains(alike));
            places.extend(chosen.map(|(impression, _)| (part as u32, u32::from(*impression))));
        }
        places
    }

    /// Every impression that is alive and allowed, from a part on.
    fn everybody(&self, from: u32) -> Vec<Place> {
        let mut places = Vec::new();
        for (number, part) in self.index.parts.iter().enumerate().filter(|(number, _)| *number as u32 >= from)
        {
            for (impression, finger) in part.segment.finger_of.iter().enumerate() {
                let finger = usize::from(*finger);
                let key = part.segment.entries.get(finger).map(|(key, _)| key);
                if !part.is_dead(finger) && key.is_some_and(|key| self.allows(key)) {
                    places.push((number as u32, impression as u32));
                }
            }
        }
        let mut number = 0;
        for recent in self.index.tail.iter() {
            for _ in recent.views.iter() {
                if self.allows(&recent.entry.0) {
                    places.push((TAIL, number));
                }
                number += 1;
            }
        }
        places
    }

    /// The finger and the number of the view.
    fn at(&self, (part, impression): Place) -> Option<(&'a Entry<K>, usize)> {
        if part == TAIL {
            let mut left = impression as usize;
            for recent in self.index.tail.iter() {
                if left < recent.views.len() {
                    return Some((&recent.entry, left));
                }
                left -= recent.views.len();
            }
            return None;
        }
        let segment = &self.index.parts.get(part as usize)?.segment;
        let finger = *segment.finger_of.get(impression as usize)?;
        let before = segment.finger_of.get(..impression as usize)?.iter().rev();
        let view = before.take_while(|other| **other == finger).count();
        Some((segment.entries.get(usize::from(finger))?, view))
    }

    fn sketch(&self, (part, impression): Place) -> Option<&Sketch> {
        if part == TAIL {
            let mut views = self.index.tail.iter().flat_map(|recent| recent.views.iter());
            return views.nth(impression as usize);
        }
        self.index.parts.get(part as usize)?.segment.sketch(impression as usize)
    }

    /// How alike those of a shortlist are.
    fn weigh(&mut self, shortlist: Vec<Place>, told: Told<'_>) {
        told(Stage { name: "shortlist", kept: shortlist.len() });
        let (probe, this) = (&self.sketch, &*self);
        let shares: Vec<&[Place]> = shortlist.chunks(SHARE).collect();
        let likely = map(self.order.threads, 1, &shares, |places| {
            let sketches: Vec<Option<&Sketch>> = places.iter().map(|place| this.sketch(*place)).collect();
            let likeness = (0..places.len()).map(|at| {
                // The next one comes from memory meanwhile.
                if let Some(next) = sketches.get(at + 1).copied().flatten() {
                    next.fetch();
                }
                sketches[at].map_or(0.0, |sketch| support(probe, sketch, &nearest(probe, sketch)))
            });
            likeness.collect::<Vec<f32>>()
        });
        self.likely.extend(likely.into_iter().flatten().zip(shortlist));
        told(Stage { name: "likeness", kept: self.likely.len() });
    }

    /// Compares the likeliest fully, as many as are to be compared in all.
    fn finals(&mut self, finalists: usize, told: Told<'_>) {
        let order = |a: &(f32, Place), b: &(f32, Place)| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1));
        let finalists = finalists.min(self.likely.len());
        if finalists > 0 && finalists < self.likely.len() {
            self.likely.select_nth_unstable_by(finalists - 1, order);
        }
        let mut places: Vec<Place> = self.likely[..finalists].iter().map(|(_, place)| *place).collect();
        places.retain(|place| !self.compared.contains_key(place));
        places.sort_unstable();
        self.compare(&places, told);
    }

    fn compare(&mut self, places: &[Place], told: Told<'_>) {
        let this = &*self;
        let scores = map(self.order.threads, 1, places, |place| {
            this.at(*place)
                .map_or(Score::ZERO, |((_, finger), view)| finger.compare_view(this.budget, this.probe, view))
        });
        self.compared.extend(places.iter().copied().zip(scores));
        told(Stage { name: "comparison", kept: self.compared.len() });
    }

    /// The fingers of who was compared, best first, with the score of all their impressions.
    fn candidates(&self) -> Vec<Candidate<K>> {
        let mut fingers: HashMap<*const Finger, Ranked<'a, K>> = HashMap::new();
        for (place, score) in &self.compared {
            let Some((entry, view)) = self.at(*place) else { continue };
            let one = fingers.entry(Arc::as_ptr(&entry.1));
            let one = one.or_insert_with(|| Ranked { entry, score: *score, compared: Vec::new() });
            one.compared.push(view);
            if *score > one.score {
                one.score = *score;
            }
        }
        let mut ranked: Vec<Ranked<'a, K>> = fingers.into_values().collect();
        let waiting = self.index.unsketched.iter();
        let unsketched: Vec<&Entry<K>> =
            waiting.filter(|(key, finger)| finger.impressions() > 0 && self.allows(key)).collect();
        let scores = map(self.order.threads, 1, &unsketched, |(_, finger)| {
            finger.compare_kept(self.budget, self.probe)
        });
        ranked.extend(unsketched.into_iter().zip(scores).map(|(entry, score)| Ranked {
            compared: (0..entry.1.impressions()).collect(),
            entry,
            score,
        }));
        rank(&mut ranked);
        // The other impressions of the best, which no shortlist had: a finger's score is that of all.
        let limit = self.order.limit.min(ranked.len());
        let whole = map(self.order.threads, 1, &ranked[..limit], |one| {
            let finger = &one.entry.1;
            let others = (0..finger.impressions()).filter(|view| !one.compared.contains(view));
            let scores = others.map(|view| finger.compare_view(self.budget, self.probe, view));
            scores.fold(one.score, |best, score| if score > best { score } else { best })
        });
        for (one, whole) in ranked.iter_mut().zip(whole) {
            one.score = whole;
        }
        rank(&mut ranked);
        let spread = Spread::of(&ranked);
        ranked.truncate(limit);
        let candidate = |one: Ranked<'_, K>| Candidate {
            key: one.entry.0.clone(),
            score: one.score,
            standing: spread.standing(one.score),
        };
        ranked.into_iter().map(candidate).collect()
    }
}

/// A finger of which impressions were compared.
struct Ranked<'a, K> {
    entry: &'a Entry<K>,
    /// The best of these.
    score: Score,
    /// Which.
    compared: Vec<usize>,
}

fn rank<K: Ord>(ranked: &mut [Ranked<'_, K>]) {
    ranked.sort_by(|a, b| b.score.get().total_cmp(&a.score.get()).then_with(|| a.entry.0.cmp(&b.entry.0)));
}

/// Mean and spread of the scores behind the best.
struct Spread {
    mean: f64,
    deviation: f64,
}

impl Spread {
    fn of<K>(ranked: &[Ranked<'_, K>]) -> Self {
        let behind = ranked.iter().skip(1).take(STANDING_OVER);
        let scores: Vec<f64> = behind.map(|one| one.score.get()).collect();
        let count = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / count;
        Self { mean, deviation: variance.sqrt() }
    }

    /// Never less than one unit of the score stands for a deviation: few are no sample.
    fn standing(&self, score: Score) -> f64 {
        (score.get() - self.mean) / self.deviation.max(1.0)
    }
}
