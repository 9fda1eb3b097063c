//! A USB device of this machine, by libusb.
//!
//! Each endpoint that delivers has a thread of its own, since libusb's plain calls block and readers
//! want an interrupt and an image pending at once. Invariant: a thread holds the device no longer
//! than one slice after its transfers were given up, and no two threads read one endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rusb::{
    Context, Device, DeviceHandle, Direction, Recipient, RequestType, TransferType, UsbContext, request_type,
};

use super::usb::{Request, UsbError, UsbTransport};
use crate::models::UsbModel;
use crate::sensor::SensorError;

/// How long a thread stays in libusb before it looks whether anybody still wants its transfer.
const INTERRUPT_SLICE: Duration = Duration::from_secs(1);
/// Longer than any image takes: a slice that ends in the middle of one would cut it in two.
const BULK_SLICE: Duration = Duration::from_secs(2);

/// A thread that was told to end and is longer away than this does not come back.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// From a thread's call of libusb until the transfer is with the system.
const QUEUED_WITHIN: Duration = Duration::from_millis(2);

/// Class of interfaces that no standard describes; every reader has this one.
const VENDOR_CLASS: u8 = 0xFF;

/// A reader that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugged {
    /// What it is.
    pub model: UsbModel,
    /// USB vendor and product.
    pub ids: (u16, u16),
    /// Its bus and its address there; a reader that comes back has another address.
    pub place: (u8, u8),
    /// The socket that it is plugged into, as the kernel writes it: `1-1.4`. Stays when it comes back.
    pub socket: String,
}

/// The readers that are plugged in and have a driver here.
///
/// # Errors
/// [`SensorError::Line`] when the system does not tell.
pub fn list() -> Result<Vec<Plugged>, SensorError> {
    let devices = Context::new().and_then(|context| context.devices());
    let devices = devices.map_err(|error| SensorError::Line(error.to_string()))?;
    Ok(devices.iter().filter_map(|device| found(&device)).collect())
}

fn found(device: &Device<Context>) -> Option<Plugged> {
    let descriptor = device.device_descriptor().ok()?;
    let ids = (descriptor.vendor_id(), descriptor.product_id());
    let model = UsbModel::find(ids.0, ids.1)?;
    let ports = device.port_numbers().unwrap_or_default();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let socket = format!("{}-{}", device.bus_number(), ports.join("."));
    Some(Plugged { model, ids, place: (device.bus_number(), device.address()), socket })
}

/// The serial number of a reader, if it has one; a session that somebody has is not disturbed.
///
/// # Errors
/// [`UsbError::Gone`] when it is no longer there, or what the system says.
pub fn serial_number(plugged: &Plugged) -> Result<Option<String>, UsbError> {
    let device = at(plugged.place).map_err(outcome)?.ok_or(UsbError::Gone)?;
    let descriptor = device.device_descriptor().map_err(outcome)?;
    if descriptor.serial_number_string_index().is_none() {
        return Ok(None);
    }
    let said = device.open().and_then(|handle| handle.read_serial_number_string_ascii(&descriptor));
    let said = said.map_err(outcome)?.trim().to_owned();
    Ok(Some(said).filter(|serial| !serial.is_empty()))
}

/// What has this address on this bus.
fn at(place: (u8, u8)) -> Result<Option<Device<Context>>, rusb::Error> {
    let devices = Context::new()?.devices()?;
    Ok(devices.iter().find(|device| (device.bus_number(), device.address()) == place))
}

/// A device with its interface claimed.
pub struct UsbDevice {
    handle: Arc<DeviceHandle<Context>>,
    endpoints: Vec<(u8, TransferType)>,
    pipes: Vec<Pipe>,
    /// A thread did not come back from libusb: the device must be opened anew.
    wedged: bool,
}

struct Pipe {
    endpoint: u8,
    requests: Sender<usize>,
    started: Receiver<()>,
    /// Submitted and not yet waited for.
    outstanding: usize,
    results: Receiver<Result<Vec<u8>, UsbError>>,
    given_up: Arc<AtomicBool>,
}

