//! A picture of a print, and what who replays it can do to it with any program.

use authenteon_hal::{Dpi, Frame, decode::decode, encode};
use authenteon_matcher::{Image, Template, extract};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// What lies outside a picture.
const PAPER: f32 = 255.0;

/// A grey picture, dark ridges on light.
#[derive(Clone)]
pub struct Picture {
    width: usize,
    height: usize,
    dpi: u32,
    pixels: Vec<u8>,
}

impl From<Frame> for Picture {
    fn from(frame: Frame) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Self { width, height, dpi: u32::from(frame.dpi().get()), pixels: frame.into_pixels() }
    }
}

impl Picture {
    /// Its template; none when no usable print is left.
    #[must_use]
    pub fn template(&self) -> Option<Template> {
        let dpi = authenteon_matcher::Dpi::new(self.dpi).ok()?;
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        let image = Image::new(width, height, dpi, self.pixels.clone()).ok()?;
        extract(&image).ok().map(|extraction| extraction.template)
    }

    fn at(&self, x: isize, y: isize) -> f32 {
        let inside = |v: isize, side: usize| usize::try_from(v).ok().filter(|v| *v < side);
        match (inside(x, self.width), inside(y, self.height)) {
            (Some(x), Some(y)) => f32::from(self.pixels[y * self.width + x]),
            _ => PAPER,
        }
    }

    fn between(&self, x: f32, y: f32) -> f32 {
        let (i, j) = (x.floor() as isize, y.floor() as isize);
        let (right, down) = (x - x.floor(), y - y.floor());
        let row = |j| self.at(i, j) * (1.0 - right) + self.at(i + 1, j) * right;
        row(j) * (1.0 - down) + row(j + 1) * down
    }

    /// A picture of another size, each pixel of which is taken from somewhere in this one.
    fn drawn(&self, width: usize, height: usize, from: impl Fn(f32, f32) -> (f32, f32)) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)));
        let pixels = places.map(|(x, y)| {
            let (x, y) = from(x, y);
            self.between(x, y).round() as u8
        });
        Self { width, height, dpi: self.dpi, pixels: pixels.collect() }
    }

    /// Moved within its frame.
    #[must_use]
    pub fn shifted(&self, right: f32, down: f32) -> Self {
        self.drawn(self.width, self.height, |x, y| (x - right, y - down))
    }

    /// Turned about its middle, in degrees.
    #[must_use]
    pub fn turned(&self, degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (mid_x, mid_y) = (self.width as f32 / 2.0, self.height as f32 / 2.0);
        self.drawn(self.width, self.height, |x, y| {
            let (x, y) = (x - mid_x, y - mid_y);
            (mid_x + cos * x - sin * y, mid_y + sin * x + cos * y)
        })
    }

    /// With so much of each side cut away, as a share.
    #[must_use]
    pub fn cropped(&self, share: f32) -> Self {
        let (left, top) = ((self.width as f32 * share) as usize, (self.height as f32 * share) as usize);
        let (width, height) = (self.width - 2 * left, self.height - 2 * top);
        self.drawn(width, height, |x, y| (x + left as f32, y + top as f32))
    }

    /// Drawn wider and higher by these factors; the resolution that it tells stays.
    #[must_use]
    pub fn scaled(&self, across: f32, down: f32) -> Self {
        let (width, height) = ((self.width as f32 * across) as usize, (self.height as f32 * down) as usize);
        self.drawn(width, height, |x, y| (x / across, y / down))
    }

    /// Drawn at another resolution, which it tells.
    #[must_use]
    pub fn at_resolution(&self, factor: f32) -> Self {
        Self { dpi: (self.dpi as f32 * factor).round() as u32, ..self.scaled(factor, factor) }
    }

    /// Bent like skin: every point goes up to so many pixels each way, smoothly.
    #[must_use]
    pub fn bent(&self, pixels: f32) -> Self {
        let wave = |at: f32, length: f32| pixels * (at / length).sin();
        self.drawn(self.width, self.height, |x, y| (x + wave(y, 60.0), y + wave(x, 55.0)))
    }

    /// With noise of this deviation, in grey levels.
    #[must_use]
    pub fn noisy(&self, deviation: f32) -> Self {
        let mut chance = ChaCha8Rng::from_seed([7; 32]);
        // The sum of twelve evenly distributed numbers is as good as normal.
        let mut normal = || (0..12).map(|_| chance.next_u32() as f32 / u32::MAX as f32).sum::<f32>() - 6.0;
        self.grey(|grey| grey + deviation * normal())
    }

    /// With other greys.
    #[must_use]
    pub fn grey(&self, mut change: impl FnMut(f32) -> f32) -> Self {
        let pixels = self.pixels.iter().map(|p| change(f32::from(*p)).round() as u8).collect();
        Self { pixels, ..self.clone() }
    }

    /// Each pixel the mean of its surroundings of three by three.
    #[must_use]
    pub fn blurred(&self) -> Self {
        let mean = |x: f32, y: f32| {
            let places = (-1..=1).flat_map(|j| (-1..=1).map(move |i| (x as isize + i, y as isize + j)));
            (places.map(|(x, y)| self.at(x, y)).sum::<f32>() / 9.0).round() as u8
        };
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x as f32, y as f32)));
        Self { pixels: places.map(|(x, y)| mean(x, y)).collect(), ..self.clone() }
    }

    /// Through a WSQ file of bins so many times as wide as usual. None when it is no size for one.
    #[must_use]
    pub fn through_wsq(&self, coarseness: u16) -> Option<Self> {
        let dpi = Dpi::new(self.dpi).ok()?;
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        let frame = Frame::new(width, height, dpi, self.pixels.clone()).ok()?;
        decode(&encode::wsq(&frame, coarseness), dpi).ok().map(Self::from)
    }
}
