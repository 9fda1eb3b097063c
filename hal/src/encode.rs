//! Frames and drawings to image files, for people to look at: PNG, 8 bits a channel.

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
    written(frame.pixels(), frame.width(), frame.height(), ExtendedColorType::L8)
}

/// The frame as a WSQ file, its bins so many times as wide as usual: for measurements of what such files lose.
#[cfg(feature = "emulator")]
#[must_use]
pub fn wsq(frame: &Frame, coarseness: u16) -> Vec<u8> {
    use crate::decode::wsq::encoder::{Picture, encode, usual};
    encode(&Picture {
        width: frame.width() as usize,
        height: frame.height() as usize,
        pixels: frame.pixels(),
        bins: &|band| usual(band).saturating_mul(coarseness),
        comment: None,
    })
}

/// A grey drawing as a PNG file, one byte a pixel.
///
/// # Errors
/// [`EncodeError`] when the pixels are not as many as the sides say.
pub fn grey_png(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, EncodeError> {
    drawing(width, height, pixels, ExtendedColorType::L8)
}

/// A coloured drawing as a PNG file, three bytes a pixel: red, green, blue.
///
/// # Errors
/// [`EncodeError`] when the pixels are not as many as the sides say.
pub fn colour_png(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, EncodeError> {
    drawing(width, height, pixels, ExtendedColorType::Rgb8)
}

fn drawing(
    width: usize,
    height: usize,
    pixels: &[u8],
    kind: ExtendedColorType,
) -> Result<Vec<u8>, EncodeError> {
    let side = |side: usize| u32::try_from(side).map_err(|error| EncodeError(error.to_string()));
    let bytes = usize::from(kind.bits_per_pixel() / 8);
    if width.checked_mul(height).and_then(|area| area.checked_mul(bytes)) != Some(pixels.len()) {
        return Err(EncodeError(format!("{} bytes are not {width}x{height} pixels", pixels.len())));
    }
    written(pixels, side(width)?, side(height)?, kind)
}

fn written(pixels: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> Result<Vec<u8>, EncodeError> {
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file)
        .write_image(pixels, width, height, kind)
        .map_err(|error| EncodeError(error.to_string()))?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::frame::Dpi;

    #[test]
    fn a_drawing_of_the_wrong_size_is_refused() {
        assert!(grey_png(3, 2, &[0; 6]).is_ok() && colour_png(3, 2, &[0; 18]).is_ok());
        assert!(grey_png(3, 2, &[0; 5]).is_err() && colour_png(3, 2, &[0; 6]).is_err());
        assert!(colour_png(usize::MAX, 2, &[]).is_err());
    }

    #[test]
    fn a_frame_survives_being_written_and_read() {
        let pixels = (0..70 * 65).map(|at| (at * 3 % 256) as u8).collect();
        let frame = Frame::new(70, 65, Dpi::STANDARD, pixels).unwrap();
        assert_eq!(decode(&png(&frame).unwrap(), Dpi::STANDARD), Ok(frame));
    }
}
