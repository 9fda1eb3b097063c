//! The panel on pins that keep a record.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;

use embedded_hal::digital::{ErrorKind, ErrorType};
use proptest::prelude::*;

use super::*;
use crate::clock::VirtualClock;
use crate::wait::CancelToken;

/// What happened, when, in milliseconds.
type Log = Rc<RefCell<Vec<(u64, &'static str, bool)>>>;

/// A pin that writes down its level, and fails from a certain change on.
#[derive(Debug, Clone)]
struct Pin {
    name: &'static str,
    clock: Rc<VirtualClock>,
    log: Log,
    level: Rc<RefCell<bool>>,
    /// Changes to "high" that still succeed.
    ups: Rc<RefCell<usize>>,
}

#[derive(Debug)]
struct Stuck;

impl embedded_hal::digital::Error for Stuck {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Pin {
    type Error = Stuck;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Stuck> {
        self.note(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Stuck> {
        let mut ups = self.ups.borrow_mut();
        *ups = ups.checked_sub(1).ok_or(Stuck)?;
        drop(ups);
        self.note(true);
        Ok(())
    }
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, Stuck> {
        Ok(*self.level.borrow())
    }

    fn is_low(&mut self) -> Result<bool, Stuck> {
        Ok(!*self.level.borrow())
    }
}

impl Pin {
    fn note(&self, level: bool) {
        if self.level.replace(level) != level {
            let now = self.clock.now().as_millis() as u64;
            self.log.borrow_mut().push((now, self.name, level));
        }
    }
}

struct Bench {
    clock: Rc<VirtualClock>,
    log: Log,
}

impl Bench {
    fn new() -> Self {
        Self { clock: Rc::new(VirtualClock::default()), log: Log::default() }
    }

    fn pin(&self, name: &'static str, ups: usize) -> Pin {
        Pin {
            name,
            clock: self.clock.clone(),
            log: self.log.clone(),
            level: Rc::default(),
            ups: Rc::new(RefCell::new(ups)),
        }
    }

    /// A panel whose relay, light and buzzer are high when on.
    fn panel(&self) -> Panel<Pin, Pin> {
        let line = |name| Line::new(self.pin(name, usize::MAX), Polarity::ActiveHigh);
        Panel::new()
            .with_output(Part::Relay, line("relay"))
            .and_then(|panel| panel.with_output(Part::Light, line("light")))
            .and_then(|panel| panel.with_output(Part::Buzzer, line("buzzer")))
            .unwrap()
    }

    fn of(&self, name: &str) -> Vec<(u64, bool)> {
        let log = self.log.borrow();
        log.iter().filter(|entry| entry.1 == name).map(|entry| (entry.0, entry.2)).collect()
    }
}

fn accepted(ms: u64) -> Feedback {
    Feedback { pattern: Pattern::ACCEPTED, door: Duration::from_millis(ms) }
}

fn long() -> Wait {
    Wait::up_to(Duration::from_secs(60))
}

#[test]
fn an_accept_lights_up_sounds_and_opens_the_door_for_its_time() {
    let bench = Bench::new();
    bench.panel().show(&accepted(3000), &long(), &*bench.clock).unwrap();
    assert_eq!(bench.of("light"), [(0, true), (1500, false)]);
    assert_eq!(bench.of("buzzer"), [(0, true), (150, false)]);
    assert_eq!(bench.of("relay"), [(0, true), (3000, false)]);
}

#[test]
fn a_door_that_closes_before_the_pattern_ends_closes_on_time() {
    let bench = Bench::new();
    bench.panel().show(&accepted(700), &long(), &*bench.clock).unwrap();
    assert_eq!(bench.of("relay"), [(0, true), (700, false)]);
    assert_eq!(bench.of("light"), [(0, true), (1500, false)]);
}

#[test]
fn a_refusal_never_touches_the_relay() {
    let bench = Bench::new();
    let refused = Feedback { pattern: Pattern::REFUSED, door: Duration::ZERO };
    bench.panel().show(&refused, &long(), &*bench.clock).unwrap();
    assert!(bench.of("relay").is_empty());
    assert_eq!(bench.of("buzzer").len(), 6, "three notes");
}

#[test]
fn no_configuration_holds_the_door_longer_than_the_longest_opening() {
    let bench = Bench::new();
    bench.panel().show(&accepted(3_600_000), &long(), &*bench.clock).unwrap();
    assert_eq!(bench.of("relay"), [(0, true), (10_000, false)]);
}

#[test]
fn a_pin_that_fails_is_named_and_the_door_is_shut_at_once() {
    let bench = Bench::new();
    let light = Line::new(bench.pin("light", 0), Polarity::ActiveHigh);
    let relay = Line::new(bench.pin("relay", usize::MAX), Polarity::ActiveHigh);
    let panel = Panel::<Pin, Pin>::new().with_output(Part::Relay, relay).unwrap();
    let mut panel = panel.with_output(Part::Light, light).unwrap();
    let error = panel.show(&accepted(3000), &long(), &*bench.clock).unwrap_err();
    assert!(matches!(error, PanelError::Pin { part: Part::Light, .. }), "{error}");
    assert_eq!(bench.of("relay"), [(0, true), (0, false)]);
}

#[test]
fn a_cancelled_panel_shuts_the_door() {
    let bench = Bench::new();
    let token = CancelToken::new();
    token.cancel();
    let wait = Wait::up_to(Duration::from_secs(60)).or_until(&token);
    let shown = bench.panel().show(&accepted(3000), &wait, &*bench.clock);
    assert_eq!(shown, Err(PanelError::Cancelled));
    assert_eq!(bench.of("relay"), [(0, true), (0, false)]);
}

#[test]
fn a_relay_that_works_by_the_low_level_rests_high() {
    let bench = Bench::new();
    let pin = bench.pin("relay", usize::MAX);
    let mut panel = Panel::<Pin, Pin>::new()
        .with_output(Part::Relay, Line::new(pin.clone(), Polarity::ActiveLow))
        .unwrap();
    assert!(*pin.level.borrow(), "at rest from the start");
    panel.show(&accepted(500), &long(), &*bench.clock).unwrap();
    assert_eq!(bench.of("relay"), [(0, true), (0, false), (500, true)]);
    drop(panel);
    assert!(*pin.level.borrow());
}

#[test]
fn a_switch_is_read_by_its_polarity_and_what_is_not_there_is_unknown() {
    let bench = Bench::new();
    for (polarity, closed) in [(Polarity::ActiveHigh, true), (Polarity::ActiveLow, false)] {
        let mut pin = bench.pin("tamper", usize::MAX);
        pin.set_high().unwrap();
        let mut panel = Panel::<Pin, Pin>::new().with_input(Part::Tamper, Line::new(pin, polarity)).unwrap();
        assert_eq!(panel.tampered(), Ok(Some(closed)));
        assert_eq!(panel.touched(), Ok(None));
    }
}

#[test]
fn an_output_is_no_switch_and_a_switch_no_output() {
    let bench = Bench::new();
    let line = |name| Line::new(bench.pin(name, 1), Polarity::ActiveHigh);
    assert!(Panel::<Pin, Pin>::new().with_output(Part::Tamper, line("x")).is_err());
    assert!(Panel::<Pin, Pin>::new().with_input(Part::Relay, line("x")).is_err());
}

#[test]
fn the_door_is_shut_when_a_driver_panics() {
    impl OutputPin for Either {
        fn set_low(&mut self) -> Result<(), Self::Error> {
            if let Self::Relay(open) = self {
                open.store(false, std::sync::atomic::Ordering::SeqCst);
            }
            Ok(())
        }
        fn set_high(&mut self) -> Result<(), Self::Error> {
            match self {
                Self::Relay(open) => open.store(true, std::sync::atomic::Ordering::SeqCst),
                Self::Bomb => panic!("the driver broke"),
            }
            Ok(())
        }
    }
    /// A relay, and a light whose driver panics.
    #[derive(Debug)]
    enum Either {
        Relay(std::sync::Arc<std::sync::atomic::AtomicBool>),
        Bomb,
    }
    impl ErrorType for Either {
        type Error = std::convert::Infallible;
    }
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let relay = Either::Relay(open.clone());
    let broken = thread::spawn(move || {
        let relay = Line::new(relay, Polarity::ActiveHigh);
        let panel = Panel::<Either, Pin>::new().with_output(Part::Relay, relay).unwrap();
        let mut panel =
            panel.with_output(Part::Light, Line::new(Either::Bomb, Polarity::ActiveHigh)).unwrap();
        let _ = panel.show(&accepted(3000), &long(), &VirtualClock::default());
    });
    assert!(broken.join().is_err());
    assert!(!open.load(std::sync::atomic::Ordering::SeqCst));
}

proptest! {
    #[test]
    fn the_door_is_open_exactly_as_long_as_asked_up_to_the_longest(door in 1_u64..20_000) {
        let bench = Bench::new();
        bench.panel().show(&accepted(door), &long(), &*bench.clock).unwrap();
        prop_assert_eq!(bench.of("relay"), [(0, true), (door.min(10_000), false)]);
    }
}
