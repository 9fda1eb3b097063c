//! What a panel shows, as data: steps of light and sound, and how long the door is held open.

use std::time::Duration;

/// Light and sound for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The light is on.
    pub light: bool,
    /// The buzzer sounds.
    pub sound: bool,
    /// For so long.
    pub lasts: Duration,
}

impl Step {
    /// A step, with its length in milliseconds.
    #[must_use]
    pub const fn new(light: bool, sound: bool, ms: u64) -> Self {
        Self { light, sound, lasts: Duration::from_millis(ms) }
    }
}

/// Steps one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern(&'static [Step]);

impl Pattern {
    /// A long light and one high note: come in.
    pub const ACCEPTED: Self = Self(&[Step::new(true, true, 150), Step::new(true, false, 1350)]);
    /// Three short ones: no.
    pub const REFUSED: Self = Self(&[
        Step::new(true, true, 150),
        Step::new(false, false, 150),
        Step::new(true, true, 150),
        Step::new(false, false, 150),
        Step::new(true, true, 150),
    ]);
    /// A flicker without a sound: once more.
    pub const RETRY: Self = Self(&[
        Step::new(true, false, 80),
        Step::new(false, false, 80),
        Step::new(true, false, 80),
        Step::new(false, false, 80),
    ]);

    /// A pattern of these steps.
    #[must_use]
    pub const fn new(steps: &'static [Step]) -> Self {
        Self(steps)
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &'static [Step] {
        self.0
    }
}

/// What the person and the door get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// What is shown.
    pub pattern: Pattern,
    /// How long the door is held open; zero keeps it shut.
    pub door: Duration,
}
