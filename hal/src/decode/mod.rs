//! Image files to frames: PNG, TIFF, BMP and WSQ bytes, bounded in size before a pixel is decoded.
//!
//! Invariant: the dimensions in the file's header pass [`Frame::check_size`] before anything in
//! proportion to them is allocated, and no input makes it panic.

pub(crate) mod wsq;

use std::io::Cursor;

use image::error::ImageError;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::frame::{Dpi, Frame, FrameError};
pub use wsq::WsqError;

/// What a decoder may allocate: the largest frame in 16-bit RGBA, and what it needs beside it.
const MEMORY_LIMIT: u64 = 8 * (Frame::MAX_SIDE as u64) * (Frame::MAX_SIDE as u64) + (16 << 20);

/// Why bytes are not an image file that we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Neither PNG nor TIFF nor BMP nor WSQ.
    #[error("not a PNG, TIFF, BMP or WSQ image")]
    UnknownFormat,
    /// The file ends early or contradicts itself.
    #[error("damaged image: {0}")]
    Damaged(String),
    /// A valid file of a kind that no reader or export produces.
    #[error("unsupported kind of image: {0}; save it as 8-bit grey PNG")]
    Unsupported(String),
    /// A WSQ file that ends early, contradicts itself, or is of a kind that no encoder writes.
    #[error("damaged WSQ image: {0}")]
    Wsq(#[from] WsqError),
    /// The image decodes, but is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Decodes an image file to grey; colour becomes luma, 16 bits become 8, transparency becomes white.
///
/// `dpi` is the resolution of files that do not tell theirs. Only WSQ files are believed to: what PNG,
/// TIFF and BMP files say is what a program's author thought of as a default.
///
/// # Errors
/// [`DecodeError`]; sizes are checked before pixels are allocated.
pub fn decode(bytes: &[u8], dpi: Dpi) -> Result<Frame, DecodeError> {
    if wsq::is_wsq(bytes) {
        return wsq::decode(bytes, dpi);
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Tiff | ImageFormat::Bmp)) => format,
        _ => return Err(DecodeError::UnknownFormat),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY_LIMIT);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(refusal)?;

    let (width, height) = decoder.dimensions();
    Frame::check_size(width, height)?;
    if matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(DecodeError::Unsupported("floating-point pixels".to_owned()));
    }
    if format == ImageFormat::Png && !has_png_end(bytes) {
        return Err(DecodeError::Damaged("the file ends before its last chunk".to_owned()));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    Ok(Frame::new(width, height, dpi, to_grey(image))?)
}

fn refusal(error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(error) => DecodeError::Unsupported(error.to_string()),
        ImageError::Limits(error) => DecodeError::Unsupported(error.to_string()),
        other => DecodeError::Damaged(other.to_string()),
    }
}

/// The decoder stops at the last pixel; a file cut after that is still a file cut short.
fn has_png_end(bytes: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    const LENGTH_TYPE_CRC: usize = 12;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if kind.starts_with(b"IEND") {
            return rest.len() >= LENGTH_TYPE_CRC;
        }
        rest = rest.get(length.saturating_add(LENGTH_TYPE_CRC)..).unwrap_or_default();
    }
    false
}

fn to_grey(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageLuma8(grey) => grey.into_raw(),
        DynamicImage::ImageLuma16(grey) => grey.into_raw().into_iter().map(high_byte).collect(),
        DynamicImage::ImageLumaA8(grey) => grey.pixels().map(|p| over_white(p.0[0], p.0[1])).collect(),
        DynamicImage::ImageLumaA16(grey) => {
            grey.pixels().map(|p| over_white(high_byte(p.0[0]), high_byte(p.0[1]))).collect()
        }
        DynamicImage::ImageRgb8(colour) => colour.pixels().map(|p| luma(p.0)).collect(),
        DynamicImage::ImageRgb16(colour) => colour.pixels().map(|p| luma(p.0.map(high_byte))).collect(),
        other => other
            .into_rgba8()
            .pixels()
            .map(|p| {
                let [r, g, b, alpha] = p.0;
                over_white(luma([r, g, b]), alpha)
            })
            .collect(),
    }
}

/// 65535 becomes 255, and the nearest value in between.
#[expect(clippy::cast_possible_truncation, reason = "(65535 + 128) / 257 is 255")]
fn high_byte(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// ITU-R BT.709 luma; the weights add up to one, so grey stays what it was.
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes is a byte")]
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) + 5000) / 10_000) as u8
}

