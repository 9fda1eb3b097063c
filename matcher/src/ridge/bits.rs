//! A picture of one bit a pixel, 64 pixels a word, so that thinning works on whole words.
//! Invariant: bits beyond the width are zero.

use crate::image::plane::Plane;

/// One bit a pixel; bit `x % 64` of word `x / 64` is the pixel at x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Words in a row.
    pub(crate) stride: usize,
    pub(crate) words: Vec<u64>,
}

impl Bits {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let stride = width.div_ceil(64);
        Self { width, height, stride, words: vec![0; stride * height] }
    }

    /// The pixels for which `f` holds.
    pub(crate) fn of<T: Copy>(plane: &Plane<T>, f: impl Fn(T) -> bool) -> Self {
        let mut out = Self::new(plane.width, plane.height);
        for y in 0..plane.height {
            for (word, chunk) in
                out.words[y * out.stride..(y + 1) * out.stride].iter_mut().zip(plane.row(y).chunks(64))
            {
                for (bit, &v) in chunk.iter().enumerate() {
                    *word |= u64::from(f(v)) << bit;
                }
            }
        }
        out
    }

    pub(crate) fn get(&self, x: i32, y: i32) -> bool {
        if x < 0 || y < 0 || x as usize >= self.width || y as usize >= self.height {
            return false;
        }
        let (x, y) = (x as usize, y as usize);
        self.words[y * self.stride + x / 64] >> (x % 64) & 1 == 1
    }

    /// The eight neighbours as bits, clockwise from north at bit 0.
    pub(crate) fn around(&self, x: i32, y: i32) -> u8 {
        let (above, here, below) = (self.three(x, y - 1), self.three(x, y), self.three(x, y + 1));
        // Each triple has west at bit 0, the middle at bit 1 and east at bit 2.
        (above >> 1 & 1)
            | (above >> 2 & 1) << 1
            | (here >> 2 & 1) << 2
            | (below >> 2 & 1) << 3
            | (below >> 1 & 1) << 4
            | (below & 1) << 5
            | (here & 1) << 6
            | (above & 1) << 7
    }

    /// The pixels at x-1, x and x+1 of a row, from bit 0.
    fn three(&self, x: i32, y: i32) -> u8 {
        if y < 0 || y as usize >= self.height {
            return 0;
        }
        let place = x as usize % 64;
        if x > 0 && (1..63).contains(&place) && (x as usize) < self.width {
            let word = self.words[y as usize * self.stride + x as usize / 64];
            return (word >> (place - 1) & 7) as u8;
        }
        u8::from(self.get(x - 1, y)) | u8::from(self.get(x, y)) << 1 | u8::from(self.get(x + 1, y)) << 2
    }

    pub(crate) fn set(&mut self, x: i32, y: i32, value: bool) {
        if x < 0 || y < 0 || x as usize >= self.width || y as usize >= self.height {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        let word = &mut self.words[y * self.stride + x / 64];
        if value {
            *word |= 1 << (x % 64);
        } else {
            *word &= !(1 << (x % 64));
        }
    }

    /// Every set pixel, row by row.
    pub(crate) fn ones(&self) -> impl Iterator<Item = (i32, i32)> + '_ {
        self.words.iter().enumerate().flat_map(move |(i, &word)| {
            let (y, x) = ((i / self.stride) as i32, (i % self.stride * 64) as i32);
            let mut left = word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as i32;
                    left &= left - 1;
                    (x + bit, y)
                })
            })
        })
    }
}
