//! An emulated serial module: a reader for a daemon that was told its port.

use std::path::PathBuf;

use authenteon_hal::{
    Dpi, Frame,
    decode::decode,
    zfm::{emulator::Emulator, pty::PluggedIn},
};

/// What the module sees of a finger.
const WIDTH: usize = 256;
const HEIGHT: usize = 288;

/// A module that is plugged in until it is dropped.
pub(crate) struct Module(PluggedIn);

impl Module {
    /// Plugs a module in, so that its port is at this path.
    pub(crate) fn plug_in(port: PathBuf, password: u32) -> Self {
        Self(PluggedIn::at(port, Emulator::new().with_password(password)).unwrap())
    }

    /// Lays a finger on it: the middle of a print of 500 dpi.
    pub(crate) fn place(&self, png: &[u8]) {
        let print = decode(png, Dpi::STANDARD).unwrap();
        let (width, height) = (print.width() as usize, print.height() as usize);
        let (left, top) = ((width - WIDTH) / 2, (height - HEIGHT) / 2);
        let rows = print.pixels().chunks(width).skip(top).take(HEIGHT);
        let pixels = rows.flat_map(|row| &row[left..left + WIDTH]).copied().collect();
        let seen = Frame::new(WIDTH as u32, HEIGHT as u32, Dpi::STANDARD, pixels).unwrap();
        self.0.module().place(&seen);
    }

    /// Lifts the finger.
    pub(crate) fn lift(&self) {
        self.0.module().lift();
    }
}
