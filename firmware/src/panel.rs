//! The front panel: what a decision looks and sounds like, who may open the door, and whether the case is open.
//!
//! Only an accept of a finger at one of the box's own readers opens it: a client elsewhere says nothing
//! about who stands in front of the box. Invariant: no answer waits for the panel; the latest decision
//! is shown, and showing it ends the one before, with the door shut; that the case was opened is told until
//! somebody has taken it in.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use authenteon_hal::{
    CancelToken, Wait,
    clock::{Clock, SystemClock},
    panel::{Feedback, LONGEST_OPENING, Panel, Pattern},
};
use embedded_hal::digital::{InputPin, OutputPin};
use tracing::{debug, info, warn};

use crate::{lock::Lock, policy::Decision};

/// How often the tamper switch is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What the person and the door get of a decision.
#[must_use]
pub fn feedback(decision: &Decision, door: Duration) -> Feedback {
    match decision {
        Decision::Accept { .. } => Feedback { pattern: Pattern::ACCEPTED, door },
        Decision::Refuse { .. } => Feedback { pattern: Pattern::REFUSED, door: Duration::ZERO },
        Decision::Retry { .. } => Feedback { pattern: Pattern::RETRY, door: Duration::ZERO },
    }
}

/// Who has to know that the case was opened.
pub trait Guard: Send {
    /// It was opened, or closed; false when that could not be taken in, and is to be told again.
    fn case(&self, open: bool) -> bool;
}

impl Guard for Lock {
    /// A locked box uses no reader; it is told again when it is open.
    fn case(&self, open: bool) -> bool {
        let Some(services) = self.services() else { return false };
        let done = if open { services.case_opened() } else { services.case_closed() };
        done.inspect_err(|why| debug!(%why, open, "that the case was opened or closed is not written down"))
            .is_ok()
    }
}

/// What is known of the case, and told of it.
struct Case {
    guard: Box<dyn Guard>,
    /// What was taken in last.
    told_open: bool,
    /// It was opened since.
    opened: bool,
}

impl Case {
    /// What the switch says now. An opening is told, too, when the case is closed again before it could be.
    fn is(&mut self, open: bool) {
        if open && !self.opened && !self.told_open {
            warn!("the case was opened");
        }
        self.opened |= open && !self.told_open;
        if self.opened && self.guard.case(true) {
            (self.told_open, self.opened) = (true, false);
        }
        if self.told_open && !open && self.guard.case(false) {
            info!("the case was closed");
            self.told_open = false;
        }
    }
}

/// A panel with a thread that plays on it. Dropped, it is at rest.
pub struct FrontPanel {
    orders: Mutex<Option<Orders>>,
    door: Duration,
    player: Option<JoinHandle<()>>,
}

/// The way to the thread, and the means to interrupt it.
struct Orders {
    to: Sender<(Feedback, CancelToken)>,
    now: CancelToken,
}

impl FrontPanel {
    /// Starts the thread; the guard is told when the case is opened and closed.
    ///
    /// # Errors
    /// What the system says.
    pub fn start<O, I>(
        panel: Panel<O, I>,
        door: Duration,
        guard: impl Guard + 'static,
    ) -> std::io::Result<Self>
    where
        O: OutputPin + Send + 'static,
        I: InputPin + Send + 'static,
    {
        let case = Case { guard: Box::new(guard), told_open: false, opened: false };
        let (to, orders) = channel();
        let player = thread::Builder::new()
            .name("panel".to_owned())
            .spawn(move || play(panel, &orders, case, &SystemClock::new()))?;
        let orders = Mutex::new(Some(Orders { to, now: CancelToken::new() }));
        Ok(Self { orders, door, player: Some(player) })
    }

    /// Shows a decision and, on an accept, opens the door. Returns at once.
    pub fn show(&self, decision: &Decision) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(orders) = orders.as_mut() else { return };
        orders.now.cancel();
        orders.now = CancelToken::new();
        // A player that is gone has said why.
        let _ = orders.to.send((feedback(decision, self.door), orders.now.clone()));
    }
}

impl Drop for FrontPanel {
    fn drop(&mut self) {
        if let Some(orders) = self.orders.lock().unwrap_or_else(PoisonError::into_inner).take() {
            orders.now.cancel();
        }
        if let Some(player) = self.player.take() {
            // The panel's own drop puts it to rest whatever happened to the thread.
            let _ = player.join();
        }
    }
}

