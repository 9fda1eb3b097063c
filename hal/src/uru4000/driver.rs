//! A U.are.U reader as a sensor.
//!
//! Invariant: an interrupt transfer is pending at all times, interrupts that say nothing new are
//! passed over, and a reader that fails is started anew a bounded number of times.

use std::sync::Arc;
use std::time::Duration;

use super::auth;
use super::image::{self, KeySource, TRANSFER, WIDTH};
use crate::clock::Clock;
use crate::frame::{Dpi, Frame};
use crate::sensor::{Capabilities, FingerprintSensor, Health, SensorError, SensorInfo, Signal};
use crate::transport::recording::{Event, Phase};
use crate::transport::usb::{Request, UsbError, UsbTransport};
use crate::wait::{Deadline, Wait};

const INTERRUPTS: u8 = 0x81;
const IMAGES: u8 = 0x82;
const INTERRUPT_LENGTH: usize = 64;
/// The next transfer must be with the reader before the driver has looked at the one before.
const INTERRUPTS_PENDING: usize = 4;

/// A register transfer takes a millisecond, or something is wrong.
const REGISTER_LIMIT: Duration = Duration::from_secs(5);
const SCAN_POWER_LIMIT: Duration = Duration::from_millis(300);
const START_UPS: usize = 3;
const POWER_UPS: usize = 100;
const POWER_UP_PAUSE: Duration = Duration::from_millis(10);
/// Weak or short images are taken again this often.
const CAPTURES: usize = 3;
/// A recorded reader takes 130 ms to send a frame.
const IMAGE_LIMIT: Duration = Duration::from_secs(2);
/// After a short image some readers send it once more unasked.
const SENT_AGAIN: Duration = Duration::from_millis(300);
/// A reader that announced its death and is silent for this long is dead.
const DYING: Duration = Duration::from_secs(1);
const IMAGE: &str = "the image";
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Registers, read and written by the same vendor request.
mod register {
    pub(super) const REQUEST: u8 = 4;
    pub(super) const STATUS: u16 = 0x07;
    pub(super) const SCRAMBLE_SEED: u16 = 0x33;
    pub(super) const SCRAMBLE_KEY: u16 = 0x34;
    pub(super) const MODE: u16 = 0x4E;
    pub(super) const DEVICE_INFO: u16 = 0xF0;
    pub(super) const RESPONSE: u16 = 0x2000;
    pub(super) const CHALLENGE: u16 = 0x2010;
}

/// Bits of the status register.
mod status {
    pub(super) const ALIVE: u8 = 0x01;
    pub(super) const TROUBLE: u8 = 0x04;
    pub(super) const LOW_POWER: u8 = 0x80;
    pub(super) const POWERED: u8 = 0x0F;
}

/// What the reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AwaitFinger = 0x10,
    AwaitLift = 0x12,
    Capture = 0x20,
    Off = 0x70,
}

/// What the reader tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    ScanPower,
    FingerOn,
    FingerOff,
    /// The next image may be empty.
    Death,
    Other,
}

impl Interrupt {
    fn parse(bytes: &[u8]) -> Self {
        match bytes {
            [0x56, 0xAA, ..] => Self::ScanPower,
            [0x01, 0x01, ..] => Self::FingerOn,
            [0x02, 0x00, ..] => Self::FingerOff,
            [0x08, 0x00, ..] => Self::Death,
            _ => Self::Other,
        }
    }
}

/// What sets one model of the family apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Maker and model, for people.
    pub name: &'static str,
    /// USB vendor and product.
    pub ids: (u16, u16),
    /// It wants a challenge answered.
    pub authenticates: bool,
    /// It sends the picture turned by half.
    pub turned: bool,
}

impl Model {
    /// Every model that this driver knows.
    pub const ALL: [Self; 5] = [
        Self::new("Microsoft Fingerprint Reader (with keyboard)", (0x045E, 0x00BB)),
        Self::new("Microsoft Fingerprint Reader (with mouse)", (0x045E, 0x00BC)),
        Self::new("Microsoft Fingerprint Reader", (0x045E, 0x00BD)),
        Self { authenticates: true, ..Self::new("Microsoft Fingerprint Reader v2", (0x045E, 0x00CA)) },
        Self { turned: true, ..Self::new("DigitalPersona U.are.U 4000B/4500", (0x05BA, 0x000A)) },
    ];
    /// Older readers, which nobody had for a test.
    pub const UNTESTED: [Self; 2] = [
        Self::new("DigitalPersona U.are.U 4000 (0007)", (0x05BA, 0x0007)),
        Self::new("DigitalPersona U.are.U 4000 (0008)", (0x05BA, 0x0008)),
    ];

