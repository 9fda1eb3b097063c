//! The same picture gives the same template, two templates the same score and a probe the same candidates, bit for bit on
//! every platform: `cargo run -p authenteon-matcher --example golden` computes on this one and compares with what was
//! computed on x86-64.
//!
//! A program of one thread, so that it runs in an emulator that cannot start another, and on a board.
//!
//! The pictures are drawn here, by `libm` only: ridges as the cosine of a phase in which every
//! minutia is a turn of 2 pi (Larkin and Fletcher's view of a fingerprint).

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is the verdict")]

use std::{f64::consts::TAU, process::ExitCode, time::Instant};

use authenteon_matcher::{
    Dpi, Image, Minutia, MinutiaKind, Prepared, Template, compare, extract,
    search::{Finger, Gallery},
    simd::Kernel,
};

const SIDE: u32 = 320;

/// A print with so many minutiae, moved and turned, with grain that `press` decides.
fn print(seed: u64, press: u64, turn: f64, dpi: u32) -> Image {
    let mut finger = seed;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let charges: Vec<(f64, f64, f64)> = (0..36)
        .map(|n| {
            let (x, y) = (next(&mut finger) - 0.5, next(&mut finger) - 0.5);
            (x * 250.0, y * 250.0, if n % 2 == 0 { 1.0 } else { -1.0 })
        })
        .collect();
    let mut grain = press;
    let side = SIDE * dpi / 500;
    let scale = 500.0 / f64::from(dpi);
    let (s, c) = (libm::sin(turn), libm::cos(turn));
    let mut pixels = Vec::new();
    for row in 0..side {
        for column in 0..side {
            let (u, v) = (
                f64::from(column) * scale - f64::from(SIDE) / 2.0,
                f64::from(row) * scale - f64::from(SIDE) / 2.0,
            );
            let (x, y) = (c * u + s * v, c * v - s * u);
            // Arches: the ridges run across, bent over the middle.
            let bent = y + 26.0 * libm::exp(-(x * x) / 9000.0);
            let turns: f64 = charges.iter().map(|&(cx, cy, sign)| sign * libm::atan2(y - cy, x - cx)).sum();
            let ridge = libm::cos(TAU * bent / 9.0 + turns);
            let inside = x * x / (140.0 * 140.0) + y * y / (150.0 * 150.0) < 1.0;
            let grey = if inside { 128.0 - 90.0 * ridge } else { 245.0 };
            pixels.push((grey + 20.0 * (next(&mut grain) - 0.5)) as u8);
        }
    }
    Image::new(side, side, Dpi::new(dpi).unwrap(), pixels).unwrap()
}

fn template(image: &Image) -> Template {
    extract(image).unwrap().template
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Digests of templates on x86-64.
const TEMPLATES: [u64; 3] = [0x7b83_451d_ea53_ba7e, 0xd9bc_ad1e_7ce5_5278, 0x3a10_2bc1_a102_83d4];
/// The bits of a genuine and an impostor score on x86-64.
const SCORES: [u64; 2] = [4_638_608_083_940_147_428, 4_627_349_769_964_207_174];

fn templates() -> [u64; 3] {
    [print(1, 1, 0.0, 500), print(2, 2, 0.3, 500), print(3, 3, -0.2, 569)]
        .map(|image| digest(&template(&image).to_bytes()))
}

fn scores() -> [u64; 2] {
    let one = Prepared::new(&template(&print(1, 1, 0.0, 500)));
    let again = Prepared::new(&template(&print(1, 7, 0.25, 500)));
    let other = Prepared::new(&template(&print(2, 2, 0.3, 500)));
    let (genuine, impostor) = (compare(&one, &again).get(), compare(&one, &other).get());
    assert!(genuine > 50.0 && impostor < 30.0, "{genuine} {impostor}");
    [genuine.to_bits(), impostor.to_bits()]
}

/// Fingers of the gallery: enough for every stage of a search.
const FINGERS: u32 = 4100;
/// Minutiae of each.
const MINUTIAE: u32 = 20;
/// A digest of who was found on x86-64, and with what score.
const FOUND: u64 = 0xdcc7_e3ef_ac20_bf0a;

/// Minutiae drawn by chance. Of another press a few are lost, and the others moved a little.
fn drawn(finger: u32, press: u32) -> Template {
    let hash = |n: u32| (finger * 1000 + n).wrapping_mul(2_654_435_761);
    let moved = |n: u32| if press == 0 { 0 } else { (hash(n + 100 * press) >> 9) % 30 };
    let there = (0..MINUTIAE).filter(|n| press == 0 || hash(n + 700 + press) >> 13 & 7 != 0);
    let minutiae = there.map(|n| Minutia {
        x: (hash(n) >> 8) as u16 % 2900 + moved(n) as u16,
        y: (hash(n) >> 20) as u16 % 2900 + moved(n + 50) as u16,
        angle: (hash(n) as u8).wrapping_add(moved(n + 80) as u8 / 8),
        kind: MinutiaKind::Ending,
        quality: 80,
    });
    Template::from_minutiae(300, 300, minutiae.collect()).unwrap()
}

/// Who is found among all by whatever instructions there are, and how long a search takes.
fn found() -> u64 {
    let mut gallery = Gallery::new();
    gallery.extend((0..FINGERS).map(|finger| (finger, Finger::new(&[drawn(finger, 0)]))));
    gallery.build(1);
    let probes: Vec<Prepared> = [3, 700, 4099].map(|finger| Prepared::new(&drawn(finger, 1))).into();
    #[expect(clippy::disallowed_methods, reason = "the matcher knows no clock; whoever runs it may")]
    let began = Instant::now();
    let candidates = gallery.search_each(&probes.iter().collect::<Vec<_>>(), 3);
    let each = began.elapsed() / probes.len() as u32;
    println!("search among {FINGERS} by {:?}: {:.1} ms", Kernel::chosen(), each.as_secs_f64() * 1000.0);
    let firsts: Vec<u32> = candidates.iter().filter_map(|found| Some(found.first()?.key)).collect();
    assert_eq!(firsts, [3, 700, 4099]);
    let told = candidates.iter().flatten();
    let bytes = told.flat_map(|c| [u64::from(c.key), c.score.get().to_bits(), c.standing.to_bits()]);
    digest(&bytes.flat_map(u64::to_le_bytes).collect::<Vec<_>>())
}

fn main() -> ExitCode {
    let (templates, scores, found) = (templates(), scores(), found());
    let same = templates == TEMPLATES && scores == SCORES && found == FOUND;
    println!(
        "templates {templates:016x?}, scores {scores:?}, found {found:#018x} on {}",
        std::env::consts::ARCH
    );
    println!("{}", if same { "the same as on x86-64" } else { "DIFFERENT from x86-64" });
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_the_same_on_every_platform() {
        let found = templates();
        assert!(found == TEMPLATES, "{found:016x?}");
    }

    #[test]
    fn candidates_are_the_same_on_every_platform() {
        let found = found();
        assert!(found == FOUND, "{found:#018x}");
    }

    #[test]
    fn scores_are_the_same_on_every_platform() {
        assert_eq!(scores(), SCORES);
    }
}
