//! Readers on USB, by their ids.
//!
//! A reader is named by its serial number, or else by the socket that it is plugged into: both stay
//! when it is unplugged and comes back. Its address does not, and after a reset the former device may
//! still be listed beside the new one. Invariant: of one socket only the newest device counts, two
//! readers never share a name, and a reader that was named is not disturbed to be named again.

use std::cmp::Reverse;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::{Found, Opens, Place, ReaderId, Source};
use crate::clock::Clock;
use crate::frame::Dpi;
use crate::models::UsbModel;
use crate::nb1010::Nb1010;
use crate::sensor::{FingerprintSensor, SensorError};
use crate::transport::usb::UsbError;
use crate::transport::usb_device::{self, Plugged, UsbDevice};
use crate::uru4000::{self, Uru4000};
use crate::wait::Wait;

/// A reader that is plugged in, with its name.
#[derive(Clone)]
struct Named {
    plugged: Plugged,
    id: ReaderId,
    serial: Option<String>,
}

/// The USB bus of this machine.
pub struct UsbReaders {
    /// What was there last time, with its names.
    named: Vec<Named>,
    clock: Arc<dyn Clock>,
}

impl UsbReaders {
    /// The bus.
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { named: Vec::new(), clock: clock.clone() }
    }
}

impl Source for UsbReaders {
    fn find(&mut self) -> Result<Vec<Found>, SensorError> {
        self.named = name(usb_device::list()?, &self.named, usb_device::serial_number);
        let found = self.named.iter();
        let found = found.map(|Named { plugged, id, serial }| {
            let place = Place { port: plugged.socket.clone(), serial: serial.clone() };
            Found::new(id.clone(), plugged.model.name(), place, opens(plugged, self.clock.clone()))
        });
        Ok(found.collect())
    }
}

/// Names what is plugged in; what had a name keeps it.
fn name(
    mut plugged: Vec<Plugged>,
    named: &[Named],
    serial_number: impl Fn(&Plugged) -> Result<Option<String>, UsbError>,
) -> Vec<Named> {
    // The newest of a socket first; addresses grow.
    plugged.sort_by_key(|device| Reverse(device.place));
    let mut names: Vec<Named> = Vec::new();
    for device in plugged {
        if names.iter().any(|other| other.plugged.socket == device.socket) {
            continue;
        }
        let taken = |id: &ReaderId| names.iter().any(|other| other.id == *id);
        let before = named.iter().find(|known| known.plugged == device).cloned();
        let (id, serial) = match before {
            Some(known) => (known.id, known.serial),
            None => match serial_number(&device) {
                // A ghost, or gone while we looked.
                Err(UsbError::Gone) => continue,
                Ok(Some(serial)) => (ReaderId::usb(device.ids, &serial), Some(serial)),
                // What cannot be asked, for want of permission say, still has a socket.
                Ok(None) | Err(_) => (ReaderId::usb(device.ids, &device.socket), None),
            },
        };
        // Cheap readers all have the same serial number.
        let id = if taken(&id) { ReaderId::usb(device.ids, &device.socket) } else { id };
        if !names.iter().any(|other| other.id == id) {
            names.push(Named { plugged: device, id, serial });
        }
    }
    names.sort_by(|a, b| a.id.cmp(&b.id));
    names
}

fn opens(plugged: &Plugged, clock: Arc<dyn Clock>) -> Arc<Opens> {
    let (model, place) = (plugged.model, plugged.place);
    Arc::new(move |wait: &Wait| {
        let usb = UsbDevice::open_at(place)?;
        Ok(match model {
            UsbModel::Nb1010 => Box::new(Nb1010::new(usb, clock.clone())) as Box<dyn FingerprintSensor>,
            UsbModel::Uru4000(model) => {
                // Keyed by the system's randomness, and another number at each call.
                let mut count = 0_u64;
                let random = RandomState::new();
                let seeds = Box::new(move || {
                    count += 1;
                    random.hash_one(count) as u32
                });
                let config = uru4000::Config { model, dpi: Dpi::STANDARD, seeds };
                Box::new(Uru4000::open(usb, config, clock.clone(), wait)?)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(address: u8, socket: &str) -> Plugged {
        let ids = (0x298D, 0x1010);
        Plugged { model: UsbModel::Nb1010, ids, place: (1, address), socket: socket.to_owned() }
    }

    fn ids(names: &[Named]) -> Vec<(u8, &str)> {
        names.iter().map(|named| (named.plugged.place.1, named.id.as_str())).collect()
    }

    #[test]
    fn a_reader_that_comes_back_has_its_name_again_by_serial_number_or_by_socket() {
        let serial = |_: &Plugged| Ok(Some("A7".to_owned()));
        let first = name(vec![device(4, "1-1")], &[], serial);
        assert_eq!(ids(&first), [(4, "usb-298d-1010-A7")]);
        let gone = name(vec![], &first, serial);
        let elsewhere = name(vec![device(9, "1-2")], &gone, serial);
        assert_eq!(ids(&elsewhere), [(9, "usb-298d-1010-A7")], "in another socket");
        for nameless in [Ok(None), Err(UsbError::Other("not permitted".to_owned()))] {
            let serial = |_: &Plugged| nameless.clone();
            assert_eq!(ids(&name(vec![device(4, "1-1")], &[], serial)), [(4, "usb-298d-1010-1-1")]);
            assert_eq!(ids(&name(vec![device(5, "1-1")], &[], serial)), [(5, "usb-298d-1010-1-1")]);
        }
    }

    #[test]
    fn two_alike_have_two_names_and_keep_them() {
        let serial = |_: &Plugged| Ok(Some("0000".to_owned()));
        let one = name(vec![device(4, "1-1")], &[], serial);
        let both = name(vec![device(4, "1-1"), device(3, "1-2")], &one, serial);
        assert_eq!(ids(&both), [(4, "usb-298d-1010-0000"), (3, "usb-298d-1010-1-2")]);
        assert_eq!(both[1].serial.as_deref(), Some("0000"), "as it says of itself, whatever it is called");
        let socket = |_: &Plugged| Ok(None);
        let both = name(vec![device(4, "1-1"), device(5, "1-2")], &[], socket);
        assert_eq!(ids(&both), [(4, "usb-298d-1010-1-1"), (5, "usb-298d-1010-1-2")]);
    }

    #[test]
    fn a_ghost_of_the_same_socket_and_one_that_is_gone_are_passed_over() {
        let serial = |device: &Plugged| {
            if device.place.1 == 7 { Err(UsbError::Gone) } else { Ok(None) }
        };
        let names = name(vec![device(4, "1-1"), device(6, "1-1"), device(7, "1-3")], &[], serial);
        assert_eq!(ids(&names), [(6, "usb-298d-1010-1-1")]);
    }

    #[test]
    fn a_reader_that_has_a_name_is_not_asked_for_it_again() {
        let first = name(vec![device(4, "1-1")], &[], |_| Ok(Some("A7".to_owned())));
        let second = name(vec![device(4, "1-1")], &first, |_| Err(UsbError::Gone));
        assert_eq!(ids(&second), ids(&first));
        assert_eq!(second[0].serial.as_deref(), Some("A7"));
    }
}
