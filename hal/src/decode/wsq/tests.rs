//! The decoder against the reference decoding of real files, against our own encoder, and against
//! damage.

use std::path::Path;

use proptest::prelude::*;

use super::super::{DecodeError, decode};
use super::encoder::{Picture, encode, frame_header, huffman_tables, segment, transform_table, usual};
use super::huffman::{Block, HuffmanTable};
use super::segments::Segments;
use super::subbands::{Layout, Region};
use super::{DHT, DRT, DTT, EOI, SOB, SOI, WsqError};
use crate::frame::{Dpi, FrameError};

/// Bins so narrow that nothing but the four highest subbands is lost.
fn fine(_: usize) -> u16 {
    50
}

/// Ridges in all directions, nine pixels apart, darker to one side: every level but the finest.
fn ridges(width: usize, height: usize) -> Vec<u8> {
    let grey = |x: usize, y: usize| {
        let (x, y) = (x as f32, y as f32);
        let wave = ((x + 20.0).hypot(y + 31.0) * std::f32::consts::TAU / 9.0).sin();
        128.0 + 60.0 * wave + x / 8.0 - y / 10.0
    };
    (0..width * height).map(|at| grey(at % width, at / width) as u8).collect()
}

fn file_of(width: usize, height: usize, comment: Option<&str>) -> Vec<u8> {
    encode(&Picture { width, height, pixels: &ridges(width, height), bins: &fine, comment })
}

