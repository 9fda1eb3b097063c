//! What is wrong with a print, in terms of what the person at the reader can do about it.
//!
//! Measured on the picture itself, so that it can be said of prints that give no template too. The
//! limits (`params`) are quantiles of real sets; invariant: reasons come in a fixed order, each once.

use super::{grid::Grid, plane::Plane};
use crate::params::{
    CELL, CONDITION_STRIDE, GRADIENT_RATIO_MOVED, OFF_CENTRE, RIDGE_SHARE_DRY, RIDGE_SHARE_WET, WHOLE_AREA,
};

/// Why a print is not as good as it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QualityReason {
    /// The finger covers too little of the reader.
    Partial,
    /// It lies at the border of the reader.
    OffCentre,
    /// Ridges are thin and broken.
    TooDry,
    /// Ridges run together.
    TooWet,
    /// Ridges of one direction are blurred: the finger moved.
    Moved,
}

impl QualityReason {
    /// A word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::OffCentre => "off-centre",
            Self::TooDry => "too-dry",
            Self::TooWet => "too-wet",
            Self::Moved => "moved",
        }
    }

    /// What the person can do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Partial => "lay more of the finger on the reader",
            Self::OffCentre => "move the finger to the centre",
            Self::TooDry => "press a little harder, or breathe on the finger",
            Self::TooWet => "wipe the finger and press less hard",
            Self::Moved => "hold the finger still",
        }
    }
}

/// Reasons, the most important first.
pub(crate) fn reasons(grey: &Plane<f32>, mask: &Plane<bool>) -> Vec<QualityReason> {
    let cells: Vec<(usize, usize)> = (0..mask.height)
        .flat_map(|cy| (0..mask.width).map(move |cx| (cx, cy)))
        .filter(|&(cx, cy)| mask.at(cx, cy))
        .collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if cells.len() * CELL * CELL < WHOLE_AREA {
        found.push(QualityReason::Partial);
    }
    if is_off_centre(mask, &cells) {
        found.push(QualityReason::OffCentre);
    }
    let share = ridge_share(grey, mask);
    if share < RIDGE_SHARE_DRY {
        found.push(QualityReason::TooDry);
    } else if share > RIDGE_SHARE_WET {
        found.push(QualityReason::TooWet);
    }
    if gradient_ratio(grey) > GRADIENT_RATIO_MOVED {
        found.push(QualityReason::Moved);
    }
    found
}

/// The finger's middle lies far from the reader's, and its border is cut off on that side.
fn is_off_centre(mask: &Plane<bool>, cells: &[(usize, usize)]) -> bool {
    let n = cells.len() as f32;
    let axis = |pick: fn(&(usize, usize)) -> usize, side: usize| {
        let mean = cells.iter().map(|c| pick(c) as f32 + 0.5).sum::<f32>() / n / side as f32 - 0.5;
        let edge = if mean < 0.0 { 0 } else { side - 1 };
        let cut = cells.iter().filter(|c| pick(c).abs_diff(edge) <= 1).count();
        // A finger that merely ends near the border touches it in a few blocks only.
        mean.abs() > OFF_CENTRE && cut * 4 > side
    };
    axis(|c| c.0, mask.width) || axis(|c| c.1, mask.height)
}

/// How much of the finger is darker than the middle between its ridges and valleys, seen through
/// windows of two blocks.
fn ridge_share(grey: &Plane<f32>, mask: &Plane<bool>) -> f32 {
    let grid = Grid::over(grey.width, grey.height);
    let (mut sum, mut windows) = (0.0f32, 0.0f32);
    let mut values = Vec::with_capacity(4 * CELL * CELL);
    for cy in (0..grid.height.saturating_sub(1)).step_by(CONDITION_STRIDE) {
        for cx in (0..grid.width.saturating_sub(1)).step_by(CONDITION_STRIDE) {
            if !mask.at(cx, cy) || !mask.at(cx + 1, cy + 1) {
                continue;
            }
            values.clear();
            for y in grid.rows(cy).start..grid.rows(cy + 1).end {
                values.extend_from_slice(&grey.row(y)[grid.columns(cx).start..grid.columns(cx + 1).end]);
            }
            let last = values.len() - 1;
            let low = *values.select_nth_unstable_by(last / 20, f32::total_cmp).1;
            let high = *values.select_nth_unstable_by(last - last / 20, f32::total_cmp).1;
            let dark = values.iter().filter(|&&v| v < 0.5 * (low + high)).count();
            sum += dark as f32 / values.len() as f32;
            windows += 1.0;
        }
    }
    if windows > 0.0 { sum / windows } else { 0.5 }
}

