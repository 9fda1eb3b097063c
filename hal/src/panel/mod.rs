//! The front panel: a light, a buzzer, a door relay, a touch line and a tamper switch, each a digital
//! pin of `embedded-hal` with its own polarity, each there or not.
//!
//! Invariant: the relay is at rest whenever nobody is in [`Panel::show`], also after a pin has failed, a
//! cancellation or a panic, and it is never held for longer than [`LONGEST_OPENING`].

#[cfg(feature = "gpio")]
pub mod cdev;
mod pattern;
#[cfg(feature = "rppal")]
pub mod pi;

use std::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};

pub use pattern::{Feedback, Pattern, Step};

use crate::clock::Clock;
use crate::wait::Wait;

/// A door that is held open longer is a door that stands open.
pub const LONGEST_OPENING: Duration = Duration::from_secs(10);

/// Which level of a pin means "on".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Polarity {
    /// High is on.
    #[default]
    ActiveHigh,
    /// Low is on, as with a switch to ground.
    ActiveLow,
}

impl Polarity {
    fn level(self, on: bool) -> PinState {
        PinState::from(on == (self == Self::ActiveHigh))
    }
}

/// What is on the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The light.
    Light,
    /// The buzzer.
    Buzzer,
    /// The relay of the door.
    Relay,
    /// The line that says that somebody touches the reader.
    Touch,
    /// The switch that opens with the case.
    Tamper,
}

/// A part of the panel, the number of its line, and what the line's levels mean.
pub type Wire = (Part, u32, Polarity);

/// Why the panel did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PanelError {
    /// A pin failed.
    #[error("the panel's {part:?} failed: {why}")]
    Pin {
        /// Which.
        part: Part,
        /// What the pin said.
        why: String,
    },
    /// Somebody ended it early; everything is at rest.
    #[error("the panel was interrupted")]
    Cancelled,
}

/// A pin and what its levels mean.
#[derive(Debug)]
pub struct Line<P> {
    pin: P,
    polarity: Polarity,
}

impl<P> Line<P> {
    /// A line over a pin.
    pub fn new(pin: P, polarity: Polarity) -> Self {
        Self { pin, polarity }
    }
}

/// The panel. Parts that a box does not have are left out.
#[derive(Debug)]
pub struct Panel<O: OutputPin, I: InputPin> {
    light: Option<Line<O>>,
    buzzer: Option<Line<O>>,
    relay: Option<Line<O>>,
    touch: Option<Line<I>>,
    tamper: Option<Line<I>>,
}

impl<O: OutputPin, I: InputPin> Default for Panel<O, I> {
    fn default() -> Self {
        Self { light: None, buzzer: None, relay: None, touch: None, tamper: None }
    }
}

impl<O: OutputPin, I: InputPin> Panel<O, I> {
    /// A panel with nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a light, a buzzer or a relay, which is put to rest.
    ///
    /// # Errors
    /// [`PanelError::Pin`] when it cannot be put to rest, or when the part is no output.
    pub fn with_output(mut self, part: Part, line: Line<O>) -> Result<Self, PanelError> {
        match part {
            Part::Light => self.light = Some(line),
            Part::Buzzer => self.buzzer = Some(line),
            Part::Relay => self.relay = Some(line),
            Part::Touch | Part::Tamper => return Err(wrong_way(part)),
        }
        self.set(part, false)?;
        Ok(self)
    }

    /// With a touch line or a tamper switch.
    ///
    /// # Errors
    /// [`PanelError::Pin`] when the part is no input.
    pub fn with_input(mut self, part: Part, line: Line<I>) -> Result<Self, PanelError> {
        match part {
            Part::Touch => self.touch = Some(line),
            Part::Tamper => self.tamper = Some(line),
            Part::Light | Part::Buzzer | Part::Relay => return Err(wrong_way(part)),
        }
        Ok(self)
    }

    /// Whether somebody touches the reader; none when the panel cannot tell.
    ///
    /// # Errors
    /// [`PanelError::Pin`].
    pub fn touched(&mut self) -> Result<Option<bool>, PanelError> {
        read(Part::Touch, &mut self.touch)
    }