    const fn new(name: &'static str, ids: (u16, u16)) -> Self {
        Self { name, ids, authenticates: false, turned: false }
    }

    /// The model with these USB ids.
    #[must_use]
    pub fn find(vendor: u16, product: u16) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::UNTESTED).find(|model| model.ids == (vendor, product))
    }
}

/// Where the seeds of the scrambling come from: random for a reader, recorded for a replay.
pub type SeedSource = Box<dyn FnMut() -> u32 + Send>;

/// The seed that a recording's host had drawn, if this is where it tells it to the reader.
#[must_use]
pub fn recorded_seed(event: &Event) -> Option<u32> {
    const TO_DEVICE: u8 = 0x40;
    let [TO_DEVICE, register::REQUEST, low, high, ..] = event.setup? else { return None };
    if event.phase != Phase::Submit || u16::from_le_bytes([low, high]) != register::SCRAMBLE_SEED {
        return None;
    }
    event.data.get(1..5)?.try_into().ok().map(u32::from_le_bytes)
}

/// What has to be known about a reader before it is started.
pub struct Config {
    /// Which model it is.
    pub model: Model,
    /// Resolution of its frames; the family does not tell, and sources say 500 or 512.
    pub dpi: Dpi,
    /// Seeds of the scrambling.
    pub seeds: SeedSource,
}

/// A reader that was started.
pub struct Uru4000<T: UsbTransport> {
    registers: Registers<T>,
    model: Model,
    dpi: Dpi,
    mode: Option<Mode>,
    /// It announced its death: started anew if nothing more comes of it.
    dying: bool,
    transfer: Vec<u8>,
    clock: Arc<dyn Clock>,
}

struct Registers<T> {
    usb: T,
    seeds: SeedSource,
}

impl<T: UsbTransport> Registers<T> {
    fn read(&mut self, register: u16, data: &mut [u8]) -> Result<(), SensorError> {
        let request = Request { request: register::REQUEST, value: register, index: 0 };
        let count = self.usb.control_in(request, data, REGISTER_LIMIT)?;
        if count == data.len() {
            Ok(())
        } else {
            let wanted = data.len();
            Err(SensorError::Protocol(format!("register {register:#x} has {count} bytes of {wanted}")))
        }
    }

    fn write(&mut self, register: u16, data: &[u8]) -> Result<(), SensorError> {
        let request = Request { request: register::REQUEST, value: register, index: 0 };
        Ok(self.usb.control_out(request, data, REGISTER_LIMIT)?)
    }

    fn status(&mut self) -> Result<u8, SensorError> {
        let mut status = [0];
        self.read(register::STATUS, &mut status)?;
        Ok(status[0])
    }
}

impl<T: UsbTransport> KeySource for Registers<T> {
    fn key(&mut self, number: u8) -> Result<u32, SensorError> {
        let seed = (self.seeds)();
        let [a, b, c, d] = seed.to_le_bytes();
        self.write(register::SCRAMBLE_SEED, &[number, a, b, c, d])?;
        let mut key = [0; 4];
        self.read(register::SCRAMBLE_KEY, &mut key)?;
        Ok(u32::from_le_bytes(key) ^ seed)
    }
}

impl<T: UsbTransport> Uru4000<T> {
    /// Starts the reader.
    ///
    /// # Errors
    /// What the reader ran into, after three attempts.
    pub fn open(usb: T, config: Config, clock: Arc<dyn Clock>, wait: &Wait) -> Result<Self, SensorError> {
        let mut sensor = Self {
            registers: Registers { usb, seeds: config.seeds },
            model: config.model,
            dpi: config.dpi,
            mode: None,
            dying: false,
            transfer: vec![0; TRANSFER],
            clock,
        };
        for _ in 0..INTERRUPTS_PENDING {
            sensor.listen()?;
        }
        let clock = sensor.clock.clone();
        sensor.start(&wait.start(&*clock))?;
        Ok(sensor)
    }

