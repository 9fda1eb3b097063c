//! A module of the 0xEF01 family as a sensor.
//!
//! Invariant: after [`Zfm::open`] line and module agree on the speed; an image that does not arrive
//! whole is asked for again, at most [`UPLOADS`] times, and never delivered in part.

use std::sync::Arc;
use std::time::Duration;

use super::image::{self, MAX_BYTES};
use super::link::Link;
use super::packet::Kind;
use super::protocol::{BAUD_PARAMETER, BAUD_UNIT, Code, Command, Parameters};
use crate::clock::Clock;
use crate::frame::{Dpi, Frame};
use crate::sensor::{Capabilities, FingerprintSensor, Health, SensorError, SensorInfo, Signal};
use crate::transport::serial::SerialLine;
use crate::wait::{Deadline, Wait};

/// How often an image is asked for before its error stands.
const UPLOADS: usize = 3;
/// Between two looks for a finger.
const POLL: Duration = Duration::from_millis(50);
/// Between two data packets: the module reads its buffer, the wire at 9600 takes 278 ms for 256 B.
const NEXT_PACKET: Duration = Duration::from_millis(1000);
/// A module answers the handshake within this, if it hears us at all; it is deaf for 50 ms after
/// power comes.
const HANDSHAKE: Duration = Duration::from_millis(300);
/// For calls that have no limit of their own.
const HOUSEKEEPING: Duration = Duration::from_secs(2);

/// Which kind of module it is: they speak alike and see differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// ZFM-20/60, R301 to R307, AS608, FPM10A: optical, 256x288.
    #[default]
    Optical,
    /// R503: capacitive, round, 192x192, with a ring of light and a touch line.
    R503,
}

impl Model {
    /// What it is, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Optical => "0xEF01 optical module (ZFM, R30x, AS608)",
            Self::R503 => "0xEF01 module R503",
        }
    }

    /// Width and height of its frames.
    #[must_use]
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Optical => (256, 288),
            Self::R503 => (192, 192),
        }
    }
}

/// The wire that says a finger is there, where a module has one and it is connected. Its polarity
/// differs between makers, so whoever implements this knows it.
pub trait TouchLine: Send {
    /// Whether a finger is there now.
    ///
    /// # Errors
    /// What the pin ran into.
    fn touched(&mut self) -> Result<bool, SensorError>;
}

/// What has to be known about a module before it can be spoken to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which kind it is.
    pub model: Model,
    /// Its address; the default is everybody's.
    pub address: u32,
    /// Its password; the default is everybody's.
    pub password: u32,
    /// The speed to try first.
    pub baud: u32,
    /// The speed to go up to; never below the module's own.
    pub fastest: u32,
    /// Resolution of its frames.
    pub dpi: Dpi,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::Optical,
            address: 0xFFFF_FFFF,
            password: 0,
            baud: 57_600,
            fastest: 12 * BAUD_UNIT,
            dpi: Dpi::STANDARD,
        }
    }
}

/// A module that answered.
pub struct Zfm<L> {
    link: Link<L>,
    config: Config,
    parameters: Parameters,
    touch: Option<Box<dyn TouchLine>>,
    /// The module's buffer holds an image of the finger that lies on it now.
    buffered: bool,
    clock: Arc<dyn Clock>,
}

impl<L: SerialLine> Zfm<L> {
    /// Finds the module's speed, proves us with the password, reads its parameters and goes up to
    /// the fastest speed that both know.
    ///
    /// # Errors
    /// [`SensorError::NotPresent`] when nothing answers at any speed, [`SensorError::WrongPassword`],
    /// or what the line ran into.
    pub fn open(line: L, config: Config, clock: Arc<dyn Clock>, wait: &Wait) -> Result<Self, SensorError> {
        let running = clock.clone();
        let deadline = wait.start(&*running);
        let mut link = Link::new(line, config.address, config.password);
        find(&mut link, config.baud, &deadline)?;
        let parameters = read_parameters(&mut link, &deadline)?;
        let mut sensor = Self { link, config, parameters, touch: None, buffered: false, clock };
        sensor.speed_up(&deadline)?;
        Ok(sensor)
    }

    /// With its touch line connected.
    #[must_use]
    pub fn with_touch_line(mut self, touch: Box<dyn TouchLine>) -> Self {
        self.touch = Some(touch);
        self
    }

    /// What the module told about itself.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// Whoever took the sensor apart gets the line back.
    pub fn into_line(self) -> L {
        self.link.line
    }

