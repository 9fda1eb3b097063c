//! An emulated serial module behind a pseudo-terminal: a reader for a daemon that was told its port.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use authenteon_hal::{Dpi, Frame, decode::decode, zfm::emulator::Emulator};
use serialport::{SerialPort, TTYPort};

/// What the module sees of a finger.
const WIDTH: usize = 256;
const HEIGHT: usize = 288;

/// A module that is plugged in until it is dropped.
pub(crate) struct Module {
    port: PathBuf,
    emulator: Arc<Mutex<Emulator>>,
    unplugged: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl Module {
    /// Plugs a module in, so that its port is at this path.
    pub(crate) fn plug_in(port: PathBuf, password: u32) -> Self {
        let (mut master, slave) = TTYPort::pair().unwrap();
        master.set_timeout(Duration::from_millis(10)).unwrap();
        symlink(slave.name().unwrap(), &port).unwrap();
        let emulator = Arc::new(Mutex::new(Emulator::new().with_password(password)));
        let unplugged = Arc::new(AtomicBool::new(false));
        let (module, gone) = (emulator.clone(), unplugged.clone());
        let pump = thread::spawn(move || {
            // While nobody has the port open, this keeps it from being hung up.
            let _kept = slave;
            let mut bytes = [0; 256];
            while !gone.load(Ordering::SeqCst) {
                let Ok(count) = master.read(&mut bytes) else { continue };
                for packet in module.lock().unwrap().receive(&bytes[..count]) {
                    // The host may have closed the port in the middle.
                    let _ = master.write_all(&packet);
                }
            }
        });
        Self { port, emulator, unplugged, pump: Some(pump) }
    }

    /// Lays a finger on it: the middle of a print of 500 dpi.
    pub(crate) fn place(&self, png: &[u8]) {
        let print = decode(png, Dpi::STANDARD).unwrap();
        let (width, height) = (print.width() as usize, print.height() as usize);
        let (left, top) = ((width - WIDTH) / 2, (height - HEIGHT) / 2);
        let rows = print.pixels().chunks(width).skip(top).take(HEIGHT);
        let pixels = rows.flat_map(|row| &row[left..left + WIDTH]).copied().collect();
        let seen = Frame::new(WIDTH as u32, HEIGHT as u32, Dpi::STANDARD, pixels).unwrap();
        self.emulator.lock().unwrap().place(&seen);
    }

    /// Lifts the finger.
    pub(crate) fn lift(&self) {
        self.emulator.lock().unwrap().lift();
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.unplugged.store(true, Ordering::SeqCst);
        if let Some(pump) = self.pump.take() {
            // When it panicked, its test has failed already.
            let _ = pump.join();
        }
        let _ = fs::remove_file(&self.port);
    }
}
