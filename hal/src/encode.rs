//! Frames to image files, for people to look at: 8-bit grey PNG.

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::frame::Frame;

/// The frame could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame cannot be written as PNG: {0}")]
pub struct EncodeError(String);

/// The frame as a PNG file.
///
/// # Errors
/// [`EncodeError`] with what the encoder says.
pub fn png(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(frame.pixels(), frame.width(), frame.height(), ExtendedColorType::L8)
        .map_err(|error| EncodeError(error.to_string()))?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::frame::Dpi;

    #[test]
    fn a_frame_survives_being_written_and_read() {
        let pixels = (0..70 * 65).map(|at| (at * 3 % 256) as u8).collect();
        let frame = Frame::new(70, 65, Dpi::STANDARD, pixels).unwrap();
        assert_eq!(decode(&png(&frame).unwrap(), Dpi::STANDARD), Ok(frame));
    }
}
