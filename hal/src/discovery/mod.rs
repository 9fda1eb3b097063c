//! Readers that are there, found again and again: what each is called, and how to open it.
//!
//! Invariant: a [`ReaderId`] names a reader and not a moment. Whoever unplugs a reader and plugs it
//! in again, at another time or after a reset, finds it under the same id. Nothing here holds a
//! reader open: a session belongs to who opened it, and ends with its first
//! [`SensorError::Removed`]; the next one is opened from what was found last.

mod id;
mod serial;
#[cfg(feature = "usb")]
mod usb;

use std::fmt;
use std::sync::Arc;

pub use id::{NotAReaderId, ReaderId};
pub use serial::{SerialPorts, SerialReader};
#[cfg(feature = "usb")]
pub use usb::UsbReaders;

use crate::sensor::{FingerprintSensor, SensorError};
use crate::wait::Wait;

/// Opens a reader where it was found.
pub type Opens = dyn Fn(&Wait) -> Result<Box<dyn FingerprintSensor>, SensorError> + Send + Sync;

/// A reader, or a place that is kept for one.
#[derive(Clone)]
pub struct Found {
    /// Its name, the same whenever it comes back.
    pub id: ReaderId,
    /// What it is, for people, as far as can be told without opening it.
    pub model: String,
    /// Where it is, and which of its kind.
    pub place: Place,
    opens: Arc<Opens>,
}

/// Where a reader is, and which of its kind: what tells whether it was moved or exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The socket or the device file that it is plugged into: `1-1.4`, `/dev/ttyUSB0`.
    pub port: String,
    /// The serial number that its bus tells, if it does.
    pub serial: Option<String>,
}

impl Found {
    /// A reader that `opens` opens.
    pub fn new(id: ReaderId, model: impl Into<String>, place: Place, opens: Arc<Opens>) -> Self {
        Self { id, model: model.into(), place, opens }
    }

    /// Opens it. Of a serial port only this tells whether a module answers there.
    ///
    /// # Errors
    /// [`SensorError::NotPresent`] when it is gone, or what it ran into.
    pub fn open(&self, wait: &Wait) -> Result<Box<dyn FingerprintSensor>, SensorError> {
        (self.opens)(wait)
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found({}, {})", self.id, self.model)
    }
}

/// Somewhere that readers appear: the USB bus, a list of ports, a test.
pub trait Source: Send {
    /// What is there now. Must be quick and must not disturb readers that are open: it is asked
    /// about once a second.
    ///
    /// # Errors
    /// [`SensorError::Line`] when the system does not tell; that is no statement about readers.
    fn find(&mut self) -> Result<Vec<Found>, SensorError>;
}

/// What all sources have, each id once, and what went wrong with some of them.
pub fn find_all(sources: &mut [Box<dyn Source>]) -> (Vec<Found>, Vec<SensorError>) {
    let (mut found, mut errors): (Vec<Found>, _) = (Vec::new(), Vec::new());
    for source in sources {
        match source.find() {
            Ok(readers) => {
                for reader in readers {
                    if found.iter().all(|other| other.id != reader.id) {
                        found.push(reader);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Result<Vec<&'static str>, SensorError>);

    impl Source for Fixed {
        fn find(&mut self) -> Result<Vec<Found>, SensorError> {
            let opens: Arc<Opens> = Arc::new(|_| Err(SensorError::Removed));
            let ids = self.0.clone()?;
            let place = |id: &str| Place { port: id.to_owned(), serial: None };
            let found = |id: &str| Found::new(id.parse().unwrap(), id, place(id), opens.clone());
            Ok(ids.into_iter().map(found).collect())
        }
    }

    #[test]
    fn a_source_that_fails_hides_no_other_and_no_id_comes_twice() {
        let mut sources: Vec<Box<dyn Source>> = vec![
            Box::new(Fixed(Ok(vec!["a", "b"]))),
            Box::new(Fixed(Err(SensorError::Line("no bus".to_owned())))),
            Box::new(Fixed(Ok(vec!["b", "c"]))),
        ];
        let (found, errors) = find_all(&mut sources);
        let ids: Vec<_> = found.iter().map(|reader| reader.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(errors, [SensorError::Line("no bus".to_owned())]);
    }
}
