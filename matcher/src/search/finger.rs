//! An enrolled finger in memory: its impressions packed, and prepared besides while the budget allows it.
//!
//! Invariant: what is kept prepared is what unpacking and preparing give, so whether it is kept changes how
//! long a comparison takes and nothing else. Nobody waits for somebody else who prepares the same finger.

use std::{
    iter,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::sketch::{Sketch, sketch};
use crate::{
    compare::{Prepared, Sameness, compare, compare_views, sameness},
    score::Score,
    template::{
        Template, TemplateError,
        packed::{pack, pack_native, unpack},
    },
};

/// One enrolled finger.
pub struct Finger {
    packed: Box<[u8]>,
    impressions: u32,
    /// In a box: most fingers of a large gallery have none.
    kept: OnceLock<Box<Kept>>,
}

/// What is kept prepared, and the place in the budget that it holds.
struct Kept {
    views: Box<[Prepared]>,
    _place: Place,
}

impl Finger {
    /// A finger of these impressions.
    #[must_use]
    pub fn new(views: &[Template]) -> Self {
        let mut packed = Vec::new();
        views.iter().for_each(|view| pack(view, &mut packed));
        Self { packed: packed.into(), impressions: views.len() as u32, kept: OnceLock::new() }
    }

    /// A finger of these impressions in their native coding: the same as [`Self::new`] of the templates.
    ///
    /// # Errors
    /// [`TemplateError`] of the first that is none.
    pub fn of_native<'a>(views: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TemplateError> {
        let (mut packed, mut impressions) = (Vec::new(), 0);
        for view in views {
            pack_native(view, &mut packed)?;
            impressions += 1;
        }
        Ok(Self { packed: packed.into(), impressions, kept: OnceLock::new() })
    }

    /// How many impressions of it there are.
    #[must_use]
    pub fn impressions(&self) -> usize {
        self.impressions as usize
    }

    /// The best score among its impressions. They are prepared anew even where they are kept prepared: how
    /// long it takes does not tell of which finger they are.
    #[must_use]
    pub fn compare(&self, probe: &Prepared) -> Score {
        compare_views(probe, &self.prepare())
    }

    /// How far a probe is the same as that of its impressions which it is most. Kept ones are used where there are: it is
    /// asked of all fingers of a person who was recognised.
    #[must_use]
    pub fn sameness(&self, probe: &Prepared) -> Sameness {
        let most = |views: &[Prepared]| {
            let each = views.iter().map(|view| sameness(probe, view));
            each.fold(Sameness::NONE, |most, one| if one > most { one } else { most })
        };
        self.kept.get().map_or_else(|| most(&self.prepare()), |kept| most(&kept.views))
    }

    /// Gives its impressions prepared: kept ones where there are, and what the budget has place for is kept.
    pub(super) fn prepared<T>(&self, budget: &Arc<Budget>, use_them: impl FnOnce(&[Prepared]) -> T) -> T {
        if let Some(kept) = self.kept.get() {
            return use_them(&kept.views);
        }
        let views = self.prepare();
        let used = use_them(&views);
        self.keep(views, budget);
        used
    }

    /// The best score among its impressions, by kept ones where there are.
    pub(super) fn compare_kept(&self, budget: &Arc<Budget>, probe: &Prepared) -> Score {
        self.prepared(budget, |views| compare_views(probe, views))
    }

    /// The score of one of its impressions.
    pub(super) fn compare_view(&self, budget: &Arc<Budget>, probe: &Prepared, view: usize) -> Score {
        let score = |views: &[Prepared]| views.get(view).map_or(Score::ZERO, |view| compare(probe, view));
        if self.kept.get().is_some() || budget.has_place() {
            return self.prepared(budget, score);
        }
        self.templates().nth(view).map_or(Score::ZERO, |view| compare(probe, &Prepared::new(&view)))
    }

    /// What a search keeps of each impression. Where the budget has place they are kept prepared besides.
    pub(super) fn sketches(&self, budget: &Arc<Budget>) -> Arc<[Sketch]> {
        if self.kept.get().is_some() || budget.has_place() {
            return self.prepared(budget, |views| views.iter().map(sketch).collect());
        }
        self.templates().map(|view| sketch(&Prepared::new(&view))).collect()
    }

    fn keep(&self, views: Box<[Prepared]>, budget: &Arc<Budget>) -> bool {
        let bytes = size_of::<Kept>() + views.iter().map(Prepared::bytes).sum::<usize>();
        let Some(place) = budget.take(bytes) else { return false };
        // Whoever was faster kept the same; this place is given back.
        let _ = self.kept.set(Box::new(Kept { views, _place: place }));
        true
    }

    fn prepare(&self) -> Box<[Prepared]> {
        self.templates().map(|view| Prepared::new(&view)).collect()
    }

    fn templates(&self) -> impl Iterator<Item = Template> + '_ {
        let mut rest = &*self.packed;
        iter::from_fn(move || {
            let (view, after) = unpack(rest)?;
            rest = after;
            Some(view)
        })
    }

    /// Bytes in memory without what is kept prepared, as a list of them holds it.
    pub(super) fn bytes(&self) -> usize {
        // The counts of its two owners, and what an allocation is rounded up by.
        const AROUND: usize = 2 * size_of::<usize>() + 24;
        size_of::<Self>() + self.packed.len() + AROUND
    }
}

/// Of more impressions than these only a few are kept prepared: of those that a search happens on hardly any would be among them.
const KEPT_WHOLE: usize = 25_000;
/// What is kept of a larger gallery, bytes an impression over all: with it the whole of an impression is below 2,500.
const KEPT_EACH: usize = 100;

/// How many bytes may be kept prepared, and are.
pub(super) struct Budget {
    most: usize,
    taken: AtomicUsize,
    /// Impressions of the gallery as it was changed last.
    impressions: AtomicUsize,
}

/// A place in the budget, given back when it is dropped.
struct Place {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0), impressions: AtomicUsize::new(0) }
    }

    /// Of a gallery of so many impressions from now on. What is kept already stays.
    pub(super) fn now_of(&self, impressions: usize) {
        self.impressions.store(impressions, Ordering::Relaxed);
    }

    fn allowed(&self) -> usize {
        let impressions = self.impressions.load(Ordering::Relaxed);
        if impressions <= KEPT_WHOLE { self.most } else { self.most.min(impressions * KEPT_EACH) }
    }

    /// Whether there is place for one more, about.
    fn has_place(&self) -> bool {
        self.taken() < self.allowed()
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let more = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.allowed());
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { budget: Arc::clone(self), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_large_gallery_a_hundred_bytes_an_impression_are_kept_and_not_all_that_there_is_place_for() {
        let budget = Budget::new(96 << 20);
        for (impressions, allowed) in
            [(0, 96 << 20), (25_000, 96 << 20), (25_001, 2_500_100), (2_000_000, 96 << 20)]
        {
            budget.now_of(impressions);
            assert_eq!(budget.allowed(), allowed);
        }
        budget.now_of(30_000);
        let budget = Arc::new(budget);
        let place = budget.take(3_000_000).unwrap();
        assert!(!budget.has_place() && budget.take(1).is_none());
        drop(place);
        assert!(budget.has_place());
    }
}
