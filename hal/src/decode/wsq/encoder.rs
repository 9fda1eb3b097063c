//! A plain WSQ encoder, for tests of the decoder and for measurements: the usual filters, quantisers that the test chooses,
//! codes that are the same for every image. It shares the decoder's layout of subbands and nothing
//! else.

use super::{
    BLOCKS, COM, DHT, DQT, DTT, EOI, SOB, SOF, SOI,
    subbands::{CODED, Layout, Region, SUBBANDS, Split},
};

/// Right halves of the analysis filters (Cohen, Daubechies, Feauveau 9/7), in 10^-9.
const LOW: [i64; 5] = [852_698_679, 377_402_856, -110_624_404, -23_849_465, 37_828_456];
const HIGH: [i64; 4] = [788_485_616, -418_092_273, -40_689_418, 64_538_883];
/// Where in a bin its value lies, in hundredths.
const CENTRE: u16 = 44;

/// What to encode, and how.
pub(crate) struct Picture<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: &'a [u8],
    /// Width of a bin in each subband, in hundredths; zero drops the subband.
    pub(crate) bins: &'a dyn Fn(usize) -> u16,
    pub(crate) comment: Option<&'a str>,
}

/// Bins as wide as a file of usual size has.
pub(crate) fn usual(band: usize) -> u16 {
    match band {
        0..4 => 300,
        4..19 => 900,
        19..52 => 1400,
        // Dropped, as encoders do with subbands that hold next to nothing.
        58 => 0,
        _ => 2400,
    }
}

pub(super) fn segment(marker: u16, body: &[u8]) -> Vec<u8> {
    // No segment of ours is longer than its length can say.
    let length = (body.len() + 2) as u16;
    [&marker.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

pub(super) fn frame_header(width: u16, height: u16) -> Vec<u8> {
    let mut body = vec![0, 255];
    body.extend([height.to_be_bytes(), width.to_be_bytes()].concat());
    // The mean is 127.5, and a grey level 1.25 of our units.
    body.extend([1]);
    body.extend(1275_u16.to_be_bytes());
    body.extend([4]);
    body.extend(8000_u16.to_be_bytes());
    body.extend([0, 0, 0]);
    segment(SOF, &body)
}

pub(super) fn transform_table() -> Vec<u8> {
    let mut body = vec![9, 7];
    for tap in LOW.iter().chain(&HIGH) {
        body.extend([u8::from(*tap < 0), 9]);
        body.extend((tap.unsigned_abs() as u32).to_be_bytes());
    }
    segment(DTT, &body)
}

fn quantisation_table(bins: &dyn Fn(usize) -> u16) -> Vec<u8> {
    let mut body = vec![2];
    body.extend(CENTRE.to_be_bytes());
    for band in 0..SUBBANDS {
        let bin = if band < CODED { bins(band) } else { 0 };
        for width in [bin, bin / 5 * 6] {
            body.push(2);
            body.extend(width.to_be_bytes());
        }
    }
    segment(DQT, &body)
}

/// Codes of 3, 4 and 10 bits: short for short runs and small values, long for all others.
const SHORT: [u8; 8] = [179, 181, 1, 2, 178, 182, 3, 4];

fn code(symbol: u8, table: u8) -> (u32, usize) {
    match SHORT.iter().position(|s| *s == symbol) {
        // The second table has every code in its plain order, of eight bits.
        _ if table == 1 => (u32::from(symbol) - 1, 8),
        Some(at @ 0..4) => (at as u32, 3),
        Some(at) => (8 + at as u32 - 4, 4),
        None => {
            let shorter = SHORT.iter().filter(|s| **s < symbol).count() as u32;
            ((12 << 6) + u32::from(symbol) - 1 - shorter, 10)
        }
    }
}

pub(super) fn huffman_tables() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 246, 0, 0, 0, 0, 0, 0];
    body.extend(SHORT);
    body.extend((1..=254).filter(|symbol| !SHORT.contains(symbol)));
    let first = segment(DHT, &body);
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend(1..=254);
    [first, segment(DHT, &body)].concat()
}

