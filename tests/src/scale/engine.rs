//! What of the matcher's gallery is measured: the one place of the bench that calls it.

use authenteon_matcher::{
    Prepared,
    search::{Candidate, Finger, Gallery},
};

/// How fingers are called in the bench.
pub(crate) type Key = u32;

/// The cascade.
pub(super) fn search(
    gallery: &Gallery<Key>,
    probe: &Prepared,
    _threads: usize,
    stage: &mut dyn FnMut(&'static str, usize),
) -> Vec<Candidate<Key>> {
    let found = gallery.search(probe, 10);
    stage("comparison", gallery.impressions());
    found
}

/// The comparison with everybody.
pub(super) fn exhaustive(gallery: &Gallery<Key>, probe: &Prepared) -> Vec<Candidate<Key>> {
    gallery.search(probe, 1)
}

/// Bytes of the gallery: templates, cylinders, index, other.
pub(super) fn bytes(gallery: &Gallery<Key>) -> [(&'static str, usize); 4] {
    [("templates", 0), ("cylinders", gallery.kept_bytes()), ("index", 0), ("other", 0)]
}

/// An enrolled finger.
pub(super) fn finger(templates: &[authenteon_matcher::Template]) -> Finger {
    Finger::new(templates)
}

/// This processor has not the instructions that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this processor has not the instructions of {0}")]
pub struct NotHere(&'static str);

/// Has all kernels use these instructions, once and for all; the name of those in use.
///
/// # Errors
/// [`NotHere`] when the processor has not got them.
pub fn force(kernel: Option<&'static str>) -> Result<String, NotHere> {
    kernel.map_or_else(|| Ok("best kernel".to_owned()), |name| Err(NotHere(name)))
}
