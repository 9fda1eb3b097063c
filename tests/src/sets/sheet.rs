//! A picture of a whole set at a glance: half size, sixteen greys, a row for each finger.

use std::path::Path;

use super::write::{Order, WriteError, png};
use crate::synthetic::{Conditions, Finger};

/// Grey between the prints.
const GAP: u8 = 0x88;

/// Writes the sheet of what an order makes.
///
/// # Errors
/// [`WriteError`] when the file cannot be written.
pub fn contact_sheet(order: &Order, path: &Path) -> Result<(), WriteError> {
    let Conditions { width, height, .. } = order.conditions;
    let (cell_width, cell_height) = (width as usize / 2 + 2, height as usize / 2 + 2);
    let row = cell_width * order.impressions as usize;
    let mut sheet = vec![GAP; row * cell_height * order.fingers as usize];
    for finger in 0..order.fingers {
        let grown = Finger::new(order.seed.wrapping_add(finger));
        for number in 0..order.impressions {
            let print = grown.impression(number + 1, &order.conditions);
            let (left, top) = (cell_width * number as usize, cell_height * finger as usize);
            for y in 0..height as usize / 2 {
                for x in 0..width as usize / 2 {
                    sheet[(top + y) * row + left + x] = shrunk(&print.pixels, width as usize, x, y);
                }
            }
        }
    }
    let (width, height) = (row as u32, (cell_height as u64 * order.fingers) as u32);
    let bytes = png(width, height, &sheet, true)
        .map_err(|source| WriteError::Encode { name: "the sheet".to_owned(), source })?;
    std::fs::write(path, bytes).map_err(|source| WriteError::File { path: path.to_owned(), source })
}

/// The mean of four pixels, in one of 16 greys.
fn shrunk(pixels: &[u8], width: usize, x: usize, y: usize) -> u8 {
    let at = 2 * y * width + 2 * x;
    let sum: u32 = [at, at + 1, at + width, at + width + 1].into_iter().map(|k| u32::from(pixels[k])).sum();
    (sum / 64 * 17) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sets::load;

    #[test]
    fn a_sheet_holds_every_print_at_half_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet.png");
        let order = Order {
            fingers: 1,
            impressions: 2,
            seed: 5,
            name: "good".to_owned(),
            conditions: Conditions { width: 200, height: 220, ..Conditions::good() },
            truth: false,
            tight: false,
            threads: 1,
        };
        contact_sheet(&order, &path).unwrap();
        let (width, height, pixels) = load(&path).unwrap();
        assert_eq!((width, height), (204, 112));
        assert!(pixels.iter().all(|p| p % 17 == 0));
    }
}
