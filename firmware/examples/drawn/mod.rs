//! Fingers drawn by chance: what the measurements of galleries and stores are made of, so that they need nobody's.
//!
//! Invariant: a number gives the same finger everywhere and always, and another number another one. Their count of
//! minutiae and their size are those of real ones; how well they are told apart says nothing.

use std::f64::consts::{PI, TAU};

use authenteon::{
    gallery::FingerKey,
    subject::{FingerPosition, SubjectId},
};
use authenteon_matcher::{Minutia, MinutiaKind, Template, params::FLOW_CELL};

/// Pixels of an impression on a side.
const SIDE: u16 = 400;

/// Numbers from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Who the finger of a number is of.
pub(crate) fn key(number: u64) -> FingerKey {
    let mut random = Random(number);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next().to_be_bytes());
    id[8..].copy_from_slice(&random.next().to_be_bytes());
    (SubjectId::from_bytes(id), FingerPosition::RightIndex)
}

/// The same as a key of the store.
pub(crate) fn stored_key(number: u64) -> Vec<u8> {
    let (subject, position) = key(number);
    let mut bytes = subject.as_bytes().to_vec();
    bytes.push(position.code());
    bytes
}

/// A finger of one view as the store has it: its length, and it.
pub(crate) fn value(seed: u64) -> Result<Vec<u8>, String> {
    let view = native(seed)?;
    let mut value = (view.len() as u16).to_be_bytes().to_vec();
    value.extend(view);
    Ok(value)
}

/// The native coding of an impression: minutiae in an oval, their angle along a flow that bends around a core.
pub(crate) fn native(seed: u64) -> Result<Vec<u8>, String> {
    let mut random = Random(seed);
    let (core_x, core_y) = (170.0 + 60.0 * random.unit(), 160.0 + 60.0 * random.unit());
    let (tilt, bend) = (PI * (random.unit() - 0.5) / 4.0, 0.6 + 0.6 * random.unit());
    let (across, down) = (120.0 + 40.0 * random.unit(), 150.0 + 40.0 * random.unit());
    let inside = |x: f64, y: f64| ((x - 200.0) / across).powi(2) + ((y - 200.0) / down).powi(2) < 1.0;
    // Half of the angle about the core: what makes a loop.
    let flow = |x: f64, y: f64| tilt + bend * 0.5 * (y - core_y).atan2(x - core_x);
    let mut minutiae: Vec<Minutia> = Vec::new();
    let count = 36 + (random.next() % 20) as usize;
    for _ in 0..4000 {
        if minutiae.len() == count {
            break;
        }
        let (x, y) = (400.0 * random.unit(), 400.0 * random.unit());
        let apart = |m: &Minutia| (f64::from(m.x) / 10.0 - x).hypot(f64::from(m.y) / 10.0 - y) > 14.0;
        if !inside(x, y) || !minutiae.iter().all(apart) {
            continue;
        }
        let angle = -flow(x, y) + PI * (random.next() % 2) as f64 + 0.3 * (random.unit() - 0.5);
        minutiae.push(Minutia {
            x: (10.0 * x) as u16,
            y: (10.0 * y) as u16,
            angle: (angle.rem_euclid(TAU) / TAU * 255.0) as u8,
            kind: if random.next().is_multiple_of(3) {
                MinutiaKind::Bifurcation
            } else {
                MinutiaKind::Ending
            },
            quality: 40 + (random.next() % 60) as u8,
        });
    }
    let template = Template::from_minutiae(SIDE, SIDE, minutiae).map_err(|why| why.to_string())?;
    let mut bytes = template.to_bytes();
    // Of the version that has a flow.
    bytes[4] = 2;
    let cells = usize::from(SIDE).div_ceil(FLOW_CELL);
    for (row, column) in (0..cells).flat_map(|row| (0..cells).map(move |column| (row, column))) {
        let middle = |place: usize| ((place * FLOW_CELL) + FLOW_CELL / 2) as f64;
        let (x, y) = (middle(column), middle(row));
        if inside(x, y) {
            let angle = flow(x, y).rem_euclid(PI) / PI * 255.0;
            bytes.extend([angle as u8, 96 + (random.next() % 24) as u8]);
        } else {
            bytes.extend([0, 0]);
        }
    }
    Ok(bytes)
}
