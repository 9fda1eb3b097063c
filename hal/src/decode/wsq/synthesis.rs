//! The inverse wavelet transform: two half-length bands to the line they came from.
//!
//! Interleaved, low-pass values stand at even places and high-pass values at odd ones, and the line
//! goes on mirrored at both ends without repeating the end, whatever the parity of its length. That
//! is what odd-length symmetric filters need to give back what they were given.

use super::{
    WsqError,
    segments::{Fields, decimal},
    subbands::Split,
};

/// Lines that are filtered together, so that the processor's vector units have work.
const LANES: usize = 8;
/// Taps of the longest filter believed; encoders use 9 and 7.
const MOST_TAPS: u8 = 31;

/// The synthesis filters.
pub(super) struct Filters {
    /// What even places take from the places around them, by distance.
    even: Vec<f32>,
    /// What odd places take.
    odd: Vec<f32>,
}

impl Filters {
    /// Reads the analysis filters' right halves. Those of synthesis have the same taps with the sign
    /// of every other one changed, low-pass and high-pass exchanged.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, WsqError> {
        let (analysis_low, analysis_high) = (fields.u8()?, fields.u8()?);
        let fine = |taps: u8| taps % 2 == 1 && taps <= MOST_TAPS;
        if !fine(analysis_low) || !fine(analysis_high) {
            return Err(WsqError::Filters { analysis_low, analysis_high });
        }
        let mut half = |taps: u8| {
            (0..=taps / 2)
                .map(|at| {
                    let (sign, places) = (fields.u8()?, fields.u8()?);
                    let tap = decimal(fields.u32()?, places);
                    Ok(if (sign != 0) == (at % 2 == 0) { -tap } else { tap })
                })
                .collect::<Result<Vec<f32>, WsqError>>()
        };
        let (high, low) = (half(analysis_low)?, half(analysis_high)?);
        fields.end()?;
        // A place's own band is heard at even distances, the other band at odd ones.
        let reach = high.len().max(low.len());
        let mix = |own: &[f32], other: &[f32]| {
            (0..reach)
                .map(|at| if at % 2 == 0 { own } else { other }.get(at).copied().unwrap_or(0.0))
                .collect()
        };
        Ok(Self { even: mix(&low, &high), odd: mix(&high, &low) })
    }

    /// Joins the four parts of a split, columns first, in a plane of the given width.
    pub(super) fn join(&self, plane: &mut [f32], pitch: usize, split: &Split) {
        let region = split.region;
        let start = region.y * pitch + region.x;
        let columns = Lines {
            start,
            count: region.width,
            apart: 1,
            length: region.height,
            step: pitch,
            flip: split.flip_y,
        };
        let rows = Lines {
            start,
            count: region.height,
            apart: pitch,
            length: region.width,
            step: 1,
            flip: split.flip_x,
        };
        self.join_lines(plane, columns);
        self.join_lines(plane, rows);
    }

    fn join_lines(&self, plane: &mut [f32], lines: Lines) {
        let reach = self.even.len() - 1;
        let mut line = vec![[0.0; LANES]; lines.length + 2 * reach];
        for group in (0..lines.count).step_by(LANES) {
            let lanes = LANES.min(lines.count - group);
            let start = lines.start + group * lines.apart;
            for at in 0..lines.length {
                let values = &mut line[reach + lines.interleaved(at)];
                for (lane, value) in values.iter_mut().take(lanes).enumerate() {
                    *value = plane[start + lane * lines.apart + at * lines.step];
                }
            }
            mirror(&mut line, reach);
            for at in 0..lines.length {
                let taps = if at % 2 == 0 { &self.even } else { &self.odd };
                let joined = filter(&line[at..=at + 2 * reach], taps);
                for (lane, value) in joined.iter().take(lanes).enumerate() {
                    plane[start + lane * lines.apart + at * lines.step] = *value;
                }
            }
        }
    }
}

/// Parallel lines in a plane.
struct Lines {
    start: usize,
    count: usize,
    /// From one line to the next.
    apart: usize,
    length: usize,
    /// From one place in a line to the next.
    step: usize,
    /// Whether the high-pass half is stored first.
    flip: bool,
}

impl Lines {
    /// The place in the interleaved line of a value stored in halves.
    fn interleaved(&self, at: usize) -> usize {
        let high = self.length / 2;
        let low = self.length - high;
        match if self.flip {
            at.checked_sub(high).ok_or(at)
        } else if at < low {
            Ok(at)
        } else {
            Err(at - low)
        } {
            Ok(low) => 2 * low,
            Err(high) => 2 * high + 1,
        }
    }
}

/// Fills `reach` places at both ends with the line's mirror image, again and again if it is short.
fn mirror(line: &mut [[f32; LANES]], reach: usize) {
    let length = line.len() - 2 * reach;
    let period = 2 * length.saturating_sub(1);
    let inside = |distance: usize| {
        let at = distance.checked_rem(period).unwrap_or(0);
        at.min(period - at)
    };
    for distance in 1..=reach {
        line[reach - distance] = line[reach + inside(distance)];
        line[reach + length - 1 + distance] = line[reach + length - 1 - inside(distance)];
    }
}

/// The middle of a window through a symmetric filter.
fn filter(window: &[[f32; LANES]], taps: &[f32]) -> [f32; LANES] {
    let middle = window.len() / 2;
    let mut sum = window[middle].map(|value| value * taps[0]);
    for (distance, tap) in taps.iter().enumerate().skip(1) {
        let (before, after) = (&window[middle - distance], &window[middle + distance]);
        for ((sum, before), after) in sum.iter_mut().zip(before).zip(after) {
            *sum += tap * (before + after);
        }
    }
    sum
}