    /// Whether the case is open; none when the panel cannot tell.
    ///
    /// # Errors
    /// [`PanelError::Pin`].
    pub fn tampered(&mut self) -> Result<Option<bool>, PanelError> {
        read(Part::Tamper, &mut self.tamper)
    }

    /// Plays a pattern and holds the door open for as long as the feedback says, whichever takes longer.
    /// Afterwards everything is at rest, however it ended.
    ///
    /// # Errors
    /// [`PanelError`]; the first failure ends it.
    pub fn show(&mut self, feedback: &Feedback, wait: &Wait, clock: &dyn Clock) -> Result<(), PanelError> {
        let resting = Resting(self);
        let played = resting.0.play(feedback, wait, clock);
        let rested = resting.0.rest();
        played.and(rested)
    }

    fn play(&mut self, feedback: &Feedback, wait: &Wait, clock: &dyn Clock) -> Result<(), PanelError> {
        let mut open = feedback.door.min(LONGEST_OPENING);
        if !open.is_zero() {
            self.set(Part::Relay, true)?;
        }
        let began = clock.now();
        let deadline = wait.start(clock);
        let sleep = |time| deadline.sleep(time, "the panel").map_err(|_| PanelError::Cancelled);
        // The door closes on time even in the middle of a step.
        let mut pass = |panel: &mut Self, time: Duration| {
            let until = clock.now() + time;
            if !open.is_zero() && until >= began + open {
                sleep((began + open).saturating_sub(clock.now()))?;
                panel.set(Part::Relay, false)?;
                open = Duration::ZERO;
            }
            sleep(until.saturating_sub(clock.now()))
        };
        for step in feedback.pattern.steps() {
            self.set(Part::Light, step.light)?;
            self.set(Part::Buzzer, step.sound)?;
            pass(self, step.lasts)?;
        }
        self.set(Part::Light, false)?;
        self.set(Part::Buzzer, false)?;
        let left = (began + feedback.door.min(LONGEST_OPENING)).saturating_sub(clock.now());
        pass(self, left)
    }

    fn set(&mut self, part: Part, on: bool) -> Result<(), PanelError> {
        let line = match part {
            Part::Light => &mut self.light,
            Part::Buzzer => &mut self.buzzer,
            Part::Relay => &mut self.relay,
            Part::Touch | Part::Tamper => return Err(wrong_way(part)),
        };
        let Some(line) = line else { return Ok(()) };
        let level = line.polarity.level(on);
        line.pin.set_state(level).map_err(|error| failed(part, &error))
    }

    /// Everything off, the relay first; one that fails does not keep the others on.
    fn rest(&mut self) -> Result<(), PanelError> {
        let parts = [Part::Relay, Part::Buzzer, Part::Light];
        let all = parts.map(|part| self.set(part, false).or_else(|_| self.set(part, false)));
        all.into_iter().collect()
    }
}

impl<O: OutputPin, I: InputPin> Drop for Panel<O, I> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.rest();
    }
}

/// Puts the panel to rest when a pin's driver panics, too.
struct Resting<'a, O: OutputPin, I: InputPin>(&'a mut Panel<O, I>);

impl<O: OutputPin, I: InputPin> Drop for Resting<'_, O, I> {
    fn drop(&mut self) {
        let _ = self.0.rest();
    }
}

fn read<I: InputPin>(part: Part, line: &mut Option<Line<I>>) -> Result<Option<bool>, PanelError> {
    let Some(line) = line else { return Ok(None) };
    let high = line.pin.is_high().map_err(|error| failed(part, &error))?;
    Ok(Some(high == (line.polarity == Polarity::ActiveHigh)))
}

fn failed(part: Part, error: &impl embedded_hal::digital::Error) -> PanelError {
    PanelError::Pin { part, why: format!("{error:?} ({:?})", error.kind()) }
}

fn wrong_way(part: Part) -> PanelError {
    PanelError::Pin { part, why: "it is used the wrong way round".to_owned() }
}

#[cfg(test)]
mod tests;