/// Background that is transparent is paper.
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes is a byte")]
fn over_white(value: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, RgbaImage};
    use proptest::prelude::*;

    const ALL: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp];

    fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Every byte value occurs, and rows differ.
    fn pattern(width: u32, height: u32) -> GrayImage {
        GrayImage::from_fn(width, height, |x, y| Luma([(x * 7 + y * 13) as u8]))
    }

    /// A PNG header that announces a size, followed by nothing to fill it.
    fn png_announcing(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encode(&GrayImage::new(64, 64).into(), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn grey_files_of_every_format_keep_their_pixels() {
        let image = pattern(80, 70);
        for format in ALL {
            let frame = decode(&encode(&image.clone().into(), format), Dpi::STANDARD).unwrap();
            assert_eq!((frame.width(), frame.height(), frame.dpi()), (80, 70, Dpi::STANDARD));
            assert_eq!(frame.pixels(), image.as_raw(), "{format:?}");
        }
    }

    #[test]
    fn grey_stored_as_colour_keeps_its_values() {
        let colour = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 4 + y) as u8; 3]));
        let expected: Vec<u8> = colour.pixels().map(|p| p.0[0]).collect();
        for format in ALL {
            assert_eq!(
                decode(&encode(&colour.clone().into(), format), Dpi::STANDARD).unwrap().pixels(),
                expected
            );
        }
    }

    #[test]
    fn colour_becomes_luma() {
        let red = RgbImage::from_pixel(64, 64, Rgb([255, 0, 0]));
        let frame = decode(&encode(&red.into(), ImageFormat::Png), Dpi::STANDARD).unwrap();
        assert!(frame.pixels().iter().all(|p| *p == 54));
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_fn(256, 64, |x, _| Luma([x as u16 * 257]));
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let frame = decode(&encode(&deep.clone().into(), format), Dpi::STANDARD).unwrap();
            assert!(frame.pixels().iter().enumerate().all(|(i, p)| *p == (i % 256) as u8));
        }
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = GrayAlphaImage::from_pixel(64, 64, LumaA([0, 0]));
        let half = RgbaImage::from_pixel(64, 64, image::Rgba([0, 0, 0, 128]));
        let white = decode(&encode(&clear.into(), ImageFormat::Png), Dpi::STANDARD).unwrap();
        let grey = decode(&encode(&half.into(), ImageFormat::Png), Dpi::STANDARD).unwrap();
        assert!(white.pixels().iter().all(|p| *p == 255));
        assert!(grey.pixels().iter().all(|p| *p == 127));
    }

    #[test]
    fn a_single_pixel_is_refused_for_its_size() {
        for format in ALL {
            let bytes = encode(&GrayImage::new(1, 1).into(), format);
            let refused = decode(&bytes, Dpi::STANDARD);
            assert_eq!(refused, Err(DecodeError::Frame(FrameError::Size { width: 1, height: 1 })));
        }
    }

    #[test]
    fn a_png_of_20000_by_20000_is_refused_by_its_header() {
        // The file holds 64 rows of data: had it come to pixels, the answer would be "damaged".
        let bytes = png_announcing(20_000, 20_000);
        let refused = decode(&bytes, Dpi::STANDARD);
        assert_eq!(refused, Err(DecodeError::Frame(FrameError::Size { width: 20_000, height: 20_000 })));
    }

    #[test]
    fn a_file_that_announces_more_rows_than_it_has_is_damaged() {
        assert!(matches!(decode(&png_announcing(64, 4000), Dpi::STANDARD), Err(DecodeError::Damaged(_))));
    }

    #[test]
    fn a_truncated_png_is_refused_as_damaged() {
        let bytes = encode(&pattern(64, 64).into(), ImageFormat::Png);
        for length in 8..bytes.len() {
            let refused = decode(&bytes[..length], Dpi::STANDARD);
            assert!(matches!(refused, Err(DecodeError::Damaged(_))), "{length}: {refused:?}");
        }
    }

    #[test]
    fn truncated_tiff_and_bmp_are_refused_as_damaged() {
        for format in [ImageFormat::Tiff, ImageFormat::Bmp] {
            let bytes = encode(&pattern(64, 64).into(), format);
            for length in [8, 20, 60, bytes.len() / 2, bytes.len() - 64] {
                let refused = decode(&bytes[..length], Dpi::STANDARD);
                assert!(matches!(refused, Err(DecodeError::Damaged(_))), "{format:?} {length}: {refused:?}");
            }
        }
    }

    #[test]
    fn other_files_are_refused_as_unknown() {
        for bytes in [&b""[..], b"hello", b"\xff\xd8\xff\xe0 a jpeg", b"\x89PNG"] {
            assert_eq!(decode(bytes, Dpi::STANDARD), Err(DecodeError::UnknownFormat));
        }
    }

    #[test]
    fn floating_point_pixels_are_refused_as_unsupported() {
        let float: ImageBuffer<Rgb<f32>, Vec<f32>> = ImageBuffer::from_pixel(64, 64, Rgb([f32::NAN; 3]));
        let refused = decode(&encode(&DynamicImage::ImageRgb32F(float), ImageFormat::Tiff), Dpi::STANDARD);
        assert!(matches!(refused, Err(DecodeError::Unsupported(_))), "{refused:?}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_behind_any_signature_never_panic(
            signature in prop::sample::select(vec![&b"\x89PNG\r\n\x1a\n"[..], b"II*\0", b"MM\0*", b"BM", b""]),
            body in prop::collection::vec(any::<u8>(), 0..2048),
        ) {
            let bytes = [signature, &body].concat();
            let _ = decode(&bytes, Dpi::STANDARD);
        }

        #[test]
        fn mutated_files_never_panic(
            format in prop::sample::select(ALL.to_vec()),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            cut in any::<prop::sample::Index>(),
            cuts in any::<bool>(),
        ) {
            let mut bytes = encode(&pattern(70, 66).into(), format);
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(frame) = decode(&bytes, Dpi::STANDARD) {
                prop_assert_eq!(frame.pixels().len(), frame.width() as usize * frame.height() as usize);
            }
        }
    }
}
