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

    /// A clear cell: radians counter-clockwise as seen, and pixels.
    pub(crate) fn of(angle: f32, period: f32) -> Self {
        let turns = angle / std::f32::consts::PI;
        Self {
            angle: ((turns - libm::floorf(turns)) * 256.0 + 0.5) as u32 as u8,
            period: (period * 12.0 + 0.5).clamp(1.0, 255.0) as u8,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    #[test]
    fn a_flow_that_is_told_is_kept_cell_by_cell_where_there_is_one() {
        let template = Template::new((50, 30), Vec::new());
        let told =
            template.with_flow_from(|x, y| (y < 24.0).then_some((if x < 24.0 { -0.1 } else { 9.5 }, 8.0)));
        let flow = told.flow.as_ref().unwrap();
        assert_eq!((flow.width, flow.height), (3, 2));
        // Half turns count for nothing: -0.1 is 3.04, and 9.5 is 0.075.
        assert_eq!(flow.at(5.0, 5.0), Some(FlowCell { angle: 248, period: 96 }));
        assert_eq!(flow.at(30.0, 5.0), Some(FlowCell { angle: 6, period: 96 }));
        assert_eq!(flow.at(5.0, 25.0), None);
        assert!(Template::from_bytes(&told.to_bytes()) == Ok(told));
        assert_eq!(FlowCell::of(std::f32::consts::PI - 1e-4, 99.0), FlowCell { angle: 0, period: 255 });
    }
}
