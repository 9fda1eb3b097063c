//! Serial ports that somebody said a module of the 0xEF01 family hangs on.
//!
//! A port tells nothing of what is behind it, and one that was named is expected: it is found whether
//! or not anything is there now, and the handshake at every known speed, with the password, is made
//! when it is opened. Invariant: nothing is written to a port that was not named.

use std::sync::Arc;

use super::{Found, Opens, Place, ReaderId, Source};
use crate::clock::Clock;
use crate::sensor::{FingerprintSensor, SensorError};
use crate::transport::serial::Port;
use crate::wait::Wait;
use crate::zfm::{Config, Zfm};

/// A port and what is known of its module.
#[derive(Clone, Debug)]
pub struct SerialReader {
    /// The port's device file.
    pub port: String,
    /// Model, password, first speed to try, resolution.
    pub module: Config,
}

impl SerialReader {
    /// A module as it leaves the factory, at this port.
    pub fn new(port: impl Into<String>) -> Self {
        Self { port: port.into(), module: Config::default() }
    }

    /// The id that a reader at this port has.
    #[must_use]
    pub fn id(&self) -> ReaderId {
        ReaderId::serial(&self.port)
    }

    fn opens(&self, clock: Arc<dyn Clock>) -> Arc<Opens> {
        let (path, module) = (self.port.clone(), self.module.clone());
        Arc::new(move |wait: &Wait| {
            let port = Port::open(&path, module.baud)?;
            let sensor = Zfm::open(port, module.clone(), clock.clone(), wait)?;
            Ok(Box::new(sensor) as Box<dyn FingerprintSensor>)
        })
    }
}

/// The ports named.
pub struct SerialPorts {
    readers: Vec<(SerialReader, Arc<Opens>)>,
}

impl SerialPorts {
    /// These ports.
    pub fn new(readers: impl IntoIterator<Item = SerialReader>, clock: &Arc<dyn Clock>) -> Self {
        let readers = readers.into_iter().map(|reader| {
            let opens = reader.opens(clock.clone());
            (reader, opens)
        });
        Self { readers: readers.collect() }
    }
}

impl Source for SerialPorts {
    fn find(&mut self) -> Result<Vec<Found>, SensorError> {
        let found = self.readers.iter().map(|(reader, opens)| {
            let place = Place { port: reader.port.clone(), serial: None };
            Found::new(reader.id(), reader.module.model.name(), place, opens.clone())
        });
        Ok(found.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::frame::{Dpi, Frame};
    use crate::zfm::emulator::Emulator;
    use crate::zfm::pty::PluggedIn;

    fn frame() -> Frame {
        let pixels = (0..256 * 288).map(|at| (at * 7 % 251) as u8).collect();
        Frame::new(256, 288, Dpi::STANDARD, pixels).unwrap()
    }

    #[test]
    fn a_port_is_opened_with_its_password_and_again_when_it_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader");
        let mut reader = SerialReader::new(path.to_str().unwrap());
        reader.module.password = 0x1234_5678;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut wrong = SerialPorts::new([SerialReader::new(path.to_str().unwrap())], &clock);
        let mut source = SerialPorts::new([reader.clone()], &clock);
        let wait = Wait::up_to(Duration::from_secs(15));
        let absent = source.find().unwrap()[0].open(&wait).err();
        assert!(matches!(absent, Some(SensorError::NotPresent(_))), "{absent:?}");

        let mut emulator = Emulator::new().with_password(0x1234_5678);
        emulator.place(&frame());
        let module = PluggedIn::at(path.clone(), emulator).unwrap();
        let found = source.find().unwrap();
        assert_eq!((found.len(), &found[0].id), (1, &reader.id()));
        let refused = wrong.find().unwrap()[0].open(&wait).err();
        assert_eq!(refused, Some(SensorError::WrongPassword));
        let mut sensor = found[0].open(&wait).unwrap();
        sensor.wait_for_finger(&wait).unwrap();
        let taken = sensor.capture(&wait).unwrap();
        assert_eq!((taken.width(), taken.pixels()[1] >> 4), (256, frame().pixels()[1] >> 4));

        // The module goes away with a session open, comes back, and is the same reader.
        drop(module);
        assert_eq!(sensor.wait_for_finger(&wait), Err(SensorError::Removed));
        assert!(matches!(found[0].open(&wait), Err(SensorError::NotPresent(_))));
        let mut emulator = Emulator::new().with_password(0x1234_5678);
        emulator.place(&frame());
        let _module = PluggedIn::at(path, emulator).unwrap();
        let again = source.find().unwrap();
        assert_eq!(again[0].id, found[0].id);
        again[0].open(&wait).unwrap().wait_for_finger(&wait).unwrap();
    }
}
