//! 1:1 comparison: cylinders, likeness of all pairs, relaxation, alignment, score.

mod agreement;
pub(crate) mod consolidate;
mod copy;
pub(crate) mod cylinder;
mod fuse;
pub(crate) mod local;
pub(crate) mod relax;

pub use consolidate::Evidence;
pub use copy::{Sameness, sameness};
pub use fuse::{TERM_NAMES, TERMS, terms};

use crate::{
    params::LOCAL_LEAST,
    score::Score,
    template::{Template, flow::Flow},
};
use cylinder::{Cylinder, Hull, Pose};
use relax::Relaxed;

/// A template made ready to be compared many times. Costs memory, saves time.
#[derive(Clone)]
pub struct Prepared {
    pub(crate) poses: Vec<Pose>,
    pub(crate) cylinders: Vec<Cylinder>,
    hull: Hull,
    flow: Option<Flow>,
}

impl Prepared {
    /// Builds the local structures of a template.
    #[must_use]
    pub fn new(template: &Template) -> Self {
        let poses: Vec<Pose> = template.minutiae().iter().map(Pose::of).collect();
        let hull = Hull::of(&poses);
        let mut cylinders = cylinder::build(&poses, &hull);
        // It is kept for long, and a quarter would be room for more.
        cylinders.shrink_to_fit();
        Self { poses, cylinders, hull, flow: template.flow.clone() }
    }

    /// Bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let cells = self.flow.as_ref().map_or(0, |flow| size_of_val(flow.cells.as_slice()));
        size_of::<Self>()
            + size_of_val(self.poses.as_slice())
            + size_of_val(self.cylinders.as_slice())
            + self.hull.bytes()
            + cells
    }
}

/// Compares a probe with a reference.
#[must_use]
pub fn compare(probe: &Prepared, reference: &Prepared) -> Score {
    crate::score::calibrate(fuse::fuse(&evidence(probe, reference)))
}

/// Compares a probe with the several views of one enrolled finger: the best counts.
#[must_use]
pub fn compare_views(probe: &Prepared, views: &[Prepared]) -> Score {
    let scores = views.iter().map(|view| compare(probe, view));
    scores.fold(Score::ZERO, |best, score| if score > best { score } else { best })
}

/// What a comparison finds, before it is weighed into a score.
#[must_use]
pub fn evidence(probe: &Prepared, reference: &Prepared) -> Evidence {
    let (relaxed, local) = local_pairs(probe, reference);
    if local < LOCAL_LEAST {
        return Evidence { local, ..Evidence::default() };
    }
    consolidate::consolidate(probe, reference, &relaxed, local)
}

/// The pairs of local structures after relaxation, and the mean likeness of the best.
pub(crate) fn local_pairs(probe: &Prepared, reference: &Prepared) -> (Vec<Relaxed>, f32) {
    let (n, m) = (probe.cylinders.len(), reference.cylinders.len());
    let mut pairs = Vec::with_capacity(n * m);
    local::pairs(&probe.cylinders, &reference.cylinders, &mut pairs);
    let relaxed = relax::relax(&probe.poses, &reference.poses, &mut pairs, n.min(m));
    let counted = relax::pairs_counted(n, m);
    let local = relaxed.iter().take(counted).map(|r| r.after).sum::<f32>() / counted as f32;
    (relaxed, local)
}

#[cfg(test)]
mod tests;
