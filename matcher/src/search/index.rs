//! What a search goes through: segments, the tail of what was enrolled since, and what is not sketched yet.
//!
//! Invariant: every finger of the gallery is alive in exactly one place of these three, whatever is being built meanwhile; a
//! clone is a snapshot. What was removed or replaced is dead where it was, and leaves the memory with the next batch.

use std::{collections::HashSet, sync::Arc};

use super::{
    finger::{Budget, Finger},
    parallel::map,
    segment::{Entry, LARGEST, Segment},
    sketch::Sketch,
};

/// Impressions of a tail from which on it becomes a segment.
const TAIL: usize = if cfg!(test) { 12 } else { 512 };
/// Segments of less than half of what fits are joined when there are so many. One with somebody dead in it is built anew at
/// once.
const SMALL: usize = 8;

/// A segment, and which of its fingers are gone.
pub(super) struct Part<K> {
    pub(super) segment: Arc<Segment<K>>,
    /// One for each finger; empty when none is.
    pub(super) dead: Arc<Vec<bool>>,
    /// Impressions that are alive.
    pub(super) live: usize,
}

impl<K> Clone for Part<K> {
    fn clone(&self) -> Self {
        Self { segment: Arc::clone(&self.segment), dead: Arc::clone(&self.dead), live: self.live }
    }
}

impl<K> Part<K> {
    pub(super) fn is_dead(&self, finger: usize) -> bool {
        self.dead.get(finger).copied().unwrap_or(false)
    }
}

/// A finger of the tail with its sketches.
pub(super) struct Recent<K> {
    pub(super) entry: Entry<K>,
    pub(super) views: Arc<[Sketch]>,
}

impl<K: Clone> Clone for Recent<K> {
    fn clone(&self) -> Self {
        Self { entry: self.entry.clone(), views: Arc::clone(&self.views) }
    }
}

/// See the module.
pub(super) struct Index<K> {
    pub(super) parts: Arc<Vec<Part<K>>>,
    pub(super) tail: Arc<Vec<Recent<K>>>,
    pub(super) unsketched: Arc<Vec<Entry<K>>>,
    tail_impressions: usize,
    unsketched_impressions: usize,
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            tail: Arc::clone(&self.tail),
            unsketched: Arc::clone(&self.unsketched),
            tail_impressions: self.tail_impressions,
            unsketched_impressions: self.unsketched_impressions,
        }
    }
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            parts: Arc::default(),
            tail: Arc::default(),
            unsketched: Arc::default(),
            tail_impressions: 0,
            unsketched_impressions: 0,
        }
    }
}

/// A finger, and the sketches of its impressions once they are made.
type Sketched<K> = (Entry<K>, Option<Arc<[Sketch]>>);

/// Fingers that are to become a segment: built outside, while the gallery is searched and changed.
pub struct Batch<K> {
    fingers: Vec<Sketched<K>>,
    /// Segments that it takes the place of.
    instead_of: Vec<Arc<Segment<K>>>,
    budget: Arc<Budget>,
}

/// A segment that is built, to be put into the gallery.
pub struct Built<K> {
    segment: Segment<K>,
    instead_of: Vec<Arc<Segment<K>>>,
}

impl<K: Clone + Ord + Send + Sync> Batch<K> {
    /// Impressions that it takes out of what is not sketched.
    #[must_use]
    pub fn impressions(&self) -> usize {
        self.fingers.iter().map(|((_, finger), _)| finger.impressions()).sum()
    }

    /// Makes the cylinders of what has none, which takes longest, with so many threads. Asks `go_on` before each finger; false
    /// when it was not to.
    pub fn sketch(&mut self, threads: usize, go_on: impl Fn() -> bool + Sync) -> bool {
        let budget = &self.budget;
        let made = map(threads, 16, &self.fingers, |((_, finger), views)| {
            let wanted = views.is_none() && go_on();
            wanted.then(|| finger.sketches(budget))
        });
        for ((_, views), made) in self.fingers.iter_mut().zip(made) {
            *views = views.take().or(made);
        }
        self.fingers.iter().all(|(_, views)| views.is_some())
    }

