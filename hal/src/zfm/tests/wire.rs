//! A line in memory with an emulated module at its end, and everything that goes wrong on a line.
//! Bytes take the time that they take on a real wire, on a clock that costs none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};

use crate::clock::{Clock, VirtualClock};
use crate::transport::serial::SerialLine;
use crate::zfm::emulator::Emulator;

/// What happens to a packet of the module on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Only this many bytes arrive.
    Truncated(usize),
    /// One bit of it is flipped.
    Flipped,
    /// It names another module.
    OtherAddress,
    /// Noise arrives first.
    Garbage,
    /// It is lost.
    Lost,
    /// It arrives twice.
    Twice,
    /// It is the answer to ReadSysPara, whatever was asked.
    OtherCommand,
    /// It is overwritten with zeros and sent with a right sum.
    Zeroed,
}

pub(crate) struct State {
    pub(crate) module: Emulator,
    pub(crate) clock: Arc<VirtualClock>,
    outbox: VecDeque<u8>,
    baud: u32,
    /// What happens to which packets, counted from when that was said.
    faults: Option<(Vec<usize>, Fault)>,
    sent: usize,
    operations: usize,
    unplug_after: Option<usize>,
    /// It still answers while the host speaks at another speed, with noise.
    pub(crate) noisy: bool,
}

/// One end of the line; clones are the same line.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

impl Wire {
    pub(crate) fn to(module: Emulator) -> Self {
        Self(Arc::new(Mutex::new(State {
            module,
            clock: Arc::new(VirtualClock::new()),
            outbox: VecDeque::new(),
            baud: 57_600,
            faults: None,
            sent: 0,
            operations: 0,
            unplug_after: None,
            noisy: false,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn clock(&self) -> Arc<VirtualClock> {
        self.state().clock.clone()
    }

    /// Something happens to the packets of these numbers, counted from now.
    pub(crate) fn spoil(&self, packets: impl IntoIterator<Item = usize>, fault: Fault) {
        let mut state = self.state();
        state.sent = 0;
        state.faults = Some((packets.into_iter().collect(), fault));
    }

    pub(crate) fn heal(&self) {
        self.state().faults = None;
    }

    /// The adapter is pulled after this many reads and writes, counted from now.
    pub(crate) fn unplug_after(&self, operations: Option<usize>) {
        let mut state = self.state();
        state.operations = 0;
        state.unplug_after = operations;
    }
}

impl State {
    fn step(&mut self) -> Result<(), ErrorKind> {
        self.operations += 1;
        match self.unplug_after {
            Some(limit) if self.operations > limit => Err(ErrorKind::BrokenPipe),
            _ => Ok(()),
        }
    }

    fn send(&mut self, mut packet: Vec<u8>) {
        let number = self.sent;
        self.sent += 1;
        let fault = self.faults.as_ref().filter(|(packets, _)| packets.contains(&number)).map(|(_, f)| *f);
        match fault {
            None => {}
            Some(Fault::Truncated(length)) => packet.truncate(length),
            Some(Fault::Flipped) => packet[9] ^= 0x10,
            Some(Fault::OtherAddress) => packet[5] ^= 1,
            Some(Fault::Garbage) => packet.splice(0..0, [0x00, 0xEF, 0x55, 0xEF, 0x02]).for_each(drop),
            Some(Fault::Lost) => packet.clear(),
            Some(Fault::Twice) => packet.extend_from_within(..),
            Some(Fault::OtherCommand) => packet = Emulator::new().receive(&READ_PARAMETERS).concat(),
            Some(Fault::Zeroed) => {
                let end = packet.len() - 2;
                packet[9..end].fill(0);
                let sum: u16 = packet[6..end].iter().map(|b| u16::from(*b)).sum();
                packet[end..].copy_from_slice(&sum.to_be_bytes());
            }
        }
        self.outbox.extend(packet);
    }
}

const READ_PARAMETERS: [u8; 12] = [0xEF, 1, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 3, 0x0F, 0, 0x13];

/// A wire of memory fails in the ways of a real one.
#[derive(Debug)]
pub(crate) struct WireError(ErrorKind);

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for WireError {}

impl embedded_io::Error for WireError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

/// The line with the limit that was set for its reads.
pub(crate) struct End {
    wire: Wire,
    limit: Duration,
}

impl End {
    pub(crate) fn of(wire: &Wire) -> Self {
        Self { wire: wire.clone(), limit: Duration::from_millis(50) }
    }
}

impl ErrorType for End {
    type Error = WireError;
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, WireError> {
        let mut state = self.wire.state();
        state.step().map_err(WireError)?;
        let count = buffer.len().min(state.outbox.len());
        if count == 0 {
            state.clock.sleep(self.limit);
            return Err(WireError(ErrorKind::TimedOut));
        }
        for (to, from) in buffer.iter_mut().zip(state.outbox.drain(..count)) {
            *to = from;
        }
        let bits = 10 * u32::try_from(count).unwrap();
        state.clock.sleep(Duration::from_secs(1) * bits / state.baud);
        Ok(count)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        let mut state = self.wire.state();
        state.step().map_err(WireError)?;
        if state.baud == state.module.baud() {
            for packet in state.module.receive(bytes) {
                state.send(packet);
            }
        } else if state.noisy {
            state.outbox.extend([0xFE, 0x80, 0xEF, 0x01]);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), WireError> {
        Ok(())
    }
}

impl SerialLine for End {
    fn set_baud(&mut self, baud: u32) -> Result<(), WireError> {
        let mut state = self.wire.state();
        state.step().map_err(WireError)?;
        state.baud = baud;
        Ok(())
    }

    fn set_read_limit(&mut self, limit: Duration) -> Result<(), WireError> {
        self.limit = limit;
        Ok(())
    }

    fn discard_input(&mut self) -> Result<(), WireError> {
        self.wire.state().outbox.clear();
        Ok(())
    }
}