fn farthest(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// What is wrong with a file.
fn refusal(file: &[u8]) -> WsqError {
    match decode(file, Dpi::STANDARD) {
        Err(DecodeError::Wsq(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_real_file_decodes_to_within_one_grey_level_of_the_reference_decoding() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wsq");
    let read = |name: &str| std::fs::read(shared.join(name));
    let (Ok(file), Ok(reference)) = (read("wsq-original.wsq"), read("wsq-converted.png")) else {
        println!("skipped: ../shared/data/wsq is not there");
        return;
    };
    let ours = decode(&file, Dpi::new(300).unwrap()).unwrap();
    let theirs = decode(&reference, Dpi::STANDARD).unwrap();
    // The file says 500 dpi.
    assert_eq!((ours.width(), ours.height(), ours.dpi()), (theirs.width(), theirs.height(), Dpi::STANDARD));
    let differing = ours.pixels().iter().zip(theirs.pixels()).filter(|(a, b)| a != b).count();
    println!("{differing} of {} pixels differ", ours.pixels().len());
    assert!(farthest(ours.pixels(), theirs.pixels()) <= 1);
    assert!(differing < 100, "{differing}");
}

#[test]
fn a_real_file_of_odd_size_decodes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wsq/sample.wsq");
    let Ok(file) = std::fs::read(file) else {
        println!("skipped: ../shared/data/wsq is not there");
        return;
    };
    let frame = decode(&file, Dpi::new(300).unwrap()).unwrap();
    assert_eq!((frame.width(), frame.height(), frame.dpi()), (545, 622, Dpi::STANDARD));
}

#[test]
fn what_is_encoded_finely_decodes_to_nearly_the_same_pixels_at_every_parity_of_sides() {
    for (width, height) in [(64, 64), (65, 64), (64, 67), (97, 131), (126, 69), (143, 190)] {
        let frame = decode(&file_of(width, height, None), Dpi::STANDARD).unwrap();
        assert_eq!((frame.width() as usize, frame.height() as usize), (width, height));
        let worst = farthest(frame.pixels(), &ridges(width, height));
        assert!(worst <= 3, "{width}x{height}: {worst}");
    }
}

#[test]
fn the_fixture_is_what_our_encoder_makes_of_a_synthetic_print_and_decodes_to_it() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let print = std::fs::read(home.join("../firmware/fixtures/prints/126_1.png")).unwrap();
    let print = decode(&print, Dpi::STANDARD).unwrap();
    let (width, height) = (print.width() as usize, print.height() as usize);
    let comment = format!(
        "NIST_COM 6\nPIX_WIDTH {width}\nPIX_HEIGHT {height}\nPIX_DEPTH 8\nPPI 500\nCOMPRESSION WSQ\n"
    );
    let picture = Picture { width, height, pixels: print.pixels(), bins: &usual, comment: Some(&comment) };
    let file = encode(&picture);
    let at = home.join("fixtures/126_1.wsq");
    if std::env::var_os("AUTHENTEON_WRITE_FIXTURES").is_some() {
        std::fs::write(&at, &file).unwrap();
    }
    assert!(std::fs::read(at).unwrap() == file, "run again with AUTHENTEON_WRITE_FIXTURES=1");

    let frame = decode(&file, Dpi::new(300).unwrap()).unwrap();
    assert_eq!(frame.dpi(), Dpi::STANDARD);
    let squares = frame.pixels().iter().zip(print.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let error = (squares.sum::<f64>() / (width * height) as f64).sqrt();
    println!("{} bytes, {error:.2} grey levels apart (root of the mean square)", file.len());
    assert!(error < 8.0, "{error}");
    // And the pixels themselves are pinned: a decoder that is wrong where the encoder is would pass above.
    let sum = frame.pixels().iter().fold(0_u64, |sum, p| sum.wrapping_mul(0x0100_0000_01B3) ^ u64::from(*p));
    assert_eq!(sum, 9_075_575_036_577_338_736);
}

#[test]
fn subbands_of_an_odd_image_lie_where_the_standard_puts_them() {
    let layout = Layout::of(545, 622);
    assert_eq!(layout.subbands().len(), 64);
    let region = |x, y, width, height| Region { x, y, width, height };
    for (band, expected) in EXPECTED_OF_545_BY_622 {
        let (x, y, width, height) = expected;
        assert_eq!(layout.subbands()[band], region(x, y, width, height), "subband {band}");
    }
}

/// Subbands of every level and of both mirrored kinds, computed apart from the standard's formulas: the
/// number, then left, top, width and height.
const EXPECTED_OF_545_BY_622: [(usize, (usize, usize, usize, usize)); 32] = [
    (0, (0, 0, 18, 20)),
    (1, (18, 0, 17, 20)),
    (2, (0, 20, 18, 19)),
    (3, (18, 20, 17, 19)),
    (4, (35, 0, 34, 39)),
    (5, (0, 39, 35, 39)),
    (6, (35, 39, 34, 39)),
    (7, (69, 0, 34, 39)),
    (10, (103, 39, 34, 39)),
    (11, (0, 78, 35, 39)),
    (14, (35, 117, 34, 39)),
    (15, (69, 78, 34, 39)),
    (18, (103, 117, 34, 39)),
    (19, (137, 0, 34, 39)),
    (22, (171, 39, 34, 39)),
    (23, (205, 0, 34, 39)),
    (26, (239, 39, 34, 39)),
    (29, (137, 117, 34, 39)),
    (34, (239, 117, 34, 39)),
    (35, (0, 156, 35, 39)),
    (40, (103, 156, 34, 39)),
    (43, (0, 233, 35, 39)),
    (44, (35, 233, 34, 39)),
    (50, (103, 272, 34, 39)),
    (51, (137, 156, 136, 155)),
    (52, (273, 0, 136, 156)),
    (53, (409, 0, 136, 156)),
    (55, (409, 156, 136, 155)),
    (56, (0, 311, 137, 155)),
    (58, (0, 466, 137, 156)),
    (59, (137, 466, 136, 156)),
    (63, (409, 466, 136, 156)),
];

proptest! {
    #[test]
    fn subbands_tile_the_image(width in 64_usize..400, height in 64_usize..400) {
        let layout = Layout::of(width, height);
        let mut covered = vec![0_u8; width * height];
        for band in layout.subbands() {
            prop_assert!(band.width > 0 && band.height > 0);
            for row in covered.chunks_mut(width).skip(band.y).take(band.height) {
                row[band.x..band.x + band.width].iter_mut().for_each(|c| *c += 1);
            }
        }
        prop_assert!(covered.iter().all(|c| *c == 1));
    }

    #[test]
    fn mutated_wsq_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = file_of(70, 66, Some("NIST_COM 2\nPPI 500\n"));
        for (at, value) in edits {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(frame) = decode(&file, Dpi::STANDARD) {
            prop_assert_eq!(frame.pixels().len(), frame.width() as usize * frame.height() as usize);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_the_signature_never_panic(body in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = decode(&[&[0xFF, 0xA0, 0xFF], &body[..]].concat(), Dpi::STANDARD);
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let file = file_of(70, 66, Some("NIST_COM 2\nPPI 500\n"));
    for length in 3..file.len() {
        let refused = decode(&file[..length], Dpi::STANDARD);
        assert!(matches!(refused, Err(DecodeError::Wsq(_))), "{length}: {refused:?}");
    }
    assert!(decode(&file, Dpi::STANDARD).is_ok());
}

#[test]
fn a_bit_flipped_anywhere_never_panics_and_in_a_length_is_refused() {
    let file = file_of(66, 64, None);
    let starts = |marker: u8| file.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
    let (filters, frame, coefficients) = (starts(0xA4), starts(0xA2), starts(0xA3));
    for byte in 3..file.len() {
        // Every bit of the filters and the header, one of each byte in other tables, and of every fifth
        // byte of the coefficients.
        let whole = (filters..filters + 60).contains(&byte) || (frame..frame + 19).contains(&byte);
        let bits = match byte {
            _ if whole => 0..8,
            _ if byte < coefficients || byte % 5 == 0 => byte % 8..byte % 8 + 1,
            _ => 0..0,
        };
        for bit in bits {
            let mut flipped = file.clone();
            flipped[byte] ^= 1 << bit;
            if let Ok(frame) = decode(&flipped, Dpi::STANDARD) {
                assert_eq!(frame.pixels().len(), frame.width() as usize * frame.height() as usize);
            }
        }
    }
    // The transform table comes first: its length is at 4 and 5.
    for (at, bit) in (4..6).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << bit;
        assert!(decode(&flipped, Dpi::STANDARD).is_err(), "byte {at}, bit {bit}");
    }
}

#[test]
fn the_resolution_of_the_nist_comment_is_believed_before_the_caller_s() {
    let of = |comment| decode(&file_of(64, 64, comment), Dpi::new(569).unwrap()).map(|f| f.dpi().get());
    assert_eq!(of(Some("NIST_COM 3\nPIX_DEPTH 8\nPPI 1000\nLOSSY 1")), Ok(1000));
    assert_eq!(of(Some("NIST_COM 2\nPPI -1\n")), Ok(569));
    assert_eq!(of(Some("made by hand\nPPI 1000\n")), Ok(569));
    assert_eq!(of(None), Ok(569));
    let refused = Err(DecodeError::Frame(FrameError::Resolution { value: 50 }));
    assert_eq!(of(Some("NIST_COM 2\nPPI 50\n")), refused);
}

#[test]
fn a_frame_of_20000_by_20000_is_refused_by_its_header() {
    let file = [&SOI.to_be_bytes()[..], &frame_header(20_000, 20_000)].concat();
    let size = FrameError::Size { width: 20_000, height: 20_000 };
    assert_eq!(decode(&file, Dpi::STANDARD), Err(DecodeError::Frame(size)));
}

/// A file of these segments.
fn chain(segments: &[Vec<u8>]) -> Vec<u8> {
    [SOI.to_be_bytes().to_vec(), segments.concat(), EOI.to_be_bytes().to_vec()].concat()
}

#[test]
fn what_is_missing_or_impossible_is_said() {
    let (header, block) = (frame_header(64, 64), segment(SOB, &[0]));
    let missing = |what, segments: &[Vec<u8>]| assert_eq!(refusal(&chain(segments)), WsqError::Missing(what));
    missing("frame header", &[transform_table(), huffman_tables(), block.clone()]);
    missing("quantisation table", &[header.clone(), block]);
    missing("transform table", std::slice::from_ref(&header));
    missing("last block", &[header.clone(), transform_table()]);
    let with = |segment: Vec<u8>| refusal(&chain(&[segment]));
    let repeated = refusal(&chain(&[header.clone(), header]));
    assert_eq!(repeated, WsqError::Marker(0xFFA2));
    assert_eq!(with(segment(DRT, &[0, 8])), WsqError::Restart);
    assert_eq!(with(segment(0xFFC0, &[])), WsqError::Marker(0xFFC0));
    let even = WsqError::Filters { analysis_low: 8, analysis_high: 8 };
    assert_eq!(with(segment(DTT, &[8, 8])), even);
    assert_eq!(with(segment(DTT, &[9, 7, 0])), WsqError::Length("transform table"));
    assert_eq!(with(vec![0xFF, 0xA6, 0, 1]), WsqError::Length("Huffman table"));
    // Three codes of one bit.
    let three = [&[0, 3][..], &[0; 15], &[1, 2, 3]].concat();
    assert_eq!(with(segment(DHT, &three)), WsqError::Table);
    assert_eq!(with(segment(DHT, &[8])), WsqError::Table);
}

#[test]
fn blocks_that_hold_too_little_or_too_much_are_refused() {
    let file = file_of(64, 64, None);
    let starts: Vec<usize> =
        (0..file.len() - 1).filter(|at| file[*at..].starts_with(&[0xFF, 0xA3])).collect();
    assert_eq!(starts.len(), 3);
    let (head, first, second) = (&file[..starts[0]], &file[starts[0]..starts[1]], &file[starts[1]..]);
    assert_eq!(refusal(&[head, &first[..first.len() - 9], second].concat()), WsqError::BlockShort(1));
    assert_eq!(refusal(&[head, first, &[0x12, 0x34], second].concat()), WsqError::BlockLong(1));
    let end = file.len() - 2;
    let fourth = [&file[..end], first, &file[end..]].concat();
    assert_eq!(refusal(&fourth), WsqError::Marker(SOB));
    assert_eq!(refusal(&[&file[..starts[2]], &file[end..]].concat()), WsqError::Missing("last block"));
}

#[test]
fn codes_runs_and_escapes_mean_what_the_standard_says() {
    // A table whose code for the symbol s is the byte s - 1.
    let file = huffman_tables();
    let mut segments = Segments::new(&file);
    segments.marker().unwrap();
    segments.body("").unwrap();
    segments.marker().unwrap();
    let mut fields = segments.body("").unwrap();
    fields.u8().unwrap();
    let table = HuffmanTable::read(&mut fields).unwrap();
    let coefficients = |coded: &[u8], count: usize| {
        let mut block = Block::new(coded, &table, 1);
        let values = (0..count).map(|_| block.coefficient()).collect::<Result<Vec<_>, _>>()?;
        block.end().map(|()| values)
    };
    // Small values, escapes of 8 and 16 bits with a stuffed zero behind 0xFF, and runs.
    let coded = [106, 253, 100, 0xFF, 0, 101, 7, 102, 1, 0, 103, 0xFF, 0, 2, 1, 180];
    assert_eq!(coefficients(&coded, 9), Ok(vec![-73, 74, 255, -7, 256, -65_282, 0, 0, 1]));
    let long = coefficients(&[104, 200, 105, 1, 2, 179], 459).unwrap();
    assert!(long[..458].iter().all(|v| *v == 0) && long[458] == 0);
    assert_eq!(coefficients(&[1], 1), Err(WsqError::BlockLong(1)));
    assert_eq!(coefficients(&[104], 1), Err(WsqError::BlockShort(1)));
    // The code of eight ones is nobody's; neither are those that go on with it.
    assert_eq!(coefficients(&[0xFF, 0, 0xFF, 0], 1), Err(WsqError::Code));
}