    /// Makes one more interrupt transfer pending.
    fn listen(&mut self) -> Result<(), SensorError> {
        Ok(self.registers.usb.submit(INTERRUPTS, INTERRUPT_LENGTH)?)
    }

    /// The next interrupt; its transfer is replaced by a new one.
    fn interrupt(&mut self, deadline: &Deadline<'_>, what: &'static str) -> Result<Interrupt, SensorError> {
        let mut bytes = [0; INTERRUPT_LENGTH];
        loop {
            let slice = deadline.slice(what)?;
            match self.registers.usb.wait(INTERRUPTS, &mut bytes, slice) {
                Ok(count) => {
                    self.listen()?;
                    let interrupt = Interrupt::parse(bytes.get(..count).unwrap_or_default());
                    self.dying |= interrupt == Interrupt::Death;
                    return Ok(interrupt);
                }
                Err(UsbError::TimedOut) => {}
                Err(error) => {
                    // A transfer that ended badly is no longer pending.
                    if error != UsbError::Gone {
                        self.listen()?;
                    }
                    return Err(error.into());
                }
            }
        }
    }

    fn start(&mut self, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        self.mode = None;
        self.dying = false;
        let mut last = SensorError::TimedOut("the reader's scan power");
        for _ in 0..START_UPS {
            match self.start_once(deadline) {
                Err(SensorError::TimedOut(what)) => last = SensorError::TimedOut(what),
                other => return other,
            }
            deadline.remaining("the reader to start")?;
        }
        Err(last)
    }

    fn start_once(&mut self, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        let mut found = self.registers.status()?;
        if found & (status::LOW_POWER | status::TROUBLE) == status::LOW_POWER | status::TROUBLE {
            found = self.reboot(found, deadline)?;
        }
        if found & status::LOW_POWER == 0 {
            self.registers.write(register::STATUS, &[found | status::LOW_POWER])?;
        }
        self.power_up(found, deadline)?;
        let scan_power = deadline.within(SCAN_POWER_LIMIT);
        while self.interrupt(&scan_power, "the reader's scan power")? != Interrupt::ScanPower {}
        // Nothing here depends on its versions: a reader that keeps them to itself still works.
        match self.registers.read(register::DEVICE_INFO, &mut [0; 16]) {
            Err(SensorError::Removed) => Err(SensorError::Removed),
            _ => Ok(()),
        }
    }

    fn reboot(&mut self, found: u8, deadline: &Deadline<'_>) -> Result<u8, SensorError> {
        self.registers.write(register::STATUS, &[found & status::POWERED])?;
        for _ in 0..POWER_UPS {
            let now = self.registers.status()?;
            if now & status::ALIVE != 0 {
                return Ok(now);
            }
            deadline.sleep(POWER_UP_PAUSE, "the reader to reboot")?;
        }
        Err(SensorError::TimedOut("the reader to reboot"))
    }

    fn power_up(&mut self, found: u8, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        for _ in 0..POWER_UPS {
            self.registers.write(register::STATUS, &[found & status::POWERED])?;
            if self.registers.status()? & status::LOW_POWER == 0 {
                return Ok(());
            }
            deadline.sleep(POWER_UP_PAUSE, "the reader to power up")?;
            if self.model.authenticates {
                let mut challenge = [0; auth::LENGTH];
                self.registers.read(register::CHALLENGE, &mut challenge)?;
                self.registers.write(register::RESPONSE, &auth::respond(challenge))?;
            }
        }
        Err(SensorError::TimedOut("the reader to power up"))
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), SensorError> {
        self.mode = None;
        self.registers.write(register::MODE, &[mode as u8])?;
        self.mode = Some(mode);
        Ok(())
    }

    /// Waits for an interrupt in a mode, and starts the reader anew when it has announced its death
    /// and then falls silent. Some announce it and live on.
    fn await_in(
        &mut self,
        mode: Mode,
        wanted: Interrupt,
        deadline: &Deadline<'_>,
        what: &'static str,
    ) -> Result<(), SensorError> {
        loop {
            if self.mode != Some(mode) {
                self.set_mode(mode)?;
            }
            let part = if self.dying { deadline.within(DYING) } else { deadline.within(Duration::MAX) };
            match self.interrupt(&part, what) {
                // Scan power is announced several times over, a finger sometimes twice.
                Ok(interrupt) if interrupt == wanted => return Ok(()),
                Err(SensorError::TimedOut(_)) if self.dying && deadline.remaining(what).is_ok() => {
                    self.start(deadline)?;
                }
                other => drop(other?),
            }
        }
    }

