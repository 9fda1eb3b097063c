//! What only a Raspberry Pi has: pins by `rppal`, and a tone by its PWM for buzzers without one of
//! their own. `rppal` has had no release since its retirement in July 2025: [`super::cdev`] is the
//! default, this is for boards whose buzzer needs the tone.

use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin};
use rppal::gpio::{Gpio, OutputPin as GpioPin};
use rppal::pwm::{Channel, Polarity as Level, Pwm};

use super::{PanelError, Part};

/// A pin of a Raspberry Pi.
#[derive(Debug)]
pub enum PiPin {
    /// On or off.
    Gpio(GpioPin),
    /// On is a tone.
    Tone(Pwm),
}

/// Why a pin did not switch.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PiError(#[from] rppal::pwm::Error);

impl embedded_hal::digital::Error for PiError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl PiPin {
    /// An output by its BCM number.
    ///
    /// # Errors
    /// [`PanelError::Pin`] when this is no Raspberry Pi or the pin is taken.
    pub fn output(part: Part, number: u8) -> Result<Self, PanelError> {
        let failed = |error: rppal::gpio::Error| PanelError::Pin { part, why: error.to_string() };
        let pin = Gpio::new().and_then(|gpio| gpio.get(number)).map_err(failed)?;
        Ok(Self::Gpio(pin.into_output()))
    }

    /// A tone of this many hertz on the first PWM channel, silent at first.
    ///
    /// # Errors
    /// [`PanelError::Pin`] when this is no Raspberry Pi or the channel is not enabled.
    pub fn tone(hertz: u16) -> Result<Self, PanelError> {
        Pwm::with_frequency(Channel::Pwm0, f64::from(hertz), 0.5, Level::Normal, false)
            .map(Self::Tone)
            .map_err(|error| PanelError::Pin { part: Part::Buzzer, why: error.to_string() })
    }
}

impl ErrorType for PiPin {
    type Error = PiError;
}

impl OutputPin for PiPin {
    fn set_low(&mut self) -> Result<(), PiError> {
        match self {
            Self::Gpio(pin) => pin.set_low(),
            Self::Tone(tone) => tone.disable()?,
        }
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), PiError> {
        match self {
            Self::Gpio(pin) => pin.set_high(),
            Self::Tone(tone) => tone.enable()?,
        }
        Ok(())
    }
}
