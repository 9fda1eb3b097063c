//! Prints to present: the committed synthetic ones, and images that are none.

use std::{fs, io::Cursor, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{GrayImage, ImageFormat, Luma};
use serde_json::{Value, json};

/// A file of the committed fixtures, `125_1` for instance.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let prints = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints");
    fs::read(prints.join(format!("{name}.png"))).unwrap()
}

/// A PNG as the API takes it.
pub(crate) fn sample(png: &[u8]) -> Value {
    encoded("png", png, 500)
}

/// An image file as the API takes it.
pub(crate) fn encoded(format: &str, file: &[u8], dpi: u32) -> Value {
    json!({ "format": format, "data": STANDARD.encode(file), "dpi": dpi })
}

/// A PNG of one grey.
pub(crate) fn blank(width: u32, height: u32, grey: u8) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    GrayImage::from_pixel(width, height, Luma([grey])).write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A tiny PNG whose header announces this size.
pub(crate) fn png_announcing(width: u32, height: u32) -> Vec<u8> {
    let mut file = blank(64, 64, 255);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&file[12..29]);
    file[29..33].copy_from_slice(&crc.to_be_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}
