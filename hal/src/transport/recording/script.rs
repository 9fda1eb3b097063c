//! A USB device that plays a recording.
//!
//! Invariant: what the driver sends must be what the recording's host sent, in its order; what the
//! device sends comes in its order on each endpoint, never before the host has sent all that it
//! had sent by then, and only into a transfer that is pending. Tests change the events to make the
//! device misbehave.
//!
//! The recording's host was another program: what it did beyond what the driver does is passed over,
//! once the driver sends what comes later or has waited in vain.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Event, Phase, Transfer};
use crate::clock::Clock;
use crate::transport::usb::{Request, UsbError, UsbTransport};

/// A driver that has waited this long, and a recording that goes on with something else: the driver
/// does not do what the recording's host did then. Longer than drivers wait before they try again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A recording being played.
pub struct Script {
    /// What the host sends, by position in the recording, with the completion.
    host: Host,
    /// What the device sends by itself.
    device: VecDeque<Delivery>,
    /// Lengths of pending transfers.
    pending: Vec<(u8, usize)>,
    /// How long the driver has been waiting since anything moved.
    waited: Duration,
    clock: Arc<dyn Clock>,
    operations: usize,
    unplug_after: Option<usize>,
}

#[derive(Clone)]
struct Host(Arc<Mutex<VecDeque<Exchange>>>);

impl Host {
    fn exchanges(&self) -> MutexGuard<'_, VecDeque<Exchange>> {
        // Nothing that holds the lock can leave the queue half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the recording's host does next, for drivers that draw numbers at random: they must draw what
/// that host drew.
pub struct Upcoming(Host);

impl Upcoming {
    /// The first thing found in what the host sends from now on.
    pub fn find<T>(&self, found: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        self.0.exchanges().iter().map(|exchange| &exchange.submit).find_map(found)
    }
}

struct Exchange {
    position: usize,
    submit: Event,
    complete: Option<Event>,
}

struct Delivery {
    position: usize,
    event: Event,
    /// Length of the transfer that it came into.
    length: usize,
}

/// Requests of the standard are the operating system's business, not the driver's.
fn is_driver_traffic(event: &Event) -> bool {
    const TYPE: u8 = 0x60;
    const VENDOR: u8 = 0x40;
    event.setup.is_none_or(|setup| setup[0] & TYPE == VENDOR)
}

/// The host itself gave the transfer up, when it closed the device or suspended it.
fn is_given_up(event: &Event) -> bool {
    const ENOENT: i32 = -2;
    const ECONNRESET: i32 = -104;
    matches!(event.status, ENOENT | ECONNRESET)
}

fn is_hosts(event: &Event) -> bool {
    event.transfer == Transfer::Control || !event.is_in()
}

impl Script {
    /// Plays these events; waits pass on this clock.
    #[must_use]
    pub fn new(events: &[Event], clock: Arc<dyn Clock>) -> Self {
        let mut host = VecDeque::new();
        let mut device = VecDeque::new();
        let mut lengths: Vec<(u64, usize)> = Vec::new();
        for (position, event) in events.iter().enumerate() {
            match event.phase {
                Phase::Submit if !is_driver_traffic(event) => {}
                Phase::Submit if is_hosts(event) => {
                    let ends = |e: &&Event| e.phase == Phase::Complete && e.id == event.id;
                    let complete = events.iter().skip(position).find(ends).cloned();
                    host.push_back(Exchange { position, submit: event.clone(), complete });
                }
                Phase::Submit => {
                    lengths.retain(|(id, _)| *id != event.id);
                    lengths.push((event.id, event.length));
                }
                Phase::Complete if is_hosts(event) || is_given_up(event) => {}
                Phase::Complete => {
                    let submitted = lengths.iter().find(|(id, _)| *id == event.id);
                    let length = submitted.map_or(event.length, |(_, length)| *length);
                    device.push_back(Delivery { position, event: event.clone(), length });
                }
            }
        }
        let host = Host(Arc::new(Mutex::new(host)));
        Self {
            host,
            device,
            pending: Vec::new(),
            waited: Duration::ZERO,
            clock,
            operations: 0,
            unplug_after: None,
        }
    }

    /// A look at what the recording's host does next, also after the script has gone to a driver.
    #[must_use]
    pub fn upcoming(&self) -> Upcoming {
        Upcoming(self.host.clone())
    }

    /// The device is gone after this many operations.
    #[must_use]
    pub fn unplugged_after(mut self, operations: usize) -> Self {
        self.unplug_after = Some(operations);
        self
    }

    fn step(&mut self) -> Result<(), UsbError> {
        self.operations += 1;
        match self.unplug_after {
            Some(limit) if self.operations > limit => Err(UsbError::Gone),
            _ => Ok(()),
        }
    }

