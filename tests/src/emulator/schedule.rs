//! Which finger lies on the module when.
//!
//! Invariant: a finger lies and is lifted for as long as was said, in the order that was said; what
//! is placed has the size of the module's own frames, whatever size the picture has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use authenteon_hal::{Dpi, Frame, decode};

/// One touch.
#[derive(Clone, Debug)]
pub struct Touch {
    /// What the module sees.
    pub frame: Frame,
    /// How long it lies there.
    pub lies: Duration,
    /// How long nothing lies there afterwards.
    pub lifted: Duration,
}

/// Touches one after the other.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    touches: Vec<Touch>,
    repeats: bool,
    /// Nothing lies there before.
    begins: Duration,
}

impl Schedule {
    /// Nobody comes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One finger that lies there from now on.
    #[must_use]
    pub fn always(frame: Frame) -> Self {
        let touch = Touch { frame, lies: Duration::MAX, lifted: Duration::ZERO };
        Self { touches: vec![touch], ..Self::default() }
    }

    /// These touches, once.
    #[must_use]
    pub fn of(touches: Vec<Touch>) -> Self {
        Self { touches, ..Self::default() }
    }

    /// The same again and again.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Only after this time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.begins = time;
        self
    }

    /// The number of the touch that lies there at a time since the start, if one does.
    #[must_use]
    pub fn at(&self, time: Duration) -> Option<usize> {
        let mut left = time.checked_sub(self.begins)?;
        let round: Duration = self
            .touches
            .iter()
            .fold(Duration::ZERO, |sum, t| sum.saturating_add(t.lies).saturating_add(t.lifted));
        if self.repeats && round > Duration::ZERO && round < Duration::MAX {
            let nanoseconds = left.as_nanos() % round.as_nanos();
            left = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        }
        for (number, touch) in self.touches.iter().enumerate() {
            if left < touch.lies {
                return Some(number);
            }
            left = left.saturating_sub(touch.lies);
            if left < touch.lifted {
                return None;
            }
            left = left.saturating_sub(touch.lifted);
        }
        None
    }

    /// What lies there in a touch.
    #[must_use]
    pub fn frame(&self, number: usize) -> Option<&Frame> {
        self.touches.get(number).map(|touch| &touch.frame)
    }
}

/// Why a picture cannot be placed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct NoPicture {
    path: PathBuf,
    reason: String,
}

/// Reads a picture and fits it to the module's size.
///
/// # Errors
/// [`NoPicture`] naming the file.
pub fn picture(path: &Path, size: (u32, u32)) -> Result<Frame, NoPicture> {
    let refuse = |reason: String| NoPicture { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let frame = decode::decode(&bytes, Dpi::STANDARD).map_err(|error| refuse(error.to_string()))?;
    fit(&frame, size).ok_or_else(|| refuse("it cannot be fitted to the module's size".to_owned()))
}

/// Reads every picture of a folder, by name.
///
/// # Errors
/// [`NoPicture`] naming the folder or the file.
pub fn pictures(folder: &Path, size: (u32, u32)) -> Result<Vec<Frame>, NoPicture> {
    let refuse =
        |reason: &dyn std::fmt::Display| NoPicture { path: folder.to_owned(), reason: reason.to_string() };
    let entries = std::fs::read_dir(folder).map_err(|error| refuse(&error))?;
    let kinds = ["png", "bmp", "tif", "tiff"];
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| refuse(&error))?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).map(str::to_ascii_lowercase);
        if kind.is_some_and(|kind| kinds.contains(&kind.as_str())) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(refuse(&"no pictures (png, bmp, tiff) in this folder"));
    }
    paths.sort();
    paths.iter().map(|path| picture(path, size)).collect()
}

/// Cuts and widens around the middle, with white where the picture has nothing.
#[must_use]
pub fn fit(frame: &Frame, (width, height): (u32, u32)) -> Option<Frame> {
    // Where a pixel of the result lies in the picture.
    let from = |at: u32, wanted: u32, given: u32| {
        let moved = i64::from(at) + (i64::from(given) - i64::from(wanted)) / 2;
        u32::try_from(moved).ok().filter(|moved| *moved < given)
    };
    let pixel = |x: u32, y: u32| {
        let (x, y) = (from(x, width, frame.width())?, from(y, height, frame.height())?);
        frame.pixels().get(y as usize * frame.width() as usize + x as usize).copied()
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let pixels = places.map(|(x, y)| pixel(x, y).unwrap_or(u8::MAX)).collect();
    Frame::new(width, height, frame.dpi(), pixels).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32, height: u32) -> Frame {
        let pixels = (0..width * height).map(|at| (at % 251) as u8).collect();
        Frame::new(width, height, Dpi::STANDARD, pixels).unwrap()
    }

    #[test]
    fn fingers_lie_and_are_lifted_in_their_order() {
        let second = Duration::from_secs(1);
        let touch = |lies: u32, lifted: u32| Touch {
            frame: frame(64, 64),
            lies: second * lies,
            lifted: second * lifted,
        };
        let schedule = Schedule::of(vec![touch(2, 1), touch(1, 3)]).after(second);
        let at = |schedule: &Schedule, time: u32| schedule.at(second * time);
        let seen: Vec<_> = (0..12).map(|time| at(&schedule, time)).collect();
        assert_eq!(seen[..9], [None, Some(0), Some(0), None, Some(1), None, None, None, None]);
        assert!(seen[9..].iter().all(Option::is_none));
        let again = schedule.repeated();
        assert_eq!((at(&again, 8), at(&again, 11), at(&again, 7 * 1000 + 1)), (Some(0), Some(1), Some(0)));
    }

    #[test]
    fn a_finger_that_always_lies_there_is_there_at_every_time() {
        let schedule = Schedule::always(frame(64, 64));
        assert_eq!(schedule.at(Duration::ZERO), Some(0));
        assert_eq!(schedule.at(Duration::from_secs(1 << 40)), Some(0));
        assert_eq!(Schedule::empty().at(Duration::ZERO), None);
    }

    #[test]
    fn pictures_are_cut_and_widened_around_their_middle() {
        let large = frame(100, 80);
        let cut = fit(&large, (64, 64)).unwrap();
        assert_eq!(cut.pixels()[0], large.pixels()[8 * 100 + 18]);
        assert_eq!(fit(&cut, (64, 64)), Some(cut.clone()));
        let wide = fit(&cut, (100, 80)).unwrap();
        assert_eq!((wide.pixels()[0], wide.pixels()[8 * 100 + 18]), (255, cut.pixels()[0]));
    }
}
