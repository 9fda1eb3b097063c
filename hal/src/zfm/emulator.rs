//! The other end of the wire: a module of the 0xEF01 family, bytes in, packets out.
//!
//! It answers what clients ask, with the codes of the manuals: start-up, frames, parameters, and
//! matching within a library of its own. It does no input or output itself: tests put it behind a
//! line in memory, and the bench behind a pseudo-terminal. Invariant: it never says anything unasked.

mod library;

use self::library::{CAPACITY, Library};
use super::packet::{Decoder, Kind, Packet};
use super::protocol::BAUD_UNIT;
use crate::frame::Frame;

/// An emulated module.
pub struct Emulator {
    address: u32,
    password: u32,
    verified: bool,
    /// 0 to 3 for 32 to 256 bytes.
    packet_code: u8,
    /// In units of 9600.
    speed: u8,
    /// The finger that lies on it, 4 bits a pixel.
    finger: Option<Vec<u8>>,
    /// The image that was taken last.
    buffer: Option<Vec<u8>>,
    ring: [u8; 4],
    /// 1 to 5.
    security: u8,
    library: Library,
    /// 16 pages of 32 bytes that the host may write.
    notepad: [[u8; 32]; 16],
    /// What its random numbers are drawn from.
    drawn: u32,
    decoder: Decoder,
}

impl Default for Emulator {
    fn default() -> Self {
        Self {
            address: 0xFFFF_FFFF,
            password: 0,
            verified: false,
            packet_code: 2,
            speed: 6,
            finger: None,
            buffer: None,
            ring: [0; 4],
            security: 3,
            library: Library::default(),
            notepad: [[0; 32]; 16],
            drawn: 0x2545_F491,
            decoder: Decoder::new(),
        }
    }
}

impl Emulator {
    /// A module as it leaves the factory: address and password of everybody, 57600, 128 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With another password.
    #[must_use]
    pub fn with_password(mut self, password: u32) -> Self {
        self.password = password;
        self
    }

    /// With another speed, in units of 9600.
    #[must_use]
    pub fn with_speed(mut self, units: u8) -> Self {
        self.speed = units;
        self
    }

    /// With packets of 32 << `code` bytes.
    #[must_use]
    pub fn with_packet_code(mut self, code: u8) -> Self {
        self.packet_code = code.min(3);
        self
    }

    /// A finger is laid on it; it sees the upper four bits of every pixel.
    pub fn place(&mut self, frame: &Frame) {
        let pairs = frame.pixels().chunks_exact(2);
        self.finger =
            Some(pairs.map(|pair| pair.iter().fold(0, |byte, pixel| (byte << 4) | (pixel >> 4))).collect());
    }

    /// The finger is lifted.
    pub fn lift(&mut self) {
        self.finger = None;
    }

    /// Whether a finger lies on it: what the touch line of an R503 says.
    #[must_use]
    pub fn touched(&self) -> bool {
        self.finger.is_some()
    }

    /// Power is cut and comes back: all that is not in flash is forgotten.
    pub fn power_cut(&mut self) {
        self.verified = false;
        self.buffer = None;
        self.library.power_cut();
        self.decoder.clear();
    }

    /// Its speed now.
    #[must_use]
    pub fn baud(&self) -> u32 {
        u32::from(self.speed) * BAUD_UNIT
    }

    /// What its ring of light was told last.
    #[must_use]
    pub fn ring(&self) -> [u8; 4] {
        self.ring
    }