    /// The host's next turn that is what the driver does; what comes before it is passed over.
    fn turn(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Result<Exchange, UsbError> {
        self.step()?;
        self.waited = Duration::ZERO;
        let mut exchanges = self.host.exchanges();
        let Some(at) = exchanges.iter().position(|next| fits(&next.submit)) else {
            return Err(UsbError::Other(match exchanges.front() {
                Some(next) => format!(
                    "the recording goes on with endpoint {:#04x}, setup {:02x?}, {} bytes, and the driver with {what}",
                    next.submit.endpoint,
                    next.submit.setup.unwrap_or_default(),
                    next.submit.data.len(),
                ),
                None => format!("the recording is over, and the driver goes on with {what}"),
            }));
        };
        let passed = exchanges.drain(..at).next_back().map(|last| last.position);
        let turn = exchanges.pop_front();
        drop(exchanges);
        if let Some(passed) = passed {
            self.forget_images_before(passed);
        }
        turn.ok_or_else(|| UsbError::Other("the recording is over".to_owned()))
    }

    /// An image that the recording's host had taken before something that is passed over is passed
    /// over with it; interrupts are read as they come, late or not.
    fn forget_images_before(&mut self, position: usize) {
        self.device.retain(|next| next.position > position || next.event.transfer != Transfer::Bulk);
    }

    /// Passes over what the host did before it got what the driver has been waiting for too long.
    fn pass_over(&mut self, endpoint: u8) {
        let Some(wanted) = self.device.iter().find(|next| next.event.endpoint == endpoint) else { return };
        let wanted = wanted.position;
        let mut exchanges = self.host.exchanges();
        let end = exchanges.partition_point(|next| next.position < wanted);
        let passed = exchanges.drain(..end).next_back().map(|last| last.position);
        drop(exchanges);
        if let Some(passed) = passed {
            self.forget_images_before(passed);
        }
    }
}

/// Linux' error numbers as usbmon shows them.
fn outcome(status: i32) -> Result<(), UsbError> {
    match status {
        0 => Ok(()),
        -2 | -104 => Err(UsbError::Cancelled),
        -19 | -108 => Err(UsbError::Gone),
        -32 => Err(UsbError::Stall),
        -110 => Err(UsbError::TimedOut),
        other => Err(UsbError::Other(format!("transfer failed with status {other}"))),
    }
}

fn completed(exchange: &Exchange) -> Result<&[u8], UsbError> {
    let complete = exchange.complete.as_ref().ok_or(UsbError::TimedOut)?;
    outcome(complete.status)?;
    Ok(&complete.data)
}

/// The setup packet of a vendor request.
fn setup(direction: u8, request: Request, length: usize) -> [u8; 8] {
    const VENDOR: u8 = 0x40;
    let [v0, v1] = request.value.to_le_bytes();
    let [i0, i1] = request.index.to_le_bytes();
    let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    [direction | VENDOR, request.request, v0, v1, i0, i1, l0, l1]
}

fn fill(data: &mut [u8], from: &[u8]) -> usize {
    let count = data.len().min(from.len());
    for (to, from) in data.iter_mut().zip(from) {
        *to = *from;
    }
    count
}

impl UsbTransport for Script {
    fn control_in(&mut self, request: Request, data: &mut [u8], _limit: Duration) -> Result<usize, UsbError> {
        let expected = setup(0x80, request, data.len());
        let exchange = self.turn(&format!("setup {expected:02x?}"), |next| next.setup == Some(expected))?;
        Ok(fill(data, completed(&exchange)?))
    }

    fn control_out(&mut self, request: Request, data: &[u8], _limit: Duration) -> Result<(), UsbError> {
        let expected = setup(0, request, data.len());
        let fits = |next: &Event| next.setup == Some(expected) && next.data == data;
        let exchange = self.turn(&format!("setup {expected:02x?}, data {data:02x?}"), fits)?;
        completed(&exchange).map(drop)
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], _limit: Duration) -> Result<(), UsbError> {
        let fits =
            |next: &Event| next.transfer == Transfer::Bulk && next.endpoint == endpoint && next.data == data;
        let exchange = self.turn(&format!("endpoint {endpoint:#04x}, data {data:02x?}"), fits)?;
        completed(&exchange).map(drop)
    }

    fn submit(&mut self, endpoint: u8, length: usize) -> Result<(), UsbError> {
        self.step()?;
        self.pending.push((endpoint, length));
        Ok(())
    }

    fn wait(&mut self, endpoint: u8, data: &mut [u8], limit: Duration) -> Result<usize, UsbError> {
        self.step()?;
        let pending = self.pending.iter().position(|(at, _)| *at == endpoint);
        let pending =
            pending.ok_or_else(|| UsbError::Other(format!("nothing is pending on {endpoint:#04x}")))?;
        let sent_so_far = self.host.exchanges().front().map_or(usize::MAX, |next| next.position);
        let next = self.device.iter().position(|next| next.event.endpoint == endpoint);
        let due = next.filter(|at| self.device.get(*at).is_some_and(|next| next.position < sent_so_far));
        let Some(delivery) = due.and_then(|at| self.device.remove(at)) else {
            self.clock.sleep(limit);
            self.waited = self.waited.saturating_add(limit);
            if self.waited >= PATIENCE {
                self.waited = Duration::ZERO;
                self.pass_over(endpoint);
            }
            return Err(UsbError::TimedOut);
        };
        self.waited = Duration::ZERO;
        let (_, length) = self.pending.remove(pending);
        let carried = delivery.event.data.len();
        if carried > length {
            return Err(UsbError::Other(format!(
                "a transfer of {length} bytes is pending where the recording has {carried} in one of {}",
                delivery.length
            )));
        }
        outcome(delivery.event.status)?;
        Ok(fill(data, &delivery.event.data))
    }

    fn cancel(&mut self, endpoint: u8) {
        self.pending.retain(|(at, _)| *at != endpoint);
    }
}
