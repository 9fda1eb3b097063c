//! A reader on a stand: somebody outside lays fingers on it, lifts them, pulls its plug and puts it
//! back, while whoever drives it knows nothing but the traits.
//!
//! Invariant: a session that was opened before the plug was pulled is removed for ever, as the handle
//! of a real device is; only a new one sees the reader that came back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::SystemClock;
use crate::discovery::{Found, Place, ReaderId, Source};
use crate::frame::{Dpi, Frame};
use crate::sensor::{Capabilities, FingerprintSensor, Health, SensorError, SensorInfo, Signal};
use crate::wait::Wait;

/// How often the stand is looked at.
const LOOK: Duration = Duration::from_millis(2);
const MODEL: &str = "Authenteon stand";

/// A reader and a hand to use it with. Clones are the same reader.
#[derive(Clone)]
pub struct Stand {
    id: ReaderId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    plugged: bool,
    /// Where it stands and which one it is, when that is not what its name says.
    place: Option<Place>,
    /// How often it was plugged in.
    session: u64,
    finger: Option<Frame>,
    waiting: bool,
    transfer: Duration,
    signals: Vec<Signal>,
}

impl Stand {
    /// A reader that is not plugged in yet.
    #[must_use]
    pub fn new(id: ReaderId) -> Self {
        Self { id, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ReaderId {
        &self.id
    }

    /// Plugs it in.
    pub fn plug_in(&self) {
        let mut state = self.state();
        state.plugged = true;
        state.session += 1;
        state.waiting = false;
    }

    /// Plugs in under the same name what may be another reader, or at another port.
    pub fn plug_in_at(&self, port: &str, serial: Option<&str>) {
        let place = Place { port: port.to_owned(), serial: serial.map(str::to_owned) };
        self.state().place = Some(place);
        self.plug_in();
    }

    fn place_of(&self) -> Place {
        let named = || Place { port: self.id.to_string(), serial: Some(self.id.to_string()) };
        self.state().place.clone().unwrap_or_else(named)
    }

    /// Pulls its plug.
    pub fn unplug(&self) {
        self.state().plugged = false;
    }

    /// Lays a finger on it, which stays.
    pub fn place(&self, frame: Frame) {
        self.state().finger = Some(frame);
    }

    /// Lifts the finger.
    pub fn lift(&self) {
        self.state().finger = None;
    }

    /// Frames take this long from now on.
    pub fn set_transfer(&self, time: Duration) {
        self.state().transfer = time;
    }

    /// Whether somebody waits for a finger on it now.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state().waiting
    }

    /// What was shown to the person, in order.
    #[must_use]
    pub fn signals(&self) -> Vec<Signal> {
        self.state().signals.clone()
    }
}

impl Source for Stand {
    fn find(&mut self) -> Result<Vec<Found>, SensorError> {
        let state = self.state();
        if !state.plugged {
            return Ok(Vec::new());
        }
        let (stand, session) = (self.clone(), state.session);
        drop(state);
        let opens = move |_: &Wait| {
            let state = stand.state();
            // As with an address on a bus: what was plugged in since has another.
            if !state.plugged || state.session != session {
                return Err(SensorError::NotPresent(stand.id.to_string()));
            }
            drop(state);
            Ok(Box::new(Session { stand: stand.clone(), session }) as Box<dyn FingerprintSensor>)
        };
        Ok(vec![Found::new(self.id.clone(), MODEL, self.place_of(), Arc::new(opens))])
    }
}

/// The stand, opened.
struct Session {
    stand: Stand,
    session: u64,
}

impl Session {
    fn state(&self) -> Result<MutexGuard<'_, State>, SensorError> {
        let state = self.stand.state();
        if state.plugged && state.session == self.session { Ok(state) } else { Err(SensorError::Removed) }
    }

    fn until(
        &self,
        wait: &Wait,
        what: &'static str,
        fits: impl Fn(&State) -> bool,
    ) -> Result<(), SensorError> {
        wait.start(&SystemClock::new()).poll(LOOK, what, || Ok(fits(&*self.state()?)))
    }
}

impl FingerprintSensor for Session {
    fn describe(&self) -> SensorInfo {
        SensorInfo {
            model: MODEL.to_owned(),
            serial: self.stand.place_of().serial,
            geometry: None,
            dpi: Dpi::STANDARD,
            capabilities: Capabilities { finger_detect: true, light: true, buzzer: false },
        }
    }

    fn wait_for_finger(&mut self, wait: &Wait) -> Result<(), SensorError> {
        self.state()?.waiting = true;
        let waited = self.until(wait, "a finger", |state| state.finger.is_some());
        self.stand.state().waiting = false;
        waited
    }

    fn capture(&mut self, wait: &Wait) -> Result<Frame, SensorError> {
        let finger = self.state()?.finger.clone();
        let transfer = self.state()?.transfer;
        let transferred = Wait::up_to(transfer);
        let clock = SystemClock::new();
        let (limit, transfer) = (wait.start(&clock), transferred.start(&clock));
        while transfer.remaining("the frame").is_ok() {
            limit.sleep(LOOK, "a frame")?;
            drop(self.state()?);
        }
        finger.ok_or_else(|| SensorError::Protocol("no finger lies on the reader".to_owned()))
    }

    fn wait_for_lift(&mut self, wait: &Wait) -> Result<(), SensorError> {
        match self.until(wait, "the lift", |state| state.finger.is_none()) {
            Err(SensorError::TimedOut(_)) => Err(SensorError::StuckFinger),
            other => other,
        }
    }

    fn indicate(&mut self, signal: Signal) -> Result<(), SensorError> {
        self.state()?.signals.push(signal);
        Ok(())
    }

    fn health(&mut self) -> Health {
        self.state().map_or_else(Health::Failed, |_| Health::Good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(64, 64, Dpi::STANDARD, vec![9; 4096]).unwrap()
    }

    #[test]
    fn a_stand_is_found_while_it_is_plugged_in_and_an_old_session_stays_removed() {
        let stand = Stand::new("stand".parse().unwrap());
        let mut source = stand.clone();
        assert_eq!(source.find().unwrap().len(), 0);
        stand.plug_in();
        let found = source.find().unwrap();
        let (mut session, wait) =
            (found[0].open(&Wait::up_to(LOOK)).unwrap(), Wait::up_to(Duration::from_secs(5)));
        stand.place(frame());
        session.wait_for_finger(&wait).unwrap();
        assert_eq!(session.capture(&wait), Ok(frame()));
        assert_eq!(session.wait_for_lift(&Wait::up_to(LOOK)), Err(SensorError::StuckFinger));
        stand.unplug();
        assert_eq!(session.capture(&wait), Err(SensorError::Removed));
        assert!(matches!(found[0].open(&wait), Err(SensorError::NotPresent(_))));
        stand.plug_in();
        assert_eq!(session.health(), Health::Failed(SensorError::Removed), "a ghost");
        assert_eq!(source.find().unwrap()[0].open(&wait).unwrap().health(), Health::Good);
    }
}