    /// Builds it.
    #[must_use]
    pub fn build(self) -> Built<K> {
        let budget = &self.budget;
        let sketched = self.fingers.into_iter().map(|(entry, views)| {
            let views = views.unwrap_or_else(|| entry.1.sketches(budget));
            (entry, views)
        });
        Built { segment: Segment::new(sketched.collect()), instead_of: self.instead_of }
    }
}

/// What a finger is known by as long as somebody holds it.
fn address<T>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of) as usize
}

impl<K: Clone + Ord> Index<K> {
    /// Impressions that are compared one by one, because they have no sketch yet.
    pub(super) fn unsketched(&self) -> usize {
        self.unsketched_impressions
    }

    /// Puts in one that is new.
    pub(super) fn insert(&mut self, entry: Entry<K>, budget: &Arc<Budget>) {
        let views = entry.1.sketches(budget);
        self.tail_impressions += entry.1.impressions();
        Arc::make_mut(&mut self.tail).push(Recent { entry, views });
    }

    /// Puts in many, to be sketched later.
    pub(super) fn extend(&mut self, entries: impl Iterator<Item = Entry<K>>) {
        let unsketched = Arc::make_mut(&mut self.unsketched);
        for entry in entries {
            self.unsketched_impressions += entry.1.impressions();
            unsketched.push(entry);
        }
    }

    /// Takes out one that was put in.
    pub(super) fn remove(&mut self, key: &K, finger: &Arc<Finger>) {
        let is = |entry: &Entry<K>| Arc::ptr_eq(&entry.1, finger);
        if let Some(at) = self.tail.iter().position(|recent| is(&recent.entry)) {
            Arc::make_mut(&mut self.tail).remove(at);
            self.tail_impressions -= finger.impressions();
        } else if let Some((part, at)) = self.find(key, finger) {
            let part = &mut Arc::make_mut(&mut self.parts)[part];
            let dead = Arc::make_mut(&mut part.dead);
            dead.resize(part.segment.entries.len(), false);
            dead[at] = true;
            part.live -= finger.impressions();
        } else if let Some(at) = self.unsketched.iter().position(is) {
            Arc::make_mut(&mut self.unsketched).swap_remove(at);
            self.unsketched_impressions -= finger.impressions();
        }
    }

    /// The part and the place in it. Entries of a segment are in key order.
    fn find(&self, key: &K, finger: &Arc<Finger>) -> Option<(usize, usize)> {
        self.parts.iter().enumerate().find_map(|(number, part)| {
            let at = part.segment.entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
            (Arc::ptr_eq(&part.segment.entries.get(at)?.1, finger) && !part.is_dead(at))
                .then_some((number, at))
        })
    }

    /// What is to be built next, if anything.
    pub(super) fn batch(&self, budget: &Arc<Budget>) -> Option<Batch<K>> {
        let mut left = LARGEST;
        let mut fits = |finger: &Finger| {
            let fits = finger.impressions() <= left;
            left -= if fits { finger.impressions() } else { left };
            fits
        };
        let mut fingers: Vec<Sketched<K>> = Vec::new();
        let mut instead_of = Vec::new();
        if !self.unsketched.is_empty() {
            let taken = self.unsketched.iter().take_while(|(_, finger)| fits(finger));
            fingers.extend(taken.map(|entry| (entry.clone(), None)));
        } else if self.tail_impressions >= TAIL {
            let taken = self.tail.iter().take_while(|recent| fits(&recent.entry.1));
            fingers.extend(taken.map(|recent| (recent.entry.clone(), Some(Arc::clone(&recent.views)))));
        } else {
            // What was removed is not to stay in memory.
            let with_dead = self.parts.iter().filter(|part| !part.dead.is_empty()).take(1);
            let small: Vec<_> = self.parts.iter().filter(|part| 2 * part.live < LARGEST).collect();
            let joined = if small.len() >= SMALL { small.as_slice() } else { &[] };
            for part in with_dead.chain(joined.iter().copied()) {
                let there = instead_of.iter().any(|segment| Arc::ptr_eq(segment, &part.segment));
                if there || part.live > left {
                    continue;
                }
                left -= part.live;
                instead_of.push(Arc::clone(&part.segment));
                fingers.extend(alive(part));
            }
        }
        if fingers.is_empty() && instead_of.is_empty() {
            return None;
        }
        // Entries of a segment are in key order.
        fingers.sort_by(|((a, _), _), ((b, _), _)| a.cmp(b));
        Some(Batch { fingers, instead_of, budget: Arc::clone(budget) })
    }