    fn capture_once(&mut self, again: bool, deadline: &Deadline<'_>) -> Result<Frame, SensorError> {
        self.registers.usb.submit(IMAGES, TRANSFER)?;
        let unasked = if again { self.receive(&deadline.within(SENT_AGAIN)) } else { Ok(None) };
        let received = match unasked {
            Ok(None) => self.ask(again, deadline),
            other => other,
        };
        let received = match received {
            Ok(Some(count)) => count,
            missing => {
                self.registers.usb.cancel(IMAGES);
                missing?;
                // The reader's silence, unless it is the caller's impatience.
                deadline.remaining(IMAGE)?;
                return Err(SensorError::PartialFrame { received: 0, expected: TRANSFER - WIDTH });
            }
        };
        let transfer = self.transfer.get(..received).unwrap_or_default();
        let frame = image::decode(transfer, self.model.turned, self.dpi, &mut self.registers)?;
        self.dying = false;
        Ok(frame)
    }

    /// Asks for an image and waits for it; a reader that had announced its death and then failed is
    /// started anew before.
    fn ask(&mut self, again: bool, deadline: &Deadline<'_>) -> Result<Option<usize>, SensorError> {
        if again && self.dying {
            self.start(deadline)?;
        }
        self.set_mode(Mode::Capture)?;
        self.receive(&deadline.within(IMAGE_LIMIT))
    }

    /// What comes within a limit; `None` when nothing does.
    fn receive(&mut self, limit: &Deadline<'_>) -> Result<Option<usize>, SensorError> {
        loop {
            let slice = match limit.slice(IMAGE) {
                Err(SensorError::TimedOut(_)) => return Ok(None),
                other => other?,
            };
            match self.registers.usb.wait(IMAGES, &mut self.transfer, slice) {
                Err(UsbError::TimedOut) => {}
                other => return Ok(Some(other?)),
            }
        }
    }
}

impl<T: UsbTransport> FingerprintSensor for Uru4000<T> {
    fn describe(&self) -> SensorInfo {
        SensorInfo {
            model: self.model.name.to_owned(),
            serial: None,
            geometry: Some((WIDTH as u32, image::HEIGHT as u32)),
            dpi: self.dpi,
            capabilities: Capabilities { finger_detect: true, ..Capabilities::default() },
        }
    }

    fn wait_for_finger(&mut self, wait: &Wait) -> Result<(), SensorError> {
        let clock = self.clock.clone();
        self.await_in(Mode::AwaitFinger, Interrupt::FingerOn, &wait.start(&*clock), "a finger")
    }

    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError> {
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        let mut last = SensorError::TimedOut(IMAGE);
        for attempt in 0..CAPTURES {
            match self.capture_once(attempt > 0, &deadline) {
                Err(error @ (SensorError::PartialFrame { .. } | SensorError::BadFrame(_))) => last = error,
                other => return other,
            }
            deadline.remaining(IMAGE)?;
        }
        Err(last)
    }

    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        const WHAT: &str = "the lift";
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        match self.await_in(Mode::AwaitLift, Interrupt::FingerOff, &deadline, WHAT) {
            Err(SensorError::TimedOut(WHAT)) => Err(SensorError::StuckFinger),
            other => other,
        }
    }

    fn indicate(&mut self, _signal: Signal) -> Result<(), SensorError> {
        // Its light is the one that it sees by.
        Ok(())
    }

    fn health(&mut self) -> Health {
        let clock = self.clock.clone();
        let limit = Wait::up_to(HOUSEKEEPING);
        if self.dying
            && let Err(error) = self.start(&limit.start(&*clock))
        {
            return Health::Failed(error);
        }
        match self.registers.status() {
            Ok(now) if now & status::TROUBLE != 0 => {
                Health::Degraded(format!("the reader reports trouble (status {now:#04x})"))
            }
            Ok(_) => Health::Good,
            Err(error) => Health::Failed(error),
        }
    }
}

impl<T: UsbTransport> Drop for Uru4000<T> {
    fn drop(&mut self) {
        // Its light goes out; whoever holds a dead reader cannot do more.
        if self.mode.is_some() {
            let _ = self.set_mode(Mode::Off);
        }
        self.registers.usb.cancel(INTERRUPTS);
    }
}
