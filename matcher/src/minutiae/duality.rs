//! Ridges and valleys tell the same story twice: where a ridge ends two valleys meet. A minutia that
//! both skeletons show is trusted; one that only one shows, or that stands in a crowd, is not
//! (SBMEX, Cappelli).

use crate::{
    minutiae::{Minutia, MinutiaKind, detect::Candidate},
    params::{CROWD_SIGMA, DUAL_ANGLE, DUAL_DISTANCE, LEAST_QUALITY, UNPAIRED},
};

/// Merges the candidates of both skeletons; those of the valleys change their kind.
pub(crate) fn merged(ridges: &[Candidate], valleys: &[Candidate]) -> Vec<Candidate> {
    let valleys: Vec<Candidate> = valleys
        .iter()
        .map(|v| Candidate {
            kind: match v.kind {
                MinutiaKind::Ending => MinutiaKind::Bifurcation,
                MinutiaKind::Bifurcation => MinutiaKind::Ending,
            },
            ..*v
        })
        .collect();
    let mut pairs = Vec::new();
    for (r, ridge) in ridges.iter().enumerate() {
        for (v, valley) in valleys.iter().enumerate() {
            let distance = distance(ridge, valley);
            if distance <= DUAL_DISTANCE * 1.5
                && angle_between(ridge.angle, valley.angle) <= DUAL_ANGLE.to_radians()
            {
                pairs.push((distance, r, v));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut ridge_free, mut valley_free) = (vec![true; ridges.len()], vec![true; valleys.len()]);
    let mut all = Vec::new();
    for (_, r, v) in pairs {
        if ridge_free[r] && valley_free[v] {
            ridge_free[r] = false;
            valley_free[v] = false;
            // An end is a sharper place than a fork: it gives place and angle.
            let (ridge, valley) = (&ridges[r], &valleys[v]);
            let sharp = if ridge.kind == MinutiaKind::Ending { ridge } else { valley };
            all.push(Candidate {
                quality: ridge.quality.max(valley.quality),
                kind: sharp_kind(ridge, valley),
                ..*sharp
            });
        }
    }
    let alone = |c: &Candidate| Candidate { quality: c.quality * UNPAIRED, ..*c };
    all.extend(ridges.iter().zip(&ridge_free).filter(|(_, free)| **free).map(|(c, _)| alone(c)));
    all.extend(valleys.iter().zip(&valley_free).filter(|(_, free)| **free).map(|(c, _)| alone(c)));
    all
}

/// Where both agree the kind is theirs; where they differ, the ridge's.
fn sharp_kind(ridge: &Candidate, _valley: &Candidate) -> MinutiaKind {
    ridge.kind
}

/// Lowers the quality of those that stand close together, and drops the doubtful.
pub(crate) fn kept(mut all: Vec<Candidate>) -> Vec<Candidate> {
    let crowding: Vec<f32> = all
        .iter()
        .enumerate()
        .map(|(a, one)| {
            all.iter()
                .enumerate()
                .filter(|(b, _)| a != *b)
                .map(|(_, other)| {
                    let d = distance(one, other);
                    if d > 4.0 * CROWD_SIGMA {
                        0.0
                    } else {
                        libm::expf(-d * d / (2.0 * CROWD_SIGMA * CROWD_SIGMA)) * other.quality
                    }
                })
                .sum()
        })
        .collect();
    for (candidate, crowd) in all.iter_mut().zip(crowding) {
        candidate.quality *= libm::exp2f(-crowd);
    }
    all.retain(|c| c.quality >= LEAST_QUALITY);
    all
}

/// Rounds to what a template keeps.
pub(crate) fn minutia(c: &Candidate, width: usize, height: usize) -> Minutia {
    let tenths = |v: f32, size: usize| (libm::rintf(v * 10.0).max(0.0) as u16).min((size * 10 - 1) as u16);
    // y runs down here and angles counter-clockwise on screen there.
    let turns = -c.angle / std::f32::consts::TAU;
    let angle = libm::rintf((turns - libm::floorf(turns)) * 256.0) as u16;
    Minutia {
        x: tenths(c.x, width),
        y: tenths(c.y, height),
        angle: (angle % 256) as u8,
        kind: c.kind,
        quality: libm::rintf(c.quality.clamp(0.0, 1.0) * 100.0) as u8,
    }
}

fn distance(a: &Candidate, b: &Candidate) -> f32 {
    let (dx, dy) = (a.x - b.x, a.y - b.y);
    libm::sqrtf(dx * dx + dy * dy)
}

/// Least angle between two directions, 0 to pi.
fn angle_between(a: f32, b: f32) -> f32 {
    let turns = (a - b) / std::f32::consts::TAU;
    (turns - libm::rintf(turns)).abs() * std::f32::consts::TAU
}
