//! The section `[sensors]`: where the daemon looks for readers.
//!
//! Invariant: without the section it looks at the USB bus, writes to no serial port, and starts on a
//! machine that has neither.

use authenteon_hal::{
    Dpi,
    discovery::SerialReader,
    zfm::{Config as Module, Model},
};
use serde::Deserialize;

/// Where readers are looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sensors {
    /// On the USB bus.
    pub usb: bool,
    /// At these ports.
    pub serial: Vec<SerialPort>,
}

impl Default for Sensors {
    fn default() -> Self {
        Self { usb: true, serial: Vec::new() }
    }
}

/// A serial port with a module of the 0xEF01 family.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SerialPort {
    /// The device file.
    pub port: String,
    /// Eight hexadecimal digits; a module leaves the factory with zeros.
    pub password: Option<String>,
    /// What is connected there.
    #[serde(default)]
    pub model: SerialModel,
    /// Resolution of its frames.
    pub dpi: Option<u32>,
}

/// Modules that speak alike and see differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SerialModel {
    /// ZFM-20/60, R301 to R307, AS608, FPM10A.
    #[default]
    Optical,
    /// R503, with its ring of light.
    R503,
}

/// A value that cannot be used: of which port, which key, and why.
pub(super) type Unusable = (usize, &'static str, &'static str);

impl Sensors {
    /// The serial readers.
    pub(super) fn readers(&self) -> Result<Vec<SerialReader>, Unusable> {
        let mut readers: Vec<SerialReader> = Vec::new();
        for (index, port) in self.serial.iter().enumerate() {
            let unusable = |key, why| (index, key, why);
            if !port.port.starts_with('/') {
                return Err(unusable("port", "the whole path of a device file: \"/dev/ttyUSB0\""));
            }
            let mut reader = SerialReader::new(&port.port);
            if readers.iter().any(|other| other.id() == reader.id()) {
                return Err(unusable("port", "this port was named before"));
            }
            reader.module = Module {
                model: match port.model {
                    SerialModel::Optical => Model::Optical,
                    SerialModel::R503 => Model::R503,
                },
                ..Module::default()
            };
            if let Some(password) = &port.password {
                let parsed = u32::from_str_radix(password, 16).ok();
                let eight = password.len() == 8 && password.bytes().all(|b| b.is_ascii_hexdigit());
                reader.module.password = parsed
                    .filter(|_| eight)
                    .ok_or_else(|| unusable("password", "eight hexadecimal digits: \"00000000\""))?;
            }
            if let Some(dpi) = port.dpi {
                reader.module.dpi =
                    Dpi::new(dpi).map_err(|_| unusable("dpi", "pixels per inch, from 125 to 2000"))?;
            }
            readers.push(reader);
        }
        Ok(readers)
    }
}
