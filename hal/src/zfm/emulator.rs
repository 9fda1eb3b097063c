//! The other end of the wire: a module of the 0xEF01 family, bytes in, packets out.
//!
//! It answers what clients ask at start-up and what a reader of frames needs, with the codes of the
//! manuals. It does no input or output itself: tests put it behind a line in memory, and the bench
//! behind a pseudo-terminal. Invariant: it never says anything unasked.

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

    /// Power is cut and comes back: all that is not in flash is forgotten.
    pub fn power_cut(&mut self) {
        self.verified = false;
        self.buffer = None;
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
            [0x01] => {
                self.buffer.clone_from(&self.finger);
                vec![if self.buffer.is_some() { 0x00 } else { 0x02 }]
            }
            [0x0A] => vec![if self.buffer.is_some() { 0x00 } else { 0x15 }],
            [0x0E, 4, units @ 1..=12] => {
                answers.extend(self.packet(Kind::Ack, &[0x00]));
                self.speed = *units;
                return;
            }
            [0x0E, 6, code @ 0..=3] => {
                self.packet_code = *code;
                vec![0x00]
            }
            [0x0E, ..] => vec![0x1A],
            [0x0F] => self.parameters(),
            [0x1D] => vec![0x00, 0, 0],
            [0x35, mode, speed, colour, count] => {
                self.ring = [*mode, *speed, *colour, *count];
                vec![0x00]
            }
            [0x36] => vec![0x00],
            [0x53] => vec![0x55],
            _ => vec![0x01],
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
        let mut answer = vec![0x00, 0, 0, 0, 9, 0, 200, 0, 3];
        answer.extend_from_slice(&self.address.to_be_bytes());
        answer.extend_from_slice(&[0, self.packet_code, 0, self.speed]);
        answer
    }
}
