//! Do the ridges run alike under an alignment: same way, same distance apart?

use super::cylinder::turn;
use crate::{params::FLOW_CELL, template::flow::Flow};

/// What the two flows say where both are clear.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Agreement {
    /// Cells where both are clear.
    pub(crate) cells: f32,
    /// Mean cosine of twice the angle between the ridges.
    pub(crate) direction: f32,
    /// Mean of the logarithm of the ratio of the periods, either way.
    pub(crate) spacing: f32,
}

/// Compares two flows; `place` moves a point of the probe onto the reference (y up), `angle` is its
/// turn in 1/256.
pub(crate) fn agreement(
    probe: &Flow,
    reference: &Flow,
    angle: u8,
    place: impl Fn(f32, f32) -> (f32, f32),
) -> Agreement {
    let mut out = Agreement::default();
    let half = FLOW_CELL as f32 / 2.0;
    for (row, cells) in probe.cells.chunks_exact(probe.width).enumerate() {
        let y = -((row * FLOW_CELL) as f32 + half);
        for (column, cell) in cells.iter().enumerate() {
            if cell.period == 0 {
                continue;
            }
            let (x, y) = place((column * FLOW_CELL) as f32 + half, y);
            let Some(other) = reference.at(x, -y) else { continue };
            // Half turns have 256 steps, so a turn counts twice.
            let off = cell.angle.wrapping_add(angle.wrapping_mul(2)).wrapping_sub(other.angle);
            out.cells += 1.0;
            out.direction += turn(off).1;
            let (p, q) = (f32::from(cell.period), f32::from(other.period));
            out.spacing += (p - q).abs() / (0.5 * (p + q));
        }
    }
    if out.cells > 0.0 {
        out.direction /= out.cells;
        out.spacing /= out.cells;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::flow::FlowCell;

    fn stripes(angle: u8, period: u8) -> Flow {
        Flow { width: 10, height: 8, cells: vec![FlowCell { angle, period }; 80] }
    }

    fn still(x: f32, y: f32) -> (f32, f32) {
        (x, y)
    }

    #[test]
    fn a_flow_agrees_with_itself_everywhere() {
        let found = agreement(&stripes(30, 108), &stripes(30, 108), 0, still);
        assert_eq!(found, Agreement { cells: 80.0, direction: 1.0, spacing: 0.0 });
    }

    #[test]
    fn the_turn_of_the_alignment_is_taken_out() {
        // A quarter turn of the print is half of the half turn that directions repeat after.
        let found = agreement(&stripes(30, 108), &stripes(30 + 128, 108), 64, still);
        assert!(found.direction > 0.999, "{found:?}");
        let wrong = agreement(&stripes(30, 108), &stripes(30 + 128, 108), 0, still);
        assert!(wrong.direction < -0.999, "{wrong:?}");
    }

    #[test]
    fn ridges_of_another_spacing_differ_by_their_ratio() {
        let found = agreement(&stripes(0, 100), &stripes(0, 120), 0, still);
        assert!((found.spacing - 20.0 / 110.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn only_where_both_are_clear_they_are_compared() {
        let mut holes = stripes(0, 100);
        holes.cells[..40].fill(FlowCell::NONE);
        assert_eq!(agreement(&holes, &stripes(0, 100), 0, still).cells, 40.0);
        assert_eq!(agreement(&stripes(0, 100), &holes, 0, still).cells, 40.0);
        // Moved off the reference there is nothing.
        let away = agreement(&stripes(0, 100), &stripes(0, 100), 0, |x, y| (x + 1e4, y));
        assert_eq!(away, Agreement::default());
    }
}