    fn speed_up(&mut self, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        let units = (self.config.fastest / BAUD_UNIT).clamp(1, 12);
        let fastest = units * BAUD_UNIT;
        if fastest <= self.parameters.baud {
            return Ok(());
        }
        let arguments = [BAUD_PARAMETER, units as u8];
        let former = self.parameters.baud;
        let agreed = match self.link.command(Command::SetSysPara, &arguments, 0, deadline) {
            Ok((Code::Ok, _)) => {
                self.link.set_baud(fastest)?;
                self.link.verify_password(deadline, HANDSHAKE)
            }
            // It does not know this speed: the one it has will do.
            Ok(_) => return Ok(()),
            // Some answer at the new speed already.
            Err(error) => Err(error),
        };
        self.parameters.baud = match agreed {
            Ok(()) => fastest,
            Err(SensorError::TimedOut(_) | SensorError::Checksum(_) | SensorError::Protocol(_)) => {
                // It said yes and did not, or the wire does not carry it.
                find(&mut self.link, former, deadline)?
            }
            Err(other) => return Err(other),
        };
        Ok(())
    }

    /// Asks for an image once; whether a finger was there.
    fn generate(&mut self, deadline: &Deadline<'_>) -> Result<bool, SensorError> {
        let (code, _) = self.link.command(Command::GenImg, &[], 0, deadline)?;
        self.buffered = code == Code::Ok;
        match code {
            Code::Ok | Code::ImageFailed => Ok(true),
            Code::NoFinger => Ok(false),
            other => Err(other.into_error(Command::GenImg)),
        }
    }

    /// Whether a finger is there, by the cheapest means that the module has.
    fn touched(&mut self, deadline: &Deadline<'_>) -> Result<bool, SensorError> {
        match &mut self.touch {
            Some(line) => line.touched(),
            None => self.generate(deadline),
        }
    }

    fn upload(&mut self, deadline: &Deadline<'_>) -> Result<Frame, SensorError> {
        const WHAT: &str = "image data";
        let expected = self.config.model.size();
        let (code, _) = self.link.command(Command::UpImage, &[], 0, deadline)?;
        if code != Code::Ok {
            return Err(code.into_error(Command::UpImage));
        }
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        loop {
            let packet = match self.link.receive(&deadline.within(NEXT_PACKET), WHAT) {
                // The caller's own limit is an answer to the caller; the module's silence is not.
                Err(SensorError::TimedOut(_)) if deadline.remaining(WHAT).is_ok() => {
                    let expected = image::bytes_of(expected);
                    return Err(SensorError::PartialFrame { received: bytes.len(), expected });
                }
                other => other?,
            };
            if !matches!(packet.kind, Kind::Data | Kind::LastData) {
                return Err(SensorError::Protocol("an answer in the middle of an image".to_owned()));
            }
            if bytes.len() + packet.payload.len() > MAX_BYTES {
                return Err(SensorError::BadFrame("more data than any image has".to_owned()));
            }
            bytes.extend_from_slice(&packet.payload);
            if packet.kind == Kind::LastData {
                return image::frame(&bytes, expected, self.config.dpi);
            }
        }
    }
}

/// Tries one speed after the other until the module answers.
fn find<L: SerialLine>(link: &mut Link<L>, first: u32, deadline: &Deadline<'_>) -> Result<u32, SensorError> {
    const USUAL: [u32; 5] = [57_600, 115_200, 9_600, 19_200, 38_400];
    let rest = (1..=12).map(|n| n * BAUD_UNIT).filter(|baud| !USUAL.contains(baud));
    let mut tried = vec![];
    let mut noise = 0;
    for baud in std::iter::once(first).chain(USUAL).chain(rest) {
        if tried.contains(&baud) {
            continue;
        }
        tried.push(baud);
        link.set_baud(baud)?;
        // Twice: it may have been deaf, or have heard half a packet at another speed before.
        for _ in 0..2 {
            match link.verify_password(deadline, HANDSHAKE) {
                Ok(()) => return Ok(baud),
                Err(SensorError::TimedOut(_) | SensorError::Checksum(_) | SensorError::Protocol(_)) => {
                    deadline.remaining("a module to answer")?;
                }
                Err(other) => return Err(other),
            }
            noise += link.noise();
        }
    }
    Err(SensorError::NotPresent(if noise == 0 {
        "no module answers on this line at any speed".to_owned()
    } else {
        "bytes arrive, but no packets: is this a module of the 0xEF01 family, and is it wired right?"
            .to_owned()
    }))
}

