//! The front panel: what a decision looks and sounds like, and who may open the door.
//!
//! Only an accept of a finger at one of the box's own readers opens it: a client elsewhere says nothing
//! about who stands in front of the box. Invariant: no answer waits for the panel; the latest decision
//! is shown, and showing it ends the one before, with the door shut.

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
use tracing::{info, warn};

use crate::policy::Decision;

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
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn start<O, I>(panel: Panel<O, I>, door: Duration) -> std::io::Result<Self>
    where
        O: OutputPin + Send + 'static,
        I: InputPin + Send + 'static,
    {
        let (to, orders) = channel();
        let player = thread::Builder::new()
            .name("panel".to_owned())
            .spawn(move || play(panel, &orders, &SystemClock::new()))?;
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
    clock: &dyn Clock,
) {
    let mut open = false;
    loop {
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
        match panel.tampered() {
            Ok(Some(now)) if now != open => {
                open = now;
                if open { warn!("the case was opened") } else { info!("the case was closed") }
            }
            _ => {}
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
        (FrontPanel::start(panel, Duration::from_secs(8)).unwrap(), relay)
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
