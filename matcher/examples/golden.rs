//! The same picture gives the same template, and two templates the same score, bit for bit on every
//! platform: `cargo run -p authenteon-matcher --example golden` computes on this one and compares with
//! what was computed on x86-64.
//!
//! A program of one thread, so that it runs in an emulator that cannot start another, and on a board.
//!
//! The pictures are drawn here, by `libm` only: ridges as the cosine of a phase in which every
//! minutia is a turn of 2 pi (Larkin and Fletcher's view of a fingerprint).

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is the verdict")]

use std::{f64::consts::TAU, process::ExitCode};

use authenteon_matcher::{Dpi, Image, Prepared, Template, compare, extract};

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

fn main() -> ExitCode {
    let (templates, scores) = (templates(), scores());
    let same = templates == TEMPLATES && scores == SCORES;
    println!("templates {templates:016x?}, scores {scores:?} on {}", std::env::consts::ARCH);
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
    fn scores_are_the_same_on_every_platform() {
        assert_eq!(scores(), SCORES);
    }
}
