//! From the fields of the extraction to the coarse ridge flow that the template keeps.

use super::{orientation::Orientation, period::Period};
use crate::{
    image::plane::Plane,
    params::{CELL, FLOW_CELL, FLOW_CLARITY},
    template::flow::{Flow, FlowCell},
};

/// Sums up the blocks of each cell.
pub(crate) fn collect(
    orientation: &Orientation,
    period: &Period,
    clarity: &Plane<f32>,
    mask: &Plane<bool>,
    (width, height): (usize, usize),
) -> Flow {
    let (across, down) = Flow::cells_of(width, height);
    let blocks = FLOW_CELL / CELL;
    let mut cells = Vec::with_capacity(across * down);
    for cell_y in 0..down {
        for cell_x in 0..across {
            let (mut cos2, mut sin2, mut log, mut n) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
            for cy in (cell_y * blocks..(cell_y + 1) * blocks).take_while(|&cy| cy < mask.height) {
                for cx in (cell_x * blocks..(cell_x + 1) * blocks).take_while(|&cx| cx < mask.width) {
                    if mask.at(cx, cy) && clarity.at(cx, cy) >= FLOW_CLARITY {
                        cos2 += orientation.cos2.at(cx, cy);
                        sin2 += orientation.sin2.at(cx, cy);
                        log += period.log.at(cx, cy);
                        n += 1.0;
                    }
                }
            }
            cells.push(if 2.0 * n >= (blocks * blocks) as f32 {
                // Screen axes run the other way about.
                let turns = -libm::atan2f(sin2, cos2) / std::f32::consts::TAU;
                FlowCell {
                    angle: ((turns * 256.0 + 256.5) as u32 % 256) as u8,
                    period: (libm::expf(log / n) * 12.0 + 0.5).clamp(1.0, 255.0) as u8,
                }
            } else {
                FlowCell::NONE
            });
        }
    }
    Flow { width: across, height: down, cells }
}
