//! The threads: one that looks for readers about once a second, and one for each reader found.
//!
//! Invariant: a reader that was found once is watched until the daemon stops, however often it goes and
//! comes back; what goes wrong with one reader or one source stops no other.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use authenteon_hal::{
    FingerprintSensor, SensorError,
    clock::SystemClock,
    discovery::{Found, Source, find_all},
    watch::{Event, Limits, Watch},
};
use tracing::{error, info, warn};

use crate::heartbeat::Pulse;

use super::{MOST_READERS, Shared, session::Session, slot::Slot};

/// Between two looks for readers.
const LOOK: Duration = Duration::from_secs(1);
/// Between two attempts to open a reader.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts the thread that looks for readers.
pub(super) fn look_out(
    shared: &Arc<Shared>,
    mut sources: Vec<Box<dyn Source>>,
    pulse: Option<Pulse>,
) -> io::Result<()> {
    let keeper = shared.clone();
    spawn(shared, "sensors", move || {
        let mut complained = Vec::new();
        loop {
            if let Some(pulse) = &pulse {
                pulse.beat();
            }
            let (found, errors) = find_all(&mut sources);
            for reader in found {
                meet(&keeper, reader);
            }
            // A machine without a bus says the same every second.
            for why in errors.iter().filter(|why| !complained.contains(*why)) {
                info!(%why, "a source of readers cannot be asked");
            }
            complained = errors;
            keeper.report();
            let waited = keeper.changed.wait_timeout_while(keeper.state(), LOOK, |state| !state.closing);
            if waited.unwrap_or_else(PoisonError::into_inner).0.closing {
                return;
            }
        }
    })
}

/// A reader was found: a new one gets a thread, a known one its present place.
fn meet(shared: &Arc<Shared>, found: Found) {
    let mut state = shared.state();
    if let Some(slot) = state.readers.get(&found.id) {
        return slot.found(found);
    }
    if state.closing || state.readers.len() >= MOST_READERS {
        return;
    }
    let slot = Arc::new(Slot::new(found));
    state.readers.insert(slot.id().clone(), slot.clone());
    drop(state);
    let name = slot.id().clone();
    if let Err(why) = spawn(shared, name.as_str(), move || watch(&slot)) {
        error!(reader = %name, %why, "no thread for this reader; it is tried again");
        shared.state().readers.remove(&name);
    }
}

/// A thread that is counted.
fn spawn(shared: &Arc<Shared>, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    /// Counts the thread out, however it ends.
    struct Leaving(Arc<Shared>);
    impl Drop for Leaving {
        fn drop(&mut self) {
            self.0.state().threads -= 1;
            self.0.changed.notify_all();
        }
    }
    shared.state().threads += 1;
    let leaving = Leaving(shared.clone());
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _leaving = leaving;
        work();
    });
    thread.map(drop)
}

/// Watches one reader until the daemon stops.
fn watch(slot: &Arc<Slot>) {
    let clock = SystemClock::new();
    let limits = Limits { pause: PAUSE, ..Limits::default() };
    let watch = Watch { limits, clock: &clock, cancel: &slot.stop };
    let reader = slot.id();
    let mut said: Option<SensorError> = None;
    let mut open = |wait: &_| {
        match slot.place().open(wait) {
            Ok(opened) => Ok(Box::new(Session::new(opened, slot.clone())) as Box<dyn FingerprintSensor>),
            Err(why) => {
                // The watch tells once that a reader is absent; why may change, and people look.
                slot.not_opened(&why);
                Err(why)
            }
        }
    };
    watch.run(&mut open, &mut |event| {
        match event {
            Event::Present(found) => {
                info!(%reader, model = found.model, "reader present");
                slot.present(found);
            }
            Event::FingerOn | Event::FingerOff => {}
            Event::Frame(frame) => {
                said = None;
                slot.took(frame);
            }
            Event::Removed => {
                info!(%reader, "reader removed");
                slot.removed();
            }
            Event::Error(why) => {
                // A wrong password is wrong twice a second, and the log need not know.
                if said.as_ref() != Some(&why) {
                    match &why {
                        SensorError::NotPresent(_) => info!(%reader, %why, "reader absent"),
                        _ => warn!(%reader, %why, "reader failed"),
                    }
                    said = Some(why.clone());
                }
                slot.failed(why);
            }
        }
        ControlFlow::Continue(())
    });
    slot.close();
}
