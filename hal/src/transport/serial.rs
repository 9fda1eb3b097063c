//! A serial line: bytes both ways by `embedded-io`, with a speed and a limit to every read.
//!
//! Invariant: a read ends at its limit, and a line whose device is gone says so by its kind of
//! error, so that a driver can tell silence from absence.

use std::io;
use std::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};
use serialport::{ClearBuffer, SerialPort};

use crate::sensor::SensorError;

/// A byte stream with a speed.
pub trait SerialLine: Read + Write + Send {
    /// Changes the speed of both directions.
    ///
    /// # Errors
    /// What the port says.
    fn set_baud(&mut self, baud: u32) -> Result<(), Self::Error>;

    /// No read after this blocks for longer; it fails with [`ErrorKind::TimedOut`] instead.
    ///
    /// # Errors
    /// What the port says.
    fn set_read_limit(&mut self, limit: Duration) -> Result<(), Self::Error>;

    /// Forgets what has arrived and was not read.
    ///
    /// # Errors
    /// What the port says.
    fn discard_input(&mut self) -> Result<(), Self::Error>;
}

/// What an error on the line means for a sensor; `None` when it was only silence.
pub(crate) fn meaning(error: &impl Error) -> Option<SensorError> {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::Interrupted => None,
        ErrorKind::NotConnected
        | ErrorKind::NotFound
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset => Some(SensorError::Removed),
        _ => Some(SensorError::Line(error.to_string())),
    }
}

/// A serial port of this machine.
pub struct Port {
    port: Box<dyn SerialPort>,
}

impl Port {
    /// Opens a port, 8 data bits, no parity, one stop bit.
    ///
    /// # Errors
    /// [`SensorError::NotPresent`] with what the system says.
    pub fn open(path: &str, baud: u32) -> Result<Self, SensorError> {
        let port = serialport::new(path, baud).timeout(Duration::from_millis(50)).open();
        let port = port.map_err(|error| SensorError::NotPresent(format!("{path}: {error}")))?;
        Ok(Self { port })
    }
}

/// An error of a port, with the kinds that an unplugged adapter causes told apart.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(io::Error);

/// What Linux says once the device behind a port is gone.
const ENXIO: i32 = 6;
const EIO: i32 = 5;
const ENODEV: i32 = 19;

impl Error for PortError {
    fn kind(&self) -> ErrorKind {
        match (self.0.raw_os_error(), self.0.kind()) {
            (Some(EIO | ENXIO | ENODEV), _) => ErrorKind::BrokenPipe,
            (_, io::ErrorKind::WouldBlock) => ErrorKind::TimedOut,
            (_, kind) => kind.into(),
        }
    }
}

impl From<serialport::Error> for PortError {
    fn from(error: serialport::Error) -> Self {
        /// EIO, ENXIO and ENODEV: the library keeps their texts and not their numbers.
        const GONE: [&str; 3] = ["I/O error", "No such device or address", "No such device"];
        if GONE.contains(&error.description.as_str()) {
            return Self(io::Error::new(io::ErrorKind::BrokenPipe, error.description));
        }
        Self(error.into())
    }
}

impl ErrorType for Port {
    type Error = PortError;
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        io::Read::read(&mut self.port, buffer).map_err(PortError)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, PortError> {
        io::Write::write(&mut self.port, bytes).map_err(PortError)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        io::Write::flush(&mut self.port).map_err(PortError)
    }
}

impl SerialLine for Port {
    fn set_baud(&mut self, baud: u32) -> Result<(), PortError> {
        self.port.set_baud_rate(baud).map_err(PortError::from)
    }

    fn set_read_limit(&mut self, limit: Duration) -> Result<(), PortError> {
        // A limit of zero would mean "do not wait", and drivers would spin.
        let limit = limit.max(Duration::from_millis(1));
        self.port.set_timeout(limit).map_err(PortError::from)
    }

    fn discard_input(&mut self) -> Result<(), PortError> {
        self.port.clear(ClearBuffer::Input).map_err(PortError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_error_and_an_unplugged_adapter_is_removed() {
        let meaning = |error| meaning(&PortError(error));
        assert_eq!(meaning(io::ErrorKind::TimedOut.into()), None);
        assert_eq!(meaning(io::ErrorKind::WouldBlock.into()), None);
        for code in [5, 6, 19] {
            assert_eq!(meaning(io::Error::from_raw_os_error(code)), Some(SensorError::Removed));
        }
        assert!(matches!(meaning(io::ErrorKind::InvalidData.into()), Some(SensorError::Line(_))));
    }

    #[test]
    fn a_port_that_is_not_there_is_named() {
        let error = Port::open("/dev/no-such-port", 57_600).err();
        assert!(matches!(error, Some(SensorError::NotPresent(text)) if text.contains("/dev/no-such-port")));
    }
}
