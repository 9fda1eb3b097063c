//! Next Biometrics NB-1010-U: a thermal area sensor, 256x180 at 385 dpi, over two bulk endpoints.
//!
//! Invariant: a frame is made of 90 pieces of two lines each, in order, and every piece says which
//! lines it holds; a piece missing, short or out of order is no frame.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::frame::{Dpi, Frame};
use crate::rows;
use crate::sensor::{Capabilities, FingerprintSensor, Health, SensorError, SensorInfo, Signal};
use crate::transport::usb::{UsbError, UsbTransport};
use crate::wait::{Deadline, Wait};

/// USB vendor and product.
pub const IDS: (u16, u16) = (0x298D, 0x1010);
/// Maker and model.
pub const NAME: &str = "Next Biometrics NB-1010-U";

const OUT: u8 = 0x02;
const IN: u8 = 0x83;
const LIMIT: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(50);

const WIDTH: usize = 256;
const HEIGHT: usize = 180;
const RESOLUTION: u32 = 385;
const ANSWER: usize = 16;
const PIECE: usize = 540;
const PIECE_HEADER: usize = 25;
/// Where a piece says which line it starts with, counted from 1.
const PIECE_LINE: usize = 16;
const LINES_PER_PIECE: usize = 2;

/// Where a command and its answer carry the same number.
const SEQUENCE: usize = 2;
/// Where the answer to a check tells how much of the sensor is covered.
const COVERED: usize = 12;
const FINGER_FROM: u8 = 0x30;

const CHECK_FINGER: [u8; 8] = [0x80, 0x38, 0x01, 0, 0x08, 0, 0, 0];
const PREPARE: [u8; 12] = [0x80, 0x0D, 0x03, 0, 0x0C, 0, 0, 0, 0, 0x04, 0, 0];
const CAPTURE: [u8; 32] = {
    let mut command = [0; 32];
    (command[0], command[1], command[2], command[4]) = (0x80, 0x12, 0x04, 0x20);
    (command[8], command[28]) = (0x02, 0x20);
    command
};

/// How often a frame is asked for before its error stands.
const CAPTURES: usize = 3;
const HOUSEKEEPING: Duration = Duration::from_secs(2);

/// A reader.
pub struct Nb1010<T: UsbTransport> {
    usb: T,
    clock: Arc<dyn Clock>,
}

impl<T: UsbTransport> Nb1010<T> {
    /// Takes the reader over; it needs no start.
    pub fn new(usb: T, clock: Arc<dyn Clock>) -> Self {
        Self { usb, clock }
    }

    /// Reads one transfer, which must have the length asked for.
    fn read(&mut self, data: &mut [u8], deadline: &Deadline<'_>) -> Result<(), SensorError> {
        const WHAT: &str = "the reader's answer";
        let limit = deadline.within(LIMIT);
        self.usb.submit(IN, data.len())?;
        let received = loop {
            let slice = match limit.slice(WHAT) {
                Ok(slice) => slice,
                Err(error) => {
                    self.usb.cancel(IN);
                    return Err(error);
                }
            };
            match self.usb.wait(IN, data, slice) {
                Err(UsbError::TimedOut) => {}
                other => break other?,
            }
        };
        if received == data.len() {
            Ok(())
        } else {
            Err(SensorError::PartialFrame { received, expected: data.len() })
        }
    }

    fn command(&mut self, command: &[u8], deadline: &Deadline<'_>) -> Result<[u8; ANSWER], SensorError> {
        let mut answer = [0; ANSWER];
        deadline.remaining("the reader's answer")?;
        self.usb.bulk_out(OUT, command, LIMIT)?;
        self.read(&mut answer, deadline)?;
        if answer.first() == command.first() && answer.get(SEQUENCE) == command.get(SEQUENCE) {
            Ok(answer)
        } else {
            Err(SensorError::Protocol("it answered another command".to_owned()))
        }
    }

    fn touched(&mut self, deadline: &Deadline<'_>) -> Result<bool, SensorError> {
        let answer = self.command(&CHECK_FINGER, deadline)?;
        Ok(answer.get(COVERED).is_some_and(|covered| *covered > FINGER_FROM))
    }

    fn capture_once(&mut self, deadline: &Deadline<'_>) -> Result<Frame, SensorError> {
        self.command(&PREPARE, deadline)?;
        self.command(&CAPTURE, deadline)?;
        let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
        let mut piece = [0; PIECE];
        while pixels.len() < WIDTH * HEIGHT {
            match self.read(&mut piece, deadline) {
                // A reader that stops in the middle, not a caller who does not want to wait.
                Err(SensorError::PartialFrame { .. } | SensorError::TimedOut(_))
                    if deadline.remaining("the image").is_ok() =>
                {
                    let expected = WIDTH * HEIGHT;
                    return Err(SensorError::PartialFrame { received: pixels.len(), expected });
                }
                other => other?,
            }
            let line = pixels.len() / WIDTH + 1;
            if piece.get(PIECE_LINE).map(|told| usize::from(*told)) != Some(line) {
                return Err(SensorError::BadFrame(format!("line {line} is missing")));
            }
            let lines = PIECE_HEADER..PIECE_HEADER + LINES_PER_PIECE * WIDTH;
            pixels.extend_from_slice(piece.get(lines).unwrap_or_default());
        }
        rows::refuse_dead(&pixels, WIDTH)?;
        let dpi = Dpi::new(RESOLUTION).unwrap_or(Dpi::STANDARD);
        Frame::new(WIDTH as u32, HEIGHT as u32, dpi, pixels)
            .map_err(|error| SensorError::BadFrame(error.to_string()))
    }

    /// Takes in what is left of a frame that went wrong, so that it is no answer to what follows.
    fn drain(&mut self, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        let mut piece = [0; PIECE];
        for _ in 0..=HEIGHT / LINES_PER_PIECE {
            match self.read(&mut piece, deadline) {
                Ok(()) | Err(SensorError::PartialFrame { .. }) => {}
                Err(SensorError::TimedOut(_)) => break,
                Err(other) => return Err(other),
            }
        }
        deadline.remaining("silence").map(drop)
    }
}

impl<T: UsbTransport> FingerprintSensor for Nb1010<T> {
    fn describe(&self) -> SensorInfo {
        SensorInfo {
            model: NAME.to_owned(),
            serial: None,
            geometry: Some((WIDTH as u32, HEIGHT as u32)),
            dpi: Dpi::new(RESOLUTION).unwrap_or(Dpi::STANDARD),
            capabilities: Capabilities::default(),
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
        let mut last = SensorError::TimedOut("the image");
        for _ in 0..CAPTURES {
            match self.capture_once(&deadline) {
                Err(
                    error @ (SensorError::PartialFrame { .. }
                    | SensorError::BadFrame(_)
                    | SensorError::Protocol(_)),
                ) => last = error,
                other => return other,
            }
            self.drain(&deadline)?;
        }
        Err(last)
    }

    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        const WHAT: &str = "the lift";
        let clock = self.clock.clone();
        let deadline = wait.start(&*clock);
        match deadline.poll(POLL, WHAT, || self.touched(&deadline).map(|touched| !touched)) {
            Err(SensorError::TimedOut(WHAT)) => Err(SensorError::StuckFinger),
            other => other,
        }
    }

    fn indicate(&mut self, _signal: Signal) -> Result<(), SensorError> {
        Ok(())
    }

    fn health(&mut self) -> Health {
        let clock = self.clock.clone();
        let wait = Wait::up_to(HOUSEKEEPING);
        match self.touched(&wait.start(&*clock)) {
            Ok(_) => Health::Good,
            Err(error) => Health::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests;