    /// Takes bytes from the host and returns the packets that it sends back.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        loop {
            let taken = self.decoder.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            while let Some(packet) = self.decoder.next_packet() {
                match packet {
                    Ok(packet) if packet.address == self.address && packet.kind == Kind::Command => {
                        self.obey(&packet.payload, &mut answers);
                    }
                    // Packets for other modules.
                    Ok(_) => {}
                    Err(_) => answers.extend(self.packet(Kind::Ack, &[0x01])),
                }
            }
            if bytes.is_empty() {
                return answers;
            }
        }
    }

    fn packet(&self, kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
        Packet::new(self.address, kind, payload).map(|packet| packet.encode().to_vec())
    }

    fn obey(&mut self, command: &[u8], answers: &mut Vec<Vec<u8>>) {
        let locked = self.password != 0 && !self.verified;
        let answer: Vec<u8> = match command {
            [0x13, password @ ..] => {
                self.verified = *password == self.password.to_be_bytes();
                vec![if self.verified { 0x00 } else { 0x13 }]
            }
            _ if locked => vec![0x21],
            // An image, with its light, without it, or with more codes in the answer.
            [0x01 | 0x28 | 0x52] => {
                self.buffer.clone_from(&self.finger);
                vec![if self.buffer.is_some() { 0x00 } else { 0x02 }]
            }
            [0x0A] => vec![if self.buffer.is_some() { 0x00 } else { 0x15 }],
            [0x0E, 4, units @ 1..=12] => {
                answers.extend(self.packet(Kind::Ack, &[0x00]));
                self.speed = *units;
                return;
            }
            [0x0E, 5, level @ 1..=5] => {
                self.security = *level;
                vec![0x00]
            }
            [0x0E, 6, code @ 0..=3] => {
                self.packet_code = *code;
                vec![0x00]
            }
            [0x0E, ..] => vec![0x1A],
            [0x0F] => self.parameters(),
            [0x12, a, b, c, d] => {
                self.password = u32::from_be_bytes([*a, *b, *c, *d]);
                vec![0x00]
            }
            [0x14] => {
                self.drawn ^= self.drawn << 13;
                self.drawn ^= self.drawn >> 17;
                self.drawn ^= self.drawn << 5;
                [&[0x00][..], &self.drawn.to_be_bytes()].concat()
            }
            // It answers under its new address already.
            [0x15, a, b, c, d] => {
                self.address = u32::from_be_bytes([*a, *b, *c, *d]);
                vec![0x00]
            }
            [0x18, page, bytes @ ..] => match (self.notepad.get_mut(usize::from(*page)), bytes.try_into()) {
                (Some(kept), Ok(bytes)) => {
                    *kept = bytes;
                    vec![0x00]
                }
                _ => vec![0x01],
            },
            [0x19, page] => match self.notepad.get(usize::from(*page)) {
                Some(kept) => [&[0x00][..], kept].concat(),
                None => vec![0x01],
            },
            [0x35, mode, speed, colour, count] => {
                self.ring = [*mode, *speed, *colour, *count];
                vec![0x00]
            }
            [0x3D] => {
                answers.extend(self.packet(Kind::Ack, &[0x00]));
                self.power_cut();
                return;
            }
            // Its sensor is sound; its light goes on and off.
            [0x36 | 0x50 | 0x51] => vec![0x00],
            [0x53] => vec![0x55],
            other => self.library.obey(other, self.buffer.as_deref()).unwrap_or_else(|| vec![0x01]),
        };
        answers.extend(self.packet(Kind::Ack, &answer));
        if let ([0x0A], Some(image), false) = (command, &self.buffer, locked) {
            let mut pieces = image.chunks(32 << self.packet_code).peekable();
            while let Some(piece) = pieces.next() {
                let kind = if pieces.peek().is_some() { Kind::Data } else { Kind::LastData };
                answers.extend(self.packet(kind, piece));
            }
        }
    }

    fn parameters(&self) -> Vec<u8> {
        let [c1, c0] = CAPACITY.to_be_bytes();
        let mut answer = vec![0x00, 0, 0, 0, 9, c1, c0, 0, self.security];
        answer.extend_from_slice(&self.address.to_be_bytes());
        answer.extend_from_slice(&[0, self.packet_code, 0, self.speed]);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of the one answer to a command.
    fn told(module: &mut Emulator, address: u32, command: &[u8]) -> Vec<u8> {
        let packet = Packet::new(address, Kind::Command, command).unwrap();
        let answers = module.receive(&packet.encode());
        let [answer] = &answers[..] else { panic!("{} answers to {command:x?}", answers.len()) };
        answer[9..answer.len() - 2].to_vec()
    }

    #[test]
    fn a_new_password_is_asked_for_after_the_next_power_cut_or_reset() {
        let (mut module, everybody) = (Emulator::new(), u32::MAX);
        assert_eq!(told(&mut module, everybody, &[0x13, 0, 0, 0, 0]), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x12, 0, 0, 0, 9]), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x53]), [0x55]);
        assert_eq!(told(&mut module, everybody, &[0x3D]), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x53]), [0x21]);
        assert_eq!(told(&mut module, everybody, &[0x13, 0, 0, 0, 0]), [0x13]);
        assert_eq!(told(&mut module, everybody, &[0x13, 0, 0, 0, 9]), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x53]), [0x55]);
    }

    #[test]
    fn address_notepad_security_and_random_numbers_are_those_of_the_manual() {
        let (mut module, everybody) = (Emulator::new(), u32::MAX);
        let page = [&[0x18, 15][..], &[7; 32]].concat();
        assert_eq!(told(&mut module, everybody, &page), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x19, 15])[1..], [7; 32]);
        assert_eq!(told(&mut module, everybody, &[0x19, 16]), [0x01]);
        assert_eq!(told(&mut module, everybody, &[0x0E, 5, 5]), [0x00]);
        assert_eq!(told(&mut module, everybody, &[0x0E, 5, 6]), [0x1A]);
        assert_eq!(told(&mut module, everybody, &[0x0F])[8], 5);
        assert_ne!(told(&mut module, everybody, &[0x14]), told(&mut module, everybody, &[0x14]));
        let rename = Packet::new(everybody, Kind::Command, &[0x15, 1, 2, 3, 4]).unwrap();
        assert_eq!(module.receive(&rename.encode())[0][2..6], [1, 2, 3, 4]);
        assert_eq!(told(&mut module, 0x0102_0304, &[0x36]), [0x00]);
        let former = Packet::new(everybody, Kind::Command, &[0x36]).unwrap();
        assert!(module.receive(&former.encode()).is_empty());
    }
}
