//! Commands, answers and parameters of the 0xEF01 family, as the manuals number them.

use crate::sensor::SensorError;

/// What the host can ask for; only what a reader of frames needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take an image into the module's buffer.
    GenImg = 0x01,
    /// Send the buffer to the host.
    UpImage = 0x0A,
    /// Set a system parameter, kept over a power cut.
    SetSysPara = 0x0E,
    /// Tell the system parameters.
    ReadSysPara = 0x0F,
    /// Check the password.
    VfyPwd = 0x13,
    /// Light the ring (R503).
    AuraLed = 0x35,
    /// Check the sensor itself (R503).
    CheckSensor = 0x36,
}

/// What the module says to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Ok,
    /// The command arrived damaged.
    PacketError,
    /// No finger lies on it.
    NoFinger,
    /// A finger lies on it, but the image failed.
    ImageFailed,
    /// The image cannot be sent.
    UploadFailed,
    /// The password is wrong.
    WrongPassword,
    /// The buffer holds no image.
    NoImage,
    /// The password must be verified first.
    MustVerify,
    /// The sensor itself is broken (R503).
    SensorAbnormal,
    /// Anything else.
    Other(u8),
}

impl Code {
    /// By its number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0x00 => Self::Ok,
            0x01 => Self::PacketError,
            0x02 => Self::NoFinger,
            0x03 => Self::ImageFailed,
            0x0E | 0x0F => Self::UploadFailed,
            0x13 => Self::WrongPassword,
            0x15 => Self::NoImage,
            0x21 => Self::MustVerify,
            0x29 => Self::SensorAbnormal,
            other => Self::Other(other),
        }
    }

    /// As an error, where nothing but [`Code::Ok`] will do.
    pub(crate) fn into_error(self, command: Command) -> SensorError {
        match self {
            Self::WrongPassword => SensorError::WrongPassword,
            Self::SensorAbnormal => SensorError::Protocol("the module reports a broken sensor".to_owned()),
            Self::Other(code) => {
                SensorError::Protocol(format!("{command:?} was answered with code {code:#04x}"))
            }
            known => SensorError::Protocol(format!("{command:?} was answered with {known:?}")),
        }
    }
}

/// What ReadSysPara tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How many templates it can hold.
    pub capacity: u16,
    /// Its address.
    pub address: u32,
    /// Bytes of data in a packet: 32, 64, 128 or 256.
    pub packet_size: usize,
    /// Its speed.
    pub baud: u32,
}

impl Parameters {
    /// Bytes behind the code in the answer.
    pub const LENGTH: usize = 16;

    /// Reads the answer; one that makes no sense is refused, since clones do answer with rubbish.
    ///
    /// # Errors
    /// [`SensorError::Protocol`] naming the parameter.
    pub fn parse(bytes: &[u8]) -> Result<Self, SensorError> {
        let nonsense = |what: &str| SensorError::Protocol(format!("its parameters make no sense: {what}"));
        let [_, _, _, _, c1, c0, _, _, a3, a2, a1, a0, p1, p0, b1, b0] = bytes else {
            return Err(nonsense("their length"));
        };
        let packet = u16::from_be_bytes([*p1, *p0]);
        if packet > 3 {
            return Err(nonsense("packet size"));
        }
        let speed = u32::from(u16::from_be_bytes([*b1, *b0]));
        if !(1..=12).contains(&speed) {
            return Err(nonsense("speed"));
        }
        Ok(Self {
            capacity: u16::from_be_bytes([*c1, *c0]),
            address: u32::from_be_bytes([*a3, *a2, *a1, *a0]),
            packet_size: 32 << packet,
            baud: speed * BAUD_UNIT,
        })
    }
}

/// Speeds are multiples of this, from 1 to 12.
pub const BAUD_UNIT: u32 = 9600;
/// The number of the speed in SetSysPara.
pub const BAUD_PARAMETER: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// status, system id, capacity 200, security 3, address, packet 128, baud 57600
    const TYPICAL: [u8; 16] = [0, 0, 0, 9, 0, 200, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 2, 0, 6];

    #[test]
    fn parameters_are_read_by_the_manual() {
        let expected = Parameters { capacity: 200, address: u32::MAX, packet_size: 128, baud: 57_600 };
        assert_eq!(Parameters::parse(&TYPICAL), Ok(expected));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (at, value) in [(13, 4), (12, 1), (15, 0), (15, 13)] {
            let mut bytes = TYPICAL;
            bytes[at] = value;
            assert!(matches!(Parameters::parse(&bytes), Err(SensorError::Protocol(_))), "{at}");
        }
        assert!(Parameters::parse(&TYPICAL[..15]).is_err());
        assert!(Parameters::parse(&[0; 16]).is_err());
    }
}