/// How much stronger the gradients are along their main direction than across it. Movement blurs the
/// ridges that it crosses and leaves those that it follows.
fn gradient_ratio(grey: &Plane<f32>) -> f32 {
    let (mut xx, mut yy, mut xy) = (0.0f32, 0.0f32, 0.0f32);
    for y in 1..grey.height.saturating_sub(1) {
        let (above, here, below) = (grey.row(y - 1), grey.row(y), grey.row(y + 1));
        // A sum for each row: one for all would lose what is small against it.
        let (mut row_xx, mut row_yy, mut row_xy) = (0.0f32, 0.0f32, 0.0f32);
        for x in 1..grey.width.saturating_sub(1) {
            let (gx, gy) = (here[x + 1] - here[x - 1], below[x] - above[x]);
            row_xx += gx * gx;
            row_yy += gy * gy;
            row_xy += gx * gy;
        }
        xx += row_xx;
        yy += row_yy;
        xy += row_xy;
    }
    let mean = 0.5 * (xx + yy);
    let swing = (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt();
    (mean + swing) / (mean - swing).max(1e-3 * mean + 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// Rings with a period of 9 whose dark part has this share, on a finger over these blocks.
    fn print(share: f32, columns: Range<usize>, rows: Range<usize>) -> (Plane<f32>, Plane<bool>) {
        let mut grey = Plane::filled(320, 320, 255.0f32);
        let mut mask = Plane::filled(40, 40, false);
        let (mid_x, mid_y) =
            ((columns.start + columns.end) as f32 * 4.0, (rows.start + rows.end) as f32 * 4.0);
        for y in 0..320 {
            for x in 0..320 {
                let inside = columns.contains(&(x / CELL)) && rows.contains(&(y / CELL));
                mask.set(x / CELL, y / CELL, inside);
                let (dx, dy) = (x as f32 - mid_x, y as f32 - mid_y);
                let phase = (dx * dx + dy * dy).sqrt() / 9.0;
                if inside && phase - phase.floor() < share {
                    grey.set(x, y, 40.0);
                }
            }
        }
        (grey, mask)
    }

    #[test]
    fn an_even_print_in_the_middle_has_nothing_wrong() {
        let (grey, mask) = print(0.45, 5..35, 5..35);
        assert_eq!(reasons(&grey, &mask), []);
    }

    #[test]
    fn thin_ridges_are_dry_and_wide_ones_wet() {
        let of = |share| {
            let (grey, mask) = print(share, 5..35, 5..35);
            reasons(&grey, &mask)
        };
        assert_eq!(of(0.1), [QualityReason::TooDry]);
        assert_eq!(of(0.85), [QualityReason::TooWet]);
    }

    #[test]
    fn a_finger_cut_off_by_the_border_is_off_centre() {
        let (grey, mask) = print(0.45, 0..22, 2..38);
        assert_eq!(reasons(&grey, &mask), [QualityReason::OffCentre]);
        // As far to the side, but whole.
        let (grey, mask) = print(0.45, 2..24, 2..38);
        assert_eq!(reasons(&grey, &mask), []);
    }

    #[test]
    fn a_small_spot_is_partial() {
        let (grey, mask) = print(0.45, 12..28, 14..28);
        assert_eq!(reasons(&grey, &mask), [QualityReason::Partial]);
    }

    #[test]
    fn a_print_blurred_one_way_has_moved() {
        let (grey, mask) = print(0.45, 5..35, 5..35);
        let mut moved = grey.clone();
        for y in 0..320 {
            for x in 0..320 {
                let seen = (0..18).map(|k| grey.at((x + k).min(319), y)).sum::<f32>();
                moved.set(x, y, seen / 18.0);
            }
        }
        assert!(reasons(&moved, &mask).contains(&QualityReason::Moved));
    }
}
