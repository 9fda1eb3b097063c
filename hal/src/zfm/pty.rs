//! An emulated module behind a pseudo-terminal: a serial port for whoever opens one by its path.
//!
//! Invariant: the port is at its path from when it is plugged in until this is dropped; then it is hung
//! up as a pulled adapter is, and its path is free again.

use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::emulator::Emulator;

/// How soon it notices that its plug was pulled.
const LOOK: Duration = Duration::from_millis(10);

/// A module that is plugged in until it is dropped.
pub struct PluggedIn {
    port: PathBuf,
    module: Arc<Mutex<Emulator>>,
    pulled: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl PluggedIn {
    /// Plugs a module in, so that its port is at this path.
    ///
    /// # Errors
    /// What the system says.
    pub fn at(port: PathBuf, module: Emulator) -> io::Result<Self> {
        let (mut master, slave) = TTYPort::pair()?;
        master.set_timeout(LOOK)?;
        let name = slave.name().ok_or_else(|| io::Error::other("the pseudo-terminal has no name"))?;
        symlink(name, &port)?;
        let module = Arc::new(Mutex::new(module));
        let pulled = Arc::new(AtomicBool::new(false));
        let (emulator, gone) = (module.clone(), pulled.clone());
        let pump = thread::Builder::new().name("module".to_owned()).spawn(move || {
            // While nobody has the port open, this keeps it from being hung up.
            let _kept = slave;
            let mut bytes = [0; 256];
            while !gone.load(Ordering::SeqCst) {
                let Ok(count) = master.read(&mut bytes) else { continue };
                let heard = bytes.get(..count).unwrap_or_default();
                for packet in emulator.lock().unwrap_or_else(PoisonError::into_inner).receive(heard) {
                    // The host may have closed the port in the middle.
                    let _ = master.write_all(&packet);
                }
            }
        })?;
        Ok(Self { port, module, pulled, pump: Some(pump) })
    }

    /// The module, to lay fingers on.
    pub fn module(&self) -> MutexGuard<'_, Emulator> {
        self.module.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PluggedIn {
    fn drop(&mut self) {
        self.pulled.store(true, Ordering::SeqCst);
        if let Some(pump) = self.pump.take() {
            // When it panicked there is nothing to wait for.
            let _ = pump.join();
        }
        // Somebody may have cleaned up before us.
        let _ = std::fs::remove_file(&self.port);
    }
}