fn read_parameters<L: SerialLine>(
    link: &mut Link<L>,
    deadline: &Deadline<'_>,
) -> Result<Parameters, SensorError> {
    let (code, bytes) = link.command(Command::ReadSysPara, &[], Parameters::LENGTH, deadline)?;
    match code {
        Code::Ok => Parameters::parse(&bytes),
        other => Err(other.into_error(Command::ReadSysPara)),
    }
}

impl<L: SerialLine> FingerprintSensor for Zfm<L> {
    fn describe(&self) -> SensorInfo {
        SensorInfo {
            model: self.config.model.name().to_owned(),
            serial: None,
            geometry: Some(self.config.model.size()),
            dpi: self.config.dpi,
            capabilities: Capabilities {
                finger_detect: self.touch.is_some(),
                light: self.config.model == Model::R503,
                buzzer: false,
            },
        }
    }

    fn wait_for_finger(&mut self, wait: &Wait) -> Result<(), SensorError> {
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        deadline.poll(POLL, "a finger", || self.touched(&deadline))
    }

    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError> {
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        let mut last = SensorError::BadFrame("the module takes no image of this finger".to_owned());
        for _ in 0..UPLOADS {
            if !self.buffered && !self.generate(&deadline)? {
                // The touch line is quicker than the sensor.
                last = SensorError::Protocol("no finger lies on the reader".to_owned());
            }
            if !self.buffered {
                deadline.sleep(POLL, "an image")?;
                continue;
            }
            match self.upload(&deadline) {
                Ok(frame) => {
                    // The next capture shall see the finger as it is then.
                    self.buffered = false;
                    return Ok(frame);
                }
                Err(
                    error @ (SensorError::PartialFrame { .. }
                    | SensorError::Checksum(_)
                    | SensorError::BadFrame(_)
                    | SensorError::Protocol(_)),
                ) => {
                    // What is black in the buffer stays black; all else may have been the wire.
                    self.buffered = !matches!(error, SensorError::BadFrame(_) | SensorError::Protocol(_));
                    last = error;
                }
                Err(fatal) => return Err(fatal),
            }
            self.link.drain(&deadline)?;
        }
        Err(last)
    }

    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        const WHAT: &str = "the lift";
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        let lifted = deadline.poll(POLL, WHAT, || self.touched(&deadline).map(|touched| !touched));
        self.buffered = false;
        match lifted {
            Err(SensorError::TimedOut(WHAT)) => Err(SensorError::StuckFinger),
            other => other,
        }
    }

    fn indicate(&mut self, signal: Signal) -> Result<(), SensorError> {
        if self.config.model != Model::R503 {
            return Ok(());
        }
        let clock = self.clock.clone();
        let wait = Wait::up_to(HOUSEKEEPING);
        let (code, _) = self.link.command(Command::AuraLed, &aura(signal), 0, &wait.start(&*clock))?;
        if code == Code::Ok { Ok(()) } else { Err(code.into_error(Command::AuraLed)) }
    }

    fn health(&mut self) -> Health {
        let clock = self.clock.clone();
        let wait = Wait::up_to(HOUSEKEEPING);
        let deadline = wait.start(&*clock);
        let command =
            if self.config.model == Model::R503 { Command::CheckSensor } else { Command::ReadSysPara };
        let carries = if command == Command::ReadSysPara { Parameters::LENGTH } else { 0 };
        match self.link.command(command, &[], carries, &deadline) {
            Ok((Code::Ok, _)) => Health::Good,
            Ok((code, _)) => Health::Degraded(code.into_error(command).to_string()),
            Err(error) => Health::Failed(error),
        }
    }
}

/// Mode, speed, colour and count of the ring. It has red, blue and purple, and no green.
fn aura(signal: Signal) -> [u8; 4] {
    const BREATHE: u8 = 1;
    const FLASH: u8 = 2;
    const ON: u8 = 3;
    const OFF: u8 = 4;
    const RED: u8 = 1;
    const BLUE: u8 = 2;
    const PURPLE: u8 = 3;
    match signal {
        Signal::Off => [OFF, 0, BLUE, 0],
        Signal::Ready => [BREATHE, 100, BLUE, 0],
        Signal::Busy => [BREATHE, 50, PURPLE, 0],
        Signal::Accepted => [ON, 0, BLUE, 0],
        Signal::Refused => [ON, 0, RED, 0],
        Signal::Retry => [FLASH, 25, PURPLE, 5],
    }
}
