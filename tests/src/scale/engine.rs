//! What of the matcher's gallery is measured: the one place of the bench that calls it.

use authenteon_matcher::{
    Prepared,
    search::{Bytes, Candidate, Gallery, Search},
    simd::{Kernel, NotForced},
};

/// How fingers are called in the bench.
pub(crate) type Key = u32;

/// Candidates that a search gives.
const LIMIT: usize = 10;

/// The cascade; told of each stage that ended and of the impressions that are left.
pub(super) fn search(
    gallery: &Gallery<Key>,
    probe: &Prepared,
    threads: usize,
    told: &mut (dyn FnMut(&'static str, usize) + Send),
) -> Vec<Candidate<Key>> {
    let asked = Search { limit: LIMIT, threads, ..Search::default() };
    gallery.search_with(probe, &asked, &mut |stage| told(stage.name, stage.kept))
}

/// Who comes first by comparing with everybody.
pub(super) fn exhaustive(gallery: &Gallery<Key>, probe: &Prepared) -> Option<Key> {
    // Many probes are compared at a time, each on one thread.
    gallery.exhaustive(probe, 1, 1).first().map(|(key, _)| *key)
}

/// Bytes of the gallery: templates, cylinders, index, and what is kept prepared within a budget.
pub(super) fn bytes(gallery: &Gallery<Key>) -> [usize; 4] {
    let Bytes { templates, cylinders, index, prepared } = gallery.bytes();
    [templates, cylinders, index, prepared]
}

/// Has all kernels use these instructions, once and for all; none asks for the best that are here. The name of those in
/// use.
///
/// # Errors
/// [`NotForced`] when the processor has not got them.
pub fn force(kernel: Option<Kernel>) -> Result<String, NotForced> {
    if let Some(kernel) = kernel {
        kernel.force()?;
    }
    Ok(format!("{:?}", Kernel::chosen()).to_lowercase())
}
