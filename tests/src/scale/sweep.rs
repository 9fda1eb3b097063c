//! Where the fingers of the probes stand after each stage, over the whole gallery: what a shortlist of a size would miss. The sizes
//! in the matcher's `params.rs` are chosen by it.

use authenteon_matcher::{
    Prepared,
    search::{Gallery, Standing},
};
use serde::Serialize;

use super::{engine::Key, search::Probe};
use crate::accuracy::Progress;

/// Shares of the gallery, in percent.
const SHARES: [f64; 9] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// What a stage misses that takes a share of the gallery to the next one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cut {
    /// Impressions that go on, in percent of all.
    pub share: f64,
    /// Probes whose finger is not among them, percent: by votes, ...
    pub votes: f64,
    /// ... laid on the probe as the votes say, ...
    pub alignment: f64,
    /// ... and by the likeness of whole sketches.
    pub likeness: f64,
}

/// Looks where the finger of each probe stands; each takes as long as many searches.
pub(super) fn sweep(
    gallery: &Gallery<Key>,
    probes: &[Probe],
    threads: usize,
    progress: &dyn Progress,
) -> Vec<Cut> {
    let with_template = probes.iter().filter_map(|probe| Some((probe.key, probe.template.as_ref()?)));
    let with_template: Vec<_> = with_template.collect();
    progress.begin("sweeping", with_template.len());
    let standings: Vec<Standing> = with_template
        .iter()
        .filter_map(|(key, template)| {
            let standing = gallery.standing(&Prepared::new(template), key, threads);
            progress.advance(1);
            standing
        })
        .collect();
    cuts(&standings)
}

fn cuts(standings: &[Standing]) -> Vec<Cut> {
    let cut = |share: f64| {
        let beyond = |place: fn(&Standing) -> f64| {
            let missed = standings.iter().filter(|standing| 100.0 * place(standing) >= share).count();
            100.0 * missed as f64 / standings.len().max(1) as f64
        };
        Cut {
            share,
            votes: beyond(|standing| standing.votes),
            alignment: beyond(|standing| standing.alignment),
            likeness: beyond(|standing| standing.likeness),
        }
    };
    SHARES.map(cut).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finger_that_stands_behind_a_share_is_missed_by_it() {
        let first = Standing { votes: 0.0, alignment: 0.0, likeness: 0.0 };
        let behind = Standing { votes: 0.015, alignment: 0.001, likeness: 0.0 };
        let cuts = cuts(&[first, first, first, behind]);
        let missed =
            |share: f64| cuts.iter().find(|cut| cut.share == share).map(|cut| (cut.votes, cut.alignment));
        assert_eq!(missed(0.05), Some((25.0, 25.0)));
        assert_eq!(missed(1.0), Some((25.0, 0.0)));
        assert_eq!(missed(2.0), Some((0.0, 0.0)));
        assert!(cuts.iter().all(|cut| cut.likeness == 0.0));
    }
}
