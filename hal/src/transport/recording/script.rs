//! A USB device that plays a recording.
//!
//! Invariant: what the host sends must be what the recording's host sent, in its order; what the
//! device sends comes in its order on each endpoint, never before the host has sent all that it
//! had sent by then, and only into a transfer that is pending. Tests change the events to make the
//! device misbehave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Event, Phase, Transfer};
use crate::clock::Clock;
use crate::transport::usb::{Request, UsbError, UsbTransport};

/// A recording being played.
pub struct Script {
    /// What the host sends, by position in the recording, with the completion.
    host: VecDeque<Exchange>,
    /// What the device sends by itself.
    device: VecDeque<Delivery>,
    /// Lengths of pending transfers.
    pending: Vec<(u8, usize)>,
    clock: Arc<dyn Clock>,
    operations: usize,
    unplug_after: Option<usize>,
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
                Phase::Complete if is_hosts(event) => {}
                Phase::Complete => {
                    let submitted = lengths.iter().find(|(id, _)| *id == event.id);
                    let length = submitted.map_or(event.length, |(_, length)| *length);
                    device.push_back(Delivery { position, event: event.clone(), length });
                }
            }
        }
        Self { host, device, pending: Vec::new(), clock, operations: 0, unplug_after: None }
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

    /// The host's next turn, if that is what the driver does.
    fn turn(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Result<Exchange, UsbError> {
        self.step()?;
        match self.host.front() {
            Some(next) if fits(&next.submit) => {
                let next = self.host.pop_front();
                next.ok_or_else(|| UsbError::Other("the recording is over".to_owned()))
            }
            Some(next) => Err(UsbError::Other(format!(
                "the recording goes on with endpoint {:#04x}, setup {:02x?}, {} bytes, and the driver with {what}",
                next.submit.endpoint,
                next.submit.setup.unwrap_or_default(),
                next.submit.data.len(),
            ))),
            None => {
                Err(UsbError::Other(format!("the recording is over, and the driver goes on with {what}")))
            }
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
        let sent_so_far = self.host.front().map_or(usize::MAX, |next| next.position);
        let next = self.device.iter().position(|next| next.event.endpoint == endpoint);
        let due = next.filter(|at| self.device.get(*at).is_some_and(|next| next.position < sent_so_far));
        let Some(delivery) = due.and_then(|at| self.device.remove(at)) else {
            self.clock.sleep(limit);
            return Err(UsbError::TimedOut);
        };
        let (_, length) = self.pending.remove(pending);
        if length != delivery.length {
            return Err(UsbError::Other(format!(
                "a transfer of {length} bytes is pending where the recording has one of {}",
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