impl UsbDevice {
    /// Opens the reader with these ids. After a reset the old device may still be listed beside the
    /// new one: the newest that can be opened is taken.
    ///
    /// # Errors
    /// [`SensorError::NotPresent`] with what the system says.
    pub fn open(vendor: u16, product: u16) -> Result<Self, SensorError> {
        let absent =
            |reason: String| SensorError::NotPresent(format!("{vendor:04x}:{product:04x}: {reason}"));
        let devices = Context::new().and_then(|context| context.devices());
        let devices = devices.map_err(|error| absent(error.to_string()))?;
        let fits = |device: &Device<Context>| {
            device.device_descriptor().is_ok_and(|d| (d.vendor_id(), d.product_id()) == (vendor, product))
        };
        let mut candidates: Vec<_> = devices.iter().filter(fits).collect();
        candidates.sort_by_key(|device| std::cmp::Reverse(device.address()));
        let mut last = "no such device".to_owned();
        for device in candidates {
            match Self::claim(&device) {
                Ok(opened) => return Ok(opened),
                Err(error) => last = error.to_string(),
            }
        }
        Err(absent(last))
    }

    /// Opens the reader at this bus and address: one of several that are alike.
    ///
    /// # Errors
    /// [`SensorError::NotPresent`] with what the system says.
    pub fn open_at(place: (u8, u8)) -> Result<Self, SensorError> {
        let absent = |reason: &dyn std::fmt::Display| {
            SensorError::NotPresent(format!("USB bus {} device {}: {reason}", place.0, place.1))
        };
        let device = at(place).map_err(|error| absent(&error))?.ok_or_else(|| absent(&"no such device"))?;
        Self::claim(&device).map_err(|error| absent(&error))
    }

    fn claim(device: &Device<Context>) -> Result<Self, rusb::Error> {
        let configuration = device.active_config_descriptor()?;
        let interfaces = configuration.interfaces().filter_map(|interface| interface.descriptors().next());
        let delivering = interfaces.filter_map(|descriptor| {
            let endpoints = descriptor.endpoint_descriptors().map(|e| (e.address(), e.transfer_type()));
            let endpoints: Vec<_> = endpoints.collect();
            let delivers = endpoints.iter().any(|(address, _)| address & 0x80 != 0);
            delivers.then(|| (descriptor.class_code(), descriptor.interface_number(), endpoints))
        });
        // Some readers share their cable with a keyboard or a mouse, which stand first.
        let reader = delivering.min_by_key(|(class, ..)| *class != VENDOR_CLASS);
        let (_, interface, endpoints) = reader.ok_or(rusb::Error::NotFound)?;
        let handle = device.open()?;
        if let Err(rusb::Error::Busy) = handle.claim_interface(interface) {
            // A driver of the kernel is in the way.
            handle.detach_kernel_driver(interface)?;
            handle.claim_interface(interface)?;
        }
        Ok(Self { handle: Arc::new(handle), endpoints, pipes: Vec::new(), wedged: false })
    }

    fn pipe(&mut self, endpoint: u8) -> Result<&mut Pipe, UsbError> {
        if self.wedged {
            return Err(UsbError::Gone);
        }
        if !self.pipes.iter().any(|pipe| pipe.endpoint == endpoint) {
            let kind = self.endpoints.iter().find(|(address, _)| *address == endpoint);
            let (_, kind) = kind.ok_or_else(|| UsbError::Other(format!("no endpoint {endpoint:#04x}")))?;
            let pipe = Pipe::start(self.handle.clone(), endpoint, *kind)?;
            self.pipes.push(pipe);
        }
        let found = self.pipes.iter_mut().find(|pipe| pipe.endpoint == endpoint);
        found.ok_or_else(|| UsbError::Other("no thread for this endpoint".to_owned()))
    }
}

impl Pipe {
    fn start(handle: Arc<DeviceHandle<Context>>, endpoint: u8, kind: TransferType) -> Result<Self, UsbError> {
        let (requests, incoming) = channel::<usize>();
        let (outgoing, results) = channel();
        let (starting, started) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let flag = given_up.clone();
        let work = move || {
            while let Ok(length) = incoming.recv() {
                let _ = starting.send(());
                let result = transfer(&handle, endpoint, kind, length, &flag);
                if flag.load(Ordering::SeqCst) || outgoing.send(result).is_err() {
                    return;
                }
            }
        };
        let name = format!("usb-{endpoint:02x}");
        let thread = std::thread::Builder::new().name(name).spawn(work);
        thread.map_err(|error| UsbError::Other(error.to_string()))?;
        Ok(Self { endpoint, requests, started, outstanding: 0, results, given_up })
    }

