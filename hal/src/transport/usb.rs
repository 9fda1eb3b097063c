//! A USB device: control transfers, and IN transfers that are submitted first and waited for later,
//! since readers want several pending at once.
//!
//! Invariant: every call ends at its limit; a wait that timed out leaves its transfer pending.

use std::time::Duration;

use crate::sensor::SensorError;

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsbError {
    /// Nothing came within the limit; the transfer is still pending.
    #[error("no transfer within the limit")]
    TimedOut,
    /// The device refuses this request.
    #[error("the device stalled")]
    Stall,
    /// The device is no longer there.
    #[error("the device is gone")]
    Gone,
    /// The transfer was given up by the host.
    #[error("the transfer was cancelled")]
    Cancelled,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<UsbError> for SensorError {
    fn from(error: UsbError) -> Self {
        match error {
            UsbError::TimedOut => Self::TimedOut("the USB device"),
            UsbError::Stall => Self::Protocol("the USB device stalled".to_owned()),
            UsbError::Gone => Self::Removed,
            UsbError::Cancelled => Self::Line("a USB transfer was cancelled".to_owned()),
            UsbError::Other(reason) => Self::Line(reason),
        }
    }
}

/// A vendor request to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub request: u8,
    /// Its value.
    pub value: u16,
    /// Its index.
    pub index: u16,
}

/// A device with its interface claimed.
pub trait UsbTransport: Send {
    /// Reads by a vendor request; the number of bytes that came.
    ///
    /// # Errors
    /// [`UsbError`].
    fn control_in(&mut self, request: Request, data: &mut [u8], limit: Duration) -> Result<usize, UsbError>;

    /// Writes by a vendor request.
    ///
    /// # Errors
    /// [`UsbError`].
    fn control_out(&mut self, request: Request, data: &[u8], limit: Duration) -> Result<(), UsbError>;

    /// Writes to a bulk endpoint.
    ///
    /// # Errors
    /// [`UsbError`].
    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<(), UsbError>;

    /// Makes an IN transfer pending, bulk or interrupt as the endpoint is.
    ///
    /// # Errors
    /// [`UsbError`].
    fn submit(&mut self, endpoint: u8, length: usize) -> Result<(), UsbError>;

    /// Waits for the transfer that has been pending longest on this endpoint.
    ///
    /// # Errors
    /// [`UsbError`]; after [`UsbError::TimedOut`] the transfer is still pending.
    fn wait(&mut self, endpoint: u8, data: &mut [u8], limit: Duration) -> Result<usize, UsbError>;

    /// Gives up every transfer that is pending on this endpoint.
    fn cancel(&mut self, endpoint: u8);
}
