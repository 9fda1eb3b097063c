//! A command and its answer, in spite of what wires do: noise, silence, stale bytes, lost passwords.
//!
//! Invariant: a command is sent at most [`ATTEMPTS`] times, always on a line that was cleared
//! before, and an answer counts only if it is whole, comes from our module and has the length that
//! this command's answer has.

use std::time::Duration;

use embedded_io::{Error, ErrorKind};

use super::packet::{Decoder, Kind, Packet, Payload};
use super::protocol::{Code, Command};
use crate::sensor::SensorError;
use crate::transport::serial::{SerialLine, meaning};
use crate::wait::Deadline;

/// How often a command is sent before its error stands.
pub(super) const ATTEMPTS: usize = 3;
/// The slowest command, GenImg on optical modules, takes about half a second.
const ANSWER: Duration = Duration::from_millis(1000);
/// A line that is silent for this long has nothing more to say.
const SILENCE: Duration = Duration::from_millis(100);

/// A line with a module at its end.
pub struct Link<L> {
    pub(super) line: L,
    address: u32,
    password: u32,
    decoder: Decoder,
}

impl<L: SerialLine> Link<L> {
    /// Speaks to one module.
    pub fn new(line: L, address: u32, password: u32) -> Self {
        Self { line, address, password, decoder: Decoder::new() }
    }

    /// Bytes that came and belonged to no packet: a sign of a wrong speed or wiring.
    pub fn noise(&self) -> usize {
        self.decoder.skipped()
    }

    /// Sends the password once, without trying again.
    ///
    /// # Errors
    /// [`SensorError::WrongPassword`], or what the line ran into.
    pub fn verify_password(&mut self, deadline: &Deadline<'_>, limit: Duration) -> Result<(), SensorError> {
        let password = self.password.to_be_bytes();
        match self.exchange(Command::VfyPwd, &password, 0, &deadline.within(limit))?.0 {
            Code::Ok => Ok(()),
            refused => Err(refused.into_error(Command::VfyPwd)),
        }
    }

    /// Sends a command until it is answered; `carries` is the number of bytes behind the code of a
    /// positive answer.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub fn command(
        &mut self,
        command: Command,
        arguments: &[u8],
        carries: usize,
        deadline: &Deadline<'_>,
    ) -> Result<(Code, Payload), SensorError> {
        let mut last = SensorError::TimedOut("the module's answer");
        for _ in 0..ATTEMPTS {
            match self.exchange(command, arguments, carries, &deadline.within(ANSWER)) {
                Ok((Code::PacketError, _)) => last = SensorError::Checksum("the command, says the module"),
                // It lost its memory of the password in a power cut.
                Ok((Code::MustVerify, _)) => {
                    last = Code::MustVerify.into_error(command);
                    self.verify_password(deadline, ANSWER)?;
                }
                Ok(answer) => return Ok(answer),
                Err(
                    error @ (SensorError::TimedOut(_) | SensorError::Checksum(_) | SensorError::Protocol(_)),
                ) => {
                    last = error;
                }
                Err(fatal) => return Err(fatal),
            }
            deadline.remaining("the module's answer")?;
        }
        Err(last)
    }

    /// The next packet of the module.
    ///
    /// # Errors
    /// [`SensorError::Checksum`], [`SensorError::Protocol`] for another address, or what the line
    /// ran into.
    pub fn receive(&mut self, deadline: &Deadline<'_>, what: &'static str) -> Result<Packet, SensorError> {
        loop {
            match self.decoder.next_packet() {
                Some(Ok(packet)) if packet.address == self.address => return Ok(packet),
                Some(Ok(packet)) => {
                    return Err(SensorError::Protocol(format!(
                        "module {:#010x} answered instead of {:#010x}",
                        packet.address, self.address
                    )));
                }
                Some(Err(_)) => return Err(SensorError::Checksum(what)),
                None => self.fill(deadline.slice(what)?)?,
            }
        }
    }

    /// Reads until the line is silent, so that the rest of a broken transfer is not taken for an
    /// answer.
    ///
    /// # Errors
    /// What the line ran into, or the deadline.
    pub fn drain(&mut self, deadline: &Deadline<'_>) -> Result<(), SensorError> {
        loop {
            self.decoder.clear();
            deadline.remaining("silence on the line")?;
            let mut bytes = [0; 256];
            self.line.set_read_limit(SILENCE).map_err(fatal)?;
            match self.line.read(&mut bytes) {
                Ok(0) => return Err(SensorError::Removed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(()),
                Err(error) => silence_or(&error)?,
            }
        }
    }

    /// Changes the speed of the line, not of the module.
    ///
    /// # Errors
    /// What the line says.
    pub fn set_baud(&mut self, baud: u32) -> Result<(), SensorError> {
        self.line.set_baud(baud).map_err(fatal)
    }

    fn exchange(
        &mut self,
        command: Command,
        arguments: &[u8],
        carries: usize,
        deadline: &Deadline<'_>,
    ) -> Result<(Code, Payload), SensorError> {
        const WHAT: &str = "the module's answer";
        deadline.remaining(WHAT)?;
        self.line.discard_input().map_err(fatal)?;
        self.decoder.clear();
        self.send(command, arguments)?;
        let packet = self.receive(deadline, WHAT)?;
        let (Kind::Ack, Some((code, rest))) = (packet.kind, packet.payload.split_first()) else {
            return Err(SensorError::Protocol(format!("{command:?} was answered with {:?}", packet.kind)));
        };
        let code = Code::from_byte(*code);
        if code == Code::Ok && rest.len() != carries {
            return Err(SensorError::Protocol(format!(
                "{command:?} was answered with {} bytes where {carries} belong",
                rest.len()
            )));
        }
        let rest = Payload::from_slice(rest).unwrap_or_default();
        Ok((code, rest))
    }

    fn send(&mut self, command: Command, arguments: &[u8]) -> Result<(), SensorError> {
        let mut payload = Payload::new();
        let fits = payload.push(command as u8).is_ok() && payload.extend_from_slice(arguments).is_ok();
        if !fits {
            return Err(SensorError::Protocol(format!("{command:?} does not fit in a packet")));
        }
        let packet = Packet { address: self.address, kind: Kind::Command, payload };
        self.line.write_all(&packet.encode()).and_then(|()| self.line.flush()).map_err(fatal)
    }

    /// Reads once, at most for `limit`.
    fn fill(&mut self, limit: Duration) -> Result<(), SensorError> {
        let mut bytes = [0; 128];
        self.line.set_read_limit(limit).map_err(fatal)?;
        match self.line.read(&mut bytes) {
            Ok(0) => Err(SensorError::Removed),
            Ok(count) => {
                // The decoder was just found without a whole packet, so there is room for these.
                self.decoder.push(bytes.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) => silence_or(&error),
        }
    }
}

fn silence_or(error: &impl Error) -> Result<(), SensorError> {
    meaning(error).map_or(Ok(()), Err)
}

/// An error where silence is no excuse.
#[expect(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn fatal(error: impl Error) -> SensorError {
    meaning(&error).unwrap_or(SensorError::TimedOut("the line"))
}