    /// Puts a segment in. What it holds is taken out of where it was; what was removed meanwhile is dead in it.
    pub(super) fn place(&mut self, built: Built<K>) {
        let Built { segment, instead_of } = built;
        let mut there: HashSet<usize> = HashSet::new();
        let parts = Arc::make_mut(&mut self.parts);
        parts.retain(|part| {
            let replaced = instead_of.iter().any(|segment| Arc::ptr_eq(segment, &part.segment));
            if replaced {
                let alive = part.segment.entries.iter().enumerate().filter(|(at, _)| !part.is_dead(*at));
                there.extend(alive.map(|(_, (_, finger))| address(finger)));
            }
            !replaced
        });
        if instead_of.is_empty() {
            let ours: HashSet<usize> = segment.entries.iter().map(|(_, finger)| address(finger)).collect();
            if self.unsketched.iter().any(|(_, finger)| ours.contains(&address(finger))) {
                let unsketched = Arc::make_mut(&mut self.unsketched);
                unsketched.retain(|(_, finger)| {
                    let taken = ours.contains(&address(finger));
                    there.extend(taken.then(|| address(finger)));
                    !taken
                });
            }
            if self.tail.iter().any(|recent| ours.contains(&address(&recent.entry.1))) {
                Arc::make_mut(&mut self.tail).retain(|recent| {
                    let finger = address(&recent.entry.1);
                    let taken = ours.contains(&finger);
                    there.extend(taken.then_some(finger));
                    !taken
                });
            }
        }
        let dead: Vec<bool> =
            segment.entries.iter().map(|(_, finger)| !there.contains(&address(finger))).collect();
        let lives = segment.entries.iter().zip(&dead).filter(|(_, dead)| !**dead);
        let live = lives.map(|((_, finger), _)| finger.impressions()).sum();
        let dead = if dead.contains(&true) { dead } else { Vec::new() };
        if live > 0 {
            parts.push(Part { segment: Arc::new(segment), dead: Arc::new(dead), live });
        }
        self.unsketched_impressions = self.unsketched.iter().map(|(_, finger)| finger.impressions()).sum();
        self.tail_impressions = self.tail.iter().map(|recent| recent.entry.1.impressions()).sum();
    }
}

/// The fingers of a part that are there, with their sketches.
fn alive<K: Clone>(part: &Part<K>) -> Vec<Sketched<K>> {
    let segment = &part.segment;
    let mut views: Vec<Vec<Sketch>> = vec![Vec::new(); segment.entries.len()];
    for (impression, finger) in segment.finger_of.iter().enumerate() {
        if let Some(views) = views.get_mut(usize::from(*finger)) {
            views.extend(segment.sketch(impression));
        }
    }
    let entries = segment.entries.iter().zip(views).enumerate();
    let alive = entries.filter(|(at, _)| !part.is_dead(*at));
    alive.map(|(_, (entry, views))| (entry.clone(), Some(views.into()))).collect()
}
