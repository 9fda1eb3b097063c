//! Where the transform puts its subbands: the image is split into four, some of the parts again, five
//! times at most, 64 subbands in all.
//!
//! A part that a high-pass filter gave holds its frequencies in reverse. Its own split is therefore
//! stored the other way round, so that frequencies rise to the right and downwards everywhere:
//! `flip_x` and `flip_y` say so. Invariant: the subbands tile the image, in the standard's order.

/// Subbands of an image.
pub(super) const SUBBANDS: usize = 64;
/// Those that a file may hold: the four highest are never kept.
pub(super) const CODED: usize = 60;

/// A part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A region that is split into four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) region: Region,
    /// Whether the high-pass half lies left.
    pub(super) flip_x: bool,
    /// Whether the high-pass half lies above.
    pub(super) flip_y: bool,
}

/// How a region is split further.
#[derive(Clone, Copy)]
enum Plan {
    /// All of it so many times.
    Evenly(u32),
    /// The image: its upper left deeper than the rest.
    Image,
    /// The upper left of the image: all but its lower right twice or more.
    Quarter,
    /// The upper left of that: all twice, and once more at its corner.
    Sixteenth,
    /// The corner.
    Corner,
}

impl Plan {
    /// Plans of the four parts: upper left, upper right, lower left, lower right.
    fn parts(self) -> Option<[Plan; 4]> {
        use Plan::{Corner, Evenly, Image, Quarter, Sixteenth};
        match self {
            Evenly(0) => None,
            Evenly(times) => Some([Evenly(times - 1); 4]),
            Image => Some([Quarter, Evenly(1), Evenly(1), Evenly(1)]),
            Quarter => Some([Sixteenth, Evenly(2), Evenly(2), Evenly(0)]),
            Sixteenth => Some([Corner, Evenly(1), Evenly(1), Evenly(1)]),
            Corner => Some([Evenly(1), Evenly(0), Evenly(0), Evenly(0)]),
        }
    }
}

/// All splits and subbands of an image.
pub(super) struct Layout {
    image: Region,
    /// Each before the splits inside it.
    splits: Vec<Split>,
    subbands: Vec<Region>,
}

impl Layout {
    pub(super) fn of(width: usize, height: usize) -> Self {
        let image = Region { x: 0, y: 0, width, height };
        let mut layout = Self { image, splits: Vec::new(), subbands: Vec::with_capacity(SUBBANDS) };
        layout.split(Split { region: image, flip_x: false, flip_y: false }, Plan::Image);
        layout
    }

    pub(super) fn width(&self) -> usize {
        self.image.width
    }

    pub(super) fn height(&self) -> usize {
        self.image.height
    }

    /// The subbands by their numbers in the standard.
    pub(super) fn subbands(&self) -> &[Region] {
        &self.subbands
    }

    /// Every split after those inside it.
    pub(super) fn splits_from_the_smallest(&self) -> impl Iterator<Item = &Split> {
        self.splits.iter().rev()
    }

    /// Every split before those inside it.
    #[cfg(any(test, feature = "emulator"))]
    pub(super) fn splits_from_the_largest(&self) -> impl Iterator<Item = &Split> {
        self.splits.iter()
    }

    fn split(&mut self, split: Split, plan: Plan) {
        let Some(plans) = plan.parts() else {
            self.subbands.push(split.region);
            return;
        };
        self.splits.push(split);
        let Region { x, y, width, height } = split.region;
        // Of an odd length the low-pass half has one more.
        let left = (width + usize::from(!split.flip_x)) / 2;
        let upper = (height + usize::from(!split.flip_y)) / 2;
        let columns = [(x, left), (x + left, width - left)];
        let rows = [(y, upper), (y + upper, height - upper)];
        for (part, plan) in plans.into_iter().enumerate() {
            let (flip_x, flip_y) = (part % 2 == 1, part / 2 == 1);
            let ((x, width), (y, height)) = (columns[part % 2], rows[part / 2]);
            self.split(Split { region: Region { x, y, width, height }, flip_x, flip_y }, plan);
        }
    }
}
