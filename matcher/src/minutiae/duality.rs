//! Where a ridge ends, two valleys join, and where a ridge forks, a valley ends. A minutia seen by
//! both skeletons is believed; one seen by a single skeleton is doubted.

use super::Candidate;
use crate::params::{DUAL_ANGLE_COS, DUAL_DISTANCE, DUAL_PENALTY};

/// Joins the two lists.
pub(crate) fn join(ridges: &[Candidate], valleys: &[Candidate]) -> Vec<Candidate> {
    let mut pairs = Vec::new();
    for (i, r) in ridges.iter().enumerate() {
        for (j, v) in valleys.iter().enumerate() {
            let (dx, dy) = (r.x - v.x, r.y - v.y);
            let distance2 = dx * dx + dy * dy;
            if distance2 <= DUAL_DISTANCE * DUAL_DISTANCE
                && r.dx * v.dx + r.dy * v.dy >= DUAL_ANGLE_COS
                && r.kind == v.kind
            {
                pairs.push((distance2, i, j));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut used_ridge = vec![false; ridges.len()];
    let mut used_valley = vec![false; valleys.len()];
    let mut out = Vec::new();
    for (_, i, j) in pairs {
        if !used_ridge[i] && !used_valley[j] {
            used_ridge[i] = true;
            used_valley[j] = true;
            out.push(mean(&ridges[i], &valleys[j]));
        }
    }
    let alone = |list: &[Candidate], used: &[bool]| -> Vec<Candidate> {
        list.iter()
            .zip(used)
            .filter(|(_, used)| !**used)
            .map(|(c, _)| Candidate { quality: c.quality * DUAL_PENALTY, ..*c })
            .collect()
    };
    out.extend(alone(ridges, &used_ridge));
    out.extend(alone(valleys, &used_valley));
    out
}

fn mean(a: &Candidate, b: &Candidate) -> Candidate {
    let (dx, dy) = (a.dx + b.dx, a.dy + b.dy);
    let length = (dx * dx + dy * dy).sqrt().max(1e-3);
    Candidate {
        x: (a.x + b.x) / 2.0,
        y: (a.y + b.y) / 2.0,
        dx: dx / length,
        dy: dy / length,
        kind: a.kind,
        quality: (a.quality + b.quality) / 2.0,
    }
}