/// The coded coefficients of a block, zeros stuffed.
fn block(coefficients: &[i32], table: u8) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |value: u32, count: usize| bits.extend((0..count).rev().map(|at| value >> at & 1 == 1));
    let mut symbol = |symbol: u8, extra: u32, count: usize| {
        let (code, length) = code(symbol, table);
        put(code, length);
        put(extra, count);
    };
    let mut rest = coefficients;
    while let Some(value) = rest.first() {
        let run = rest.iter().take(65_535).take_while(|v| **v == 0).count();
        let size = value.unsigned_abs();
        match (run, value) {
            (1..=100, _) => symbol(run as u8, 0, 0),
            (101..=255, _) => symbol(105, run as u32, 8),
            (256.., _) => symbol(106, run as u32, 16),
            (0, -73..=74) => symbol((value + 180) as u8, 0, 0),
            (0, -255..=255) => symbol(if *value > 0 { 101 } else { 102 }, size, 8),
            (0, _) => symbol(if *value > 0 { 103 } else { 104 }, size, 16),
        }
        rest = &rest[run.max(1)..];
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    let bytes = bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    bytes.flat_map(|byte| if byte == 0xFF { vec![byte, 0] } else { vec![byte] }).collect()
}

/// A whole file.
pub(crate) fn encode(picture: &Picture<'_>) -> Vec<u8> {
    let layout = Layout::of(picture.width, picture.height);
    let mut plane: Vec<f64> = picture.pixels.iter().map(|p| (f64::from(*p) - 127.5) / 0.8).collect();
    for split in layout.splits_from_the_largest() {
        take_apart(&mut plane, picture.width, split);
    }
    let mut file = SOI.to_be_bytes().to_vec();
    if let Some(comment) = picture.comment {
        file.extend(segment(COM, comment.as_bytes()));
    }
    file.extend(transform_table());
    file.extend(quantisation_table(picture.bins));
    file.extend(frame_header(picture.width as u16, picture.height as u16));
    file.extend(huffman_tables());
    for (number, bands) in BLOCKS.into_iter().enumerate() {
        let table = u8::from(number > 0);
        let coefficients: Vec<i32> = bands
            .filter(|band| (picture.bins)(*band) > 0)
            .flat_map(|band| {
                let bin = f64::from((picture.bins)(band)) / 100.0;
                let zero = f64::from((picture.bins)(band) / 5 * 6) / 100.0;
                values(&plane, picture.width, layout.subbands()[band]).map(move |value| {
                    let beyond = value.abs() - zero / 2.0;
                    let index = if beyond > 0.0 { (beyond / bin) as i32 + 1 } else { 0 };
                    if value < 0.0 { -index } else { index }
                })
            })
            .collect();
        file.extend(segment(SOB, &[table]));
        file.extend(block(&coefficients, table));
    }
    file.extend(EOI.to_be_bytes());
    file
}

fn values(plane: &[f64], pitch: usize, region: Region) -> impl Iterator<Item = f64> {
    let rows = plane.chunks(pitch).skip(region.y).take(region.height);
    rows.flat_map(move |row| row[region.x..region.x + region.width].iter().copied())
}

/// Splits a region into its four parts: rows first, then columns.
fn take_apart(plane: &mut [f64], pitch: usize, split: &Split) {
    let Region { x, y, width, height } = split.region;
    for row in y..y + height {
        let line: Vec<f64> = plane[row * pitch + x..][..width].to_vec();
        for (at, value) in halves(&line, split.flip_x).into_iter().enumerate() {
            plane[row * pitch + x + at] = value;
        }
    }
    for column in x..x + width {
        let line: Vec<f64> = (y..y + height).map(|row| plane[row * pitch + column]).collect();
        for (at, value) in halves(&line, split.flip_y).into_iter().enumerate() {
            plane[(y + at) * pitch + column] = value;
        }
    }
}

/// Low-pass values of the even places and high-pass values of the odd ones; the other way round if
/// `flip`.
fn halves(line: &[f64], flip: bool) -> Vec<f64> {
    let last = line.len() as isize - 1;
    let at = |mut place: isize| loop {
        match place {
            ..0 => place = -place,
            _ if place > last => place = 2 * last - place,
            _ => return line[place as usize],
        }
    };
    let through = |taps: &[i64], place: usize| -> f64 {
        let place = place as isize;
        let sum = taps.iter().enumerate().map(|(distance, tap)| {
            let far = distance as isize;
            let pair = if far == 0 { at(place) } else { at(place - far) + at(place + far) };
            *tap as f64 * pair
        });
        sum.sum::<f64>() / 1e9
    };
    let low = (0..line.len()).step_by(2).map(|place| through(&LOW, place));
    let high = (1..line.len()).step_by(2).map(|place| through(&HIGH, place));
    if flip { high.chain(low).collect() } else { low.chain(high).collect() }
}