    /// Ends the thread, so that nobody reads this endpoint any more; whether that succeeded. A device
    /// that is wedged can hold a thread in libusb for ever, and must not hold us.
    fn stop(self) -> bool {
        self.given_up.store(true, Ordering::SeqCst);
        drop(self.requests);
        loop {
            match self.results.recv_timeout(ENDS_WITHIN) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

/// Reads until something comes, or until nobody wants it any more.
fn transfer(
    handle: &DeviceHandle<Context>,
    endpoint: u8,
    kind: TransferType,
    length: usize,
    given_up: &AtomicBool,
) -> Result<Vec<u8>, UsbError> {
    let mut data = vec![0; length];
    loop {
        let result = match kind {
            TransferType::Interrupt => handle.read_interrupt(endpoint, &mut data, INTERRUPT_SLICE),
            _ => handle.read_bulk(endpoint, &mut data, BULK_SLICE),
        };
        match result {
            Ok(count) => {
                data.truncate(count);
                return Ok(data);
            }
            Err(rusb::Error::Timeout) if given_up.load(Ordering::SeqCst) => return Err(UsbError::Cancelled),
            Err(rusb::Error::Timeout) => {}
            Err(error) => return Err(outcome(error)),
        }
    }
}

fn outcome(error: rusb::Error) -> UsbError {
    match error {
        rusb::Error::Timeout => UsbError::TimedOut,
        rusb::Error::Pipe => UsbError::Stall,
        rusb::Error::NoDevice | rusb::Error::NotFound => UsbError::Gone,
        other => UsbError::Other(other.to_string()),
    }
}

impl UsbTransport for UsbDevice {
    fn control_in(&mut self, request: Request, data: &mut [u8], limit: Duration) -> Result<usize, UsbError> {
        let kind = request_type(Direction::In, RequestType::Vendor, Recipient::Device);
        self.handle
            .read_control(kind, request.request, request.value, request.index, data, limit)
            .map_err(outcome)
    }

    fn control_out(&mut self, request: Request, data: &[u8], limit: Duration) -> Result<(), UsbError> {
        let kind = request_type(Direction::Out, RequestType::Vendor, Recipient::Device);
        let written = self
            .handle
            .write_control(kind, request.request, request.value, request.index, data, limit)
            .map_err(outcome)?;
        complete(written, data.len())
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<(), UsbError> {
        let written = self.handle.write_bulk(endpoint, data, limit).map_err(outcome)?;
        complete(written, data.len())
    }

    fn submit(&mut self, endpoint: u8, length: usize) -> Result<(), UsbError> {
        let pipe = self.pipe(endpoint)?;
        while pipe.started.try_recv().is_ok() {}
        pipe.requests.send(length).map_err(|_| UsbError::Gone)?;
        pipe.outstanding += 1;
        if pipe.outstanding == 1 {
            // Only now may the caller do what makes the device send. libusb does not tell when the
            // transfer has reached the system, but it is a matter of microseconds.
            pipe.started.recv_timeout(ENDS_WITHIN).map_err(|_| UsbError::Gone)?;
            std::thread::sleep(QUEUED_WITHIN);
        }
        Ok(())
    }

    fn wait(&mut self, endpoint: u8, data: &mut [u8], limit: Duration) -> Result<usize, UsbError> {
        let pipe = self.pipe(endpoint)?;
        match pipe.results.recv_timeout(limit) {
            Ok(result) => {
                pipe.outstanding = pipe.outstanding.saturating_sub(1);
                let received = result?;
                let count = received.len().min(data.len());
                data.iter_mut().zip(&received).for_each(|(to, from)| *to = *from);
                Ok(count)
            }
            Err(RecvTimeoutError::Timeout) => Err(UsbError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(UsbError::Gone),
        }
    }

    fn cancel(&mut self, endpoint: u8) {
        if let Some(at) = self.pipes.iter().position(|pipe| pipe.endpoint == endpoint) {
            self.wedged |= !self.pipes.remove(at).stop();
        }
    }
}

impl Drop for UsbDevice {
    fn drop(&mut self) {
        for pipe in self.pipes.drain(..) {
            pipe.stop();
        }
    }
}

fn complete(written: usize, wanted: usize) -> Result<(), UsbError> {
    if written == wanted {
        Ok(())
    } else {
        Err(UsbError::Other(format!("{written} of {wanted} bytes were written")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libusb_says_keeps_its_meaning() {
        assert_eq!(outcome(rusb::Error::Timeout), UsbError::TimedOut);
        assert_eq!(outcome(rusb::Error::Pipe), UsbError::Stall);
        assert_eq!(outcome(rusb::Error::NoDevice), UsbError::Gone);
        assert!(matches!(outcome(rusb::Error::Io), UsbError::Other(_)));
    }

    #[test]
    fn a_reader_that_is_not_plugged_in_is_not_present() {
        // Vendor 0 belongs to nobody.
        let error = UsbDevice::open(0, 1).err();
        assert!(matches!(error, Some(SensorError::NotPresent(text)) if text.starts_with("0000:0001")));
    }
}