/// Plays orders until nobody can give any more, and watches the tamper switch between them.
fn play<O: OutputPin, I: InputPin>(
    mut panel: Panel<O, I>,
    orders: &Receiver<(Feedback, CancelToken)>,
    mut case: Case,
    clock: &dyn Clock,
) {
    loop {
        if let Ok(Some(open)) = panel.tampered() {
            case.is(open);
        }
        match orders.recv_timeout(LOOK) {
            Ok((feedback, token)) => {
                let limit = 2 * LONGEST_OPENING;
                if !token.is_cancelled()
                    && let Err(why) = panel.show(&feedback, &Wait::up_to(limit).or_until(&token), clock)
                    && !token.is_cancelled()
                {
                    warn!(%why, "the panel did not show a decision; the door is shut");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
        time::Instant,
    };

    use authenteon_hal::panel::{Line, Part, Polarity};
    use embedded_hal::digital::ErrorType;

    use super::*;
    use crate::{policy::RefuseReason, subject::SubjectId};

    /// The level of a pin, and how often it rose.
    #[derive(Clone, Default)]
    struct Pin(Arc<Mutex<(bool, usize)>>);

    impl ErrorType for Pin {
        type Error = Infallible;
    }

    impl OutputPin for Pin {
        fn set_low(&mut self) -> Result<(), Infallible> {
            self.0.lock().unwrap().0 = false;
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), Infallible> {
            let mut pin = self.0.lock().unwrap();
            *pin = (true, pin.1 + 1);
            Ok(())
        }
    }

    impl InputPin for Pin {
        fn is_high(&mut self) -> Result<bool, Infallible> {
            Ok(self.0.lock().unwrap().0)
        }

        fn is_low(&mut self) -> Result<bool, Infallible> {
            Ok(!self.0.lock().unwrap().0)
        }
    }

    fn until(fits: impl Fn() -> bool) {
        let began = Instant::now();
        while !fits() {
            assert!(began.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn with_relay() -> (FrontPanel, Pin) {
        let relay = Pin::default();
        let line = Line::new(relay.clone(), Polarity::ActiveHigh);
        let panel = Panel::<Pin, Pin>::new().with_output(Part::Relay, line).unwrap();
        (FrontPanel::start(panel, Duration::from_secs(8), Told::default()).unwrap(), relay)
    }

    /// What it was told, and whether it takes it in.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<(Vec<bool>, bool)>>);

    impl Guard for Told {
        fn case(&self, open: bool) -> bool {
            let mut told = self.0.lock().unwrap();
            if told.1 {
                told.0.push(open);
            }
            told.1
        }
    }

    #[test]
    fn an_opened_case_is_told_until_it_is_taken_in_also_when_it_was_closed_meanwhile() {
        let guard = Told::default();
        let mut case = Case { guard: Box::new(guard.clone()), told_open: false, opened: false };
        for open in [false, true, false, true, false] {
            case.is(open);
        }
        assert!(guard.0.lock().unwrap().0.is_empty(), "nobody took it in yet");
        guard.0.lock().unwrap().1 = true;
        for open in [false, false, true, true, false] {
            case.is(open);
        }
        assert_eq!(guard.0.lock().unwrap().0, [true, false, true, false]);
    }

    #[test]
    fn the_switch_is_looked_at_from_the_start() {
        let (switch, guard) = (Pin::default(), Told::default());
        switch.0.lock().unwrap().0 = true;
        guard.0.lock().unwrap().1 = true;
        let line = Line::new(switch.clone(), Polarity::ActiveHigh);
        let panel = Panel::<Pin, Pin>::new().with_input(Part::Tamper, line).unwrap();
        let _panel = FrontPanel::start(panel, Duration::ZERO, guard.clone()).unwrap();
        until(|| guard.0.lock().unwrap().0 == [true]);
        switch.0.lock().unwrap().0 = false;
        until(|| guard.0.lock().unwrap().0 == [true, false]);
    }

    const REFUSED: Decision = Decision::Refuse { reason: RefuseReason::NotMatched };

    #[test]
    fn only_an_accept_opens_the_door() {
        let door = Duration::from_secs(3);
        let accepted = Decision::Accept { subject: SubjectId::random() };
        assert_eq!(feedback(&accepted, door), Feedback { pattern: Pattern::ACCEPTED, door });
        for decision in [REFUSED, Decision::Retry { hint: "again" }] {
            assert_eq!(feedback(&decision, door).door, Duration::ZERO);
        }
    }

    #[test]
    fn the_next_decision_ends_the_one_before_and_shuts_the_door() {
        let (panel, relay) = with_relay();
        let began = Instant::now();
        panel.show(&Decision::Accept { subject: SubjectId::random() });
        until(|| relay.0.lock().unwrap().0);
        panel.show(&REFUSED);
        until(|| !relay.0.lock().unwrap().0);
        assert!(began.elapsed() < Duration::from_secs(7), "long before its time");
        assert_eq!(relay.0.lock().unwrap().1, 1);
    }

    #[test]
    fn a_panel_that_is_dropped_leaves_the_door_shut() {
        let (panel, relay) = with_relay();
        panel.show(&Decision::Accept { subject: SubjectId::random() });
        until(|| relay.0.lock().unwrap().0);
        drop(panel);
        assert!(!relay.0.lock().unwrap().0);
    }
}
