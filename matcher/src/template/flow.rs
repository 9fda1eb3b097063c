//! How the ridges run over an impression, coarsely: which way and how far apart, cell by cell.
//!
//! It tells two fingers apart where their minutiae agree by chance. Templates of other makers have
//! none. Invariant: as many cells as the template's size demands.

use crate::params::FLOW_CELL;

/// One cell of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowCell {
    /// Ridge angle in 1/256 of half a turn, screen axes.
    pub(crate) angle: u8,
    /// Ridge period in twelfths of a pixel; 0 where no clear ridges are.
    pub(crate) period: u8,
}

impl FlowCell {
    /// No clear ridges.
    pub(crate) const NONE: Self = Self { angle: 0, period: 0 };
}

/// The field of a whole impression, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) cells: Vec<FlowCell>,
}

impl Flow {
    /// How many cells an impression of this size has, across and down.
    pub(crate) fn cells_of(width: usize, height: usize) -> (usize, usize) {
        (width.div_ceil(FLOW_CELL), height.div_ceil(FLOW_CELL))
    }

    /// The cell that holds a point, if the ridges are clear there.
    #[inline]
    pub(crate) fn at(&self, x: f32, y: f32) -> Option<FlowCell> {
        if x < 0.0 || y < 0.0 {
            return None;
        }
        let (cx, cy) = (x as usize / FLOW_CELL, y as usize / FLOW_CELL);
        if cx >= self.width || cy >= self.height {
            return None;
        }
        let cell = self.cells[cy * self.width + cx];
        (cell.period != 0).then_some(cell)
    }
}
