//! The bytes of an uploaded image to a frame.
//!
//! Invariant: the size of the frame follows from the number of bytes alone, since clones differ
//! and manuals contradict each other; any other number is no frame.

use crate::frame::{Dpi, Frame};
use crate::rows;
use crate::sensor::SensorError;

/// Sizes that modules of this family have.
const SIZES: [(u32, u32); 2] = [(256, 288), (192, 192)];

/// Two pixels in each byte.
pub(crate) fn bytes_of((width, height): (u32, u32)) -> usize {
    (width as usize * height as usize) / 2
}

/// No image of this family has more bytes.
pub(crate) const MAX_BYTES: usize = 256 * 288 / 2;

/// Expands 4 bits to 8, high nibble first.
pub(crate) fn frame(bytes: &[u8], expected: (u32, u32), dpi: Dpi) -> Result<Frame, SensorError> {
    let size = SIZES.into_iter().find(|size| bytes_of(*size) == bytes.len());
    let Some((width, height)) = size else {
        let expected = bytes_of(expected);
        return Err(if bytes.len() < expected {
            SensorError::PartialFrame { received: bytes.len(), expected }
        } else {
            SensorError::BadFrame(format!("{} bytes fit no size that is known", bytes.len()))
        });
    };
    let pixels: Vec<u8> = bytes.iter().flat_map(|byte| [(byte >> 4) * 17, (byte & 0x0F) * 17]).collect();
    rows::refuse_dead(&pixels, width as usize)?;
    Frame::new(width, height, dpi, pixels).map_err(|error| SensorError::BadFrame(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_become_eight_high_nibble_first() {
        let frame = frame(&vec![0x0F; 18_432], (192, 192), Dpi::STANDARD).unwrap();
        assert_eq!((frame.width(), frame.height()), (192, 192));
        assert_eq!(frame.pixels()[..4], [0, 255, 0, 255]);
    }

    #[test]
    fn the_size_follows_from_the_bytes_and_not_from_the_model() {
        let frame = frame(&vec![0x8A; 36_864], (192, 192), Dpi::STANDARD).unwrap();
        assert_eq!((frame.width(), frame.height()), (256, 288));
    }

    #[test]
    fn a_number_of_bytes_that_fits_no_size_is_refused() {
        let short = frame(&vec![1; 36_863], (256, 288), Dpi::STANDARD);
        assert_eq!(short, Err(SensorError::PartialFrame { received: 36_863, expected: 36_864 }));
        let long = frame(&vec![1; 36_865], (256, 288), Dpi::STANDARD);
        assert!(matches!(long, Err(SensorError::BadFrame(_))));
    }

    #[test]
    fn a_frame_that_is_half_black_is_refused() {
        let mut bytes = vec![0x8A; 36_864];
        bytes[18_432..].fill(0);
        assert!(matches!(frame(&bytes, (256, 288), Dpi::STANDARD), Err(SensorError::BadFrame(_))));
    }
}
