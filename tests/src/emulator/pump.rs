//! The thread between the terminal and the module.
//!
//! Invariant: bytes leave in the order in which the module said them, never before their time, each at
//! the speed that the module had when it said it; nothing is lost while nobody reads.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authenteon_hal::clock::Clock;
use serialport::{SerialPort, TTYPort};

use super::{Fault, Shared, lock, uart};

/// Between two looks at the terminal while bytes are on their way.
const TICK: Duration = Duration::from_millis(2);
/// And while none are.
const IDLE: Duration = Duration::from_millis(10);
/// Of a byte with its start and stop bit.
const BITS: u32 = 10;
/// What disturbs a line.
const NOISE: [u8; 7] = [0x00, 0xEF, 0x55, 0xEF, 0x02, 0xFF, 0x13];

/// Bytes on their way to the host.
struct Outgoing {
    bytes: Vec<u8>,
    /// The module's speed when it said them.
    baud: u32,
    /// Not before.
    begins: Duration,
}

pub(super) struct Pump {
    port: TTYPort,
    shared: Arc<Mutex<Shared>>,
    clock: Arc<dyn Clock>,
    paced: bool,
    outgoing: VecDeque<Outgoing>,
    /// When the line is free again.
    free: Duration,
    /// The touch that lies on the module now.
    touch: Option<usize>,
}

impl Pump {
    pub(super) fn new(port: TTYPort, shared: Arc<Mutex<Shared>>, clock: Arc<dyn Clock>, paced: bool) -> Self {
        Self { port, shared, clock, paced, outgoing: VecDeque::new(), free: Duration::ZERO, touch: None }
    }

    /// Until it is unplugged or the terminal fails.
    pub(super) fn run(mut self) {
        while !lock(&self.shared).unplugged {
            self.follow_schedule();
            if self.listen().is_err() || self.send().is_err() {
                return;
            }
        }
    }

    fn follow_schedule(&mut self) {
        let mut shared = lock(&self.shared);
        let now = shared.schedule.at(self.clock.now());
        if now == self.touch {
            return;
        }
        self.touch = now;
        match now.and_then(|number| shared.schedule.frame(number).cloned()) {
            Some(frame) => shared.emulator.place(&frame),
            None => shared.emulator.lift(),
        }
    }

    /// Takes what the host said.
    fn listen(&mut self) -> std::io::Result<()> {
        self.port.set_timeout(if self.outgoing.is_empty() { IDLE } else { TICK })?;
        let mut bytes = [0; 512];
        let count = match self.port.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if is_silence(error.kind()) => return Ok(()),
            Err(error) => return Err(error),
        };
        let said = bytes.get(..count).unwrap_or_default();
        let hosts = self.host_baud();
        let mut shared = lock(&self.shared);
        let baud = shared.emulator.baud();
        let heard = match hosts {
            Some(hosts) if self.paced => uart::received(said, hosts, baud),
            _ => said.to_vec(),
        };
        // They were on the wire for as long as they are long.
        let now = self.clock.now();
        let began = if self.paced { now + on_wire(said.len(), hosts.unwrap_or(baud)) } else { now };
        for packet in shared.emulator.receive(&heard) {
            let outgoing = spoiled(&mut shared, packet, baud, began);
            self.outgoing.push_back(outgoing);
        }
        Ok(())
    }

    /// Sends what is due.
    fn send(&mut self) -> std::io::Result<()> {
        while let Some(next) = self.outgoing.front_mut() {
            let now = self.clock.now();
            let begins = next.begins.max(self.free);
            if now < begins {
                return Ok(());
            }
            let due = if self.paced {
                // The wire is busy until the last byte is through.
                let through =
                    (now - begins).as_nanos() * u128::from(next.baud) / u128::from(BITS) / 1_000_000_000;
                usize::try_from(through).unwrap_or(usize::MAX).min(next.bytes.len())
            } else {
                next.bytes.len()
            };
            if due == 0 && !next.bytes.is_empty() {
                return Ok(());
            }
            let bytes: Vec<u8> = next.bytes.drain(..due).collect();
            let (baud, done) = (next.baud, next.bytes.is_empty());
            if self.paced {
                self.free = begins + on_wire(due, baud);
            }
            if done {
                self.outgoing.pop_front();
            }
            let heard = match self.host_baud() {
                Some(hosts) if self.paced => uart::received(&bytes, baud, hosts),
                _ => bytes,
            };
            self.deliver(&heard)?;
        }
        Ok(())
    }

    /// Writes, however long nobody reads.
    fn deliver(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() && !lock(&self.shared).unplugged {
            self.port.set_timeout(IDLE)?;
            match self.port.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if is_silence(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The speed that the host has set: both ends of a pseudo-terminal show the same settings.
    fn host_baud(&self) -> Option<u32> {
        self.port.baud_rate().ok()
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn on_wire(bytes: usize, baud: u32) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(u64::from(BITS));
    Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(baud.max(1)))
}

/// A packet with what was to happen to it.
fn spoiled(shared: &mut Shared, mut bytes: Vec<u8>, baud: u32, mut begins: Duration) -> Outgoing {
    let number = shared.sent;
    shared.sent += 1;
    match shared.fault.as_ref().filter(|(packets, _)| packets.contains(&number)).map(|(_, fault)| *fault) {
        None => {}
        Some(Fault::Late(late)) => begins += late,
        Some(Fault::Partial(length)) => bytes.truncate(length),
        Some(Fault::Garbage) => bytes.splice(0..0, NOISE).for_each(drop),
        Some(Fault::WrongSum) => {
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x5A;
            }
        }
    }
    Outgoing { bytes, baud, begins }
}
