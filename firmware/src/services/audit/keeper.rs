//! The keeper of the audit: a thread that signs the head at intervals and at the end, and cuts off what was kept long
//! enough.
//!
//! Invariant: no decision waits for it. What it signs is durable after the records that it signs. How far the clock is
//! believed outlives a restart: the store says where it was, and for how long it is doubted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::{AuditError, Inner, Services};
use crate::{
    audit::{DeviceKey, Head, Purpose, Signed, place},
    clock::Timestamp,
    store::{Change, StoreError, Table},
};

/// How often it looks whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks for records whose time is over.
const CUT: Duration = Duration::from_secs(3600);
/// A clock that is so far ahead of where it was at once is not believed about anybody's age, for so long.
const LEAP: Duration = Duration::from_secs(31 * 86_400);
const DISBELIEF: Duration = Duration::from_secs(7 * 86_400);
/// Signed heads of its own that a box keeps.
const HEADS: usize = 4096;
/// Under this key of [`Table::About`] lies how far the clock is believed.
const BELIEF: &[u8] = b"clock-belief";

/// How the audit is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// How long a record is kept; all are without it.
    pub keep: Option<Duration>,
    /// Records after which the head is signed.
    pub sign_records: u64,
    /// How long after the last signature it is signed when there was a record since.
    pub sign_after: Duration,
    /// Where it is forwarded to, by name: what one of them has not confirmed is not deleted.
    pub destinations: Vec<String>,
}

/// The thread, and what ends it.
#[derive(Default)]
pub(super) struct Keeper(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

impl Services {
    /// Signs with this key from now on, and keeps the audit so. Only the first time counts.
    pub fn keep_audit(&self, device: DeviceKey, settings: AuditSettings) {
        let inner = &self.inner;
        if inner.store.is_earlier() {
            return info!("the store has the format of the version before: its audit is not signed yet");
        }
        if inner.auditing.device.set(device).is_err() {
            return;
        }
        let (stop, stopped) = channel();
        let weak = Arc::downgrade(inner);
        let work = move || {
            let mut state = State::new();
            // Nobody may be there any more: this thread does not keep the services.
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(inner) = weak.upgrade() else { return };
                inner.look_after_audit(&settings, &mut state);
            }
        };
        match thread::Builder::new().name("audit".to_owned()).spawn(work) {
            Ok(thread) => {
                let mut keeper = inner.auditing.keeper.0.lock().unwrap_or_else(PoisonError::into_inner);
                *keeper = Some((stop, thread));
            }
            Err(why) => error!(%why, "the audit is not signed"),
        }
    }

    /// The box stops: what runs on the audit ends, and its head is signed.
    pub fn end_audit(&self) {
        self.end_audit_check();
        let inner = &self.inner;
        let keeper = inner.auditing.keeper.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((stop, thread)) = keeper else { return };
        drop(stop);
        if thread.join().is_err() {
            error!("the keeper of the audit ended with a panic");
        }
        if let Err(why) = inner.sign_head() {
            warn!(%why, "the last head of the audit is not signed");
        }
    }
}

/// What the keeper knows from one look to the next.
struct State {
    /// The last record that is signed, and how long ago that was.
    signed: u64,
    since_signed: Duration,
    since_cut: Duration,
    /// Once the store could be asked for it.
    clock: Option<Belief>,
}

impl State {
    fn new() -> Self {
        // The first look that can signs and cuts.
        Self { signed: 0, since_signed: Duration::ZERO, since_cut: CUT, clock: None }
    }
}

/// Whether the clock is believed: one that leaps ahead would make every record old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Belief {
    /// What it showed last.
    last: Timestamp,
    /// For how long it is doubted yet.
    doubted_seconds: u64,
}

impl Belief {
    fn new(last: Timestamp) -> Self {
        Self { last, doubted_seconds: 0 }
    }

    /// Whether it is, `passed` after it was asked last.
    fn holds(&mut self, now: Timestamp, passed: Duration) -> bool {
        if now.since(self.last) > LEAP {
            self.doubted_seconds = DISBELIEF.as_secs();
        } else {
            self.doubted_seconds = self.doubted_seconds.saturating_sub(passed.as_secs());
        }
        self.last = now;
        self.doubted_seconds == 0
    }
}

impl Inner {
    fn look_after_audit(&self, settings: &AuditSettings, state: &mut State) {
        state.since_signed += LOOK;
        state.since_cut += LOOK;
        let number = self.head_number();
        let due = number - state.signed.min(number);
        if due >= settings.sign_records || (due > 0 && state.since_signed >= settings.sign_after) {
            match self.sign_head() {
                Ok(signed) => state.signed = signed,
                Err(why) => warn!(%why, "the head of the audit is not signed; it is tried again"),
            }
            state.since_signed = Duration::ZERO;
        }
        // What rests on the index waits for it.
        if self.store.progress().is_some() {
            return;
        }
        let now = self.clock.now();
        if state.clock.is_none() {
            match self.belief() {
                Ok(belief) => state.clock = Some(belief),
                Err(why) => {
                    return warn!(%why, "how far the clock is believed cannot be read; it is tried again");
                }
            }
        }
        let Some(clock) = &mut state.clock else { return };
        let doubted = clock.doubted_seconds;
        let believed = clock.holds(now, LOOK);
        if clock.doubted_seconds <= doubted && state.since_cut < CUT {
            return;
        }
        if let Err(why) = self.keep_belief(clock) {
            warn!(%why, "how far the clock is believed is not kept, and no record is deleted; it is tried again");
            return;
        }
        if state.since_cut < CUT {
            return;
        }
        state.since_cut = Duration::ZERO;
        if let Err(why) = self.thin_heads() {
            warn!(%why, "old signed heads are not deleted; it is tried again");
        }
        let Some(keep) = settings.keep else { return };
        if !believed {
            return warn!("the clock leapt ahead: for a week no record is deleted for its age");
        }
        let before = Timestamp::from_millis(now.millis().saturating_sub(keep.as_millis() as u64));
        match self.cut_audit(before, &settings.destinations) {
            Ok(0) => {}
            Ok(through) => info!(through, "the audit is kept from the record after this one on"),
            Err(why @ AuditError::Chain(_)) => error!(%why, "nothing of the audit is deleted"),
            Err(why) => warn!(%why, "records whose time is over are not deleted; it is tried again"),
        }
    }

    /// Signs the head of the audit and keeps that; gives the record's number.
    pub(super) fn sign_head(&self) -> Result<u64, StoreError> {
        let Some(device) = self.auditing.device.get() else { return Ok(0) };
        loop {
            let (head, epoch) = {
                let chain = self.chain_now()?;
                (chain.head.clone(), chain.epoch)
            };
            if head == Head::none() {
                return Ok(0);
            }
            let signed = device.sign(Purpose::Head, self.store.id(), &head, self.clock.now(), None);
            // It rests on the records before it: it is kept when they are.
            let kept =
                self.store.submit(vec![signed.change()?], epoch).and_then(|ticket| self.store.wait(&ticket));
            match kept {
                Err(StoreError::Superseded) => {}
                Ok(()) => return Ok(head.number()),
                Err(why) => return Err(why),
            }
        }
    }

    /// Deletes the oldest of its own heads, when there are very many: a later one says what they did.
    fn thin_heads(&self) -> Result<(), StoreError> {
        let own = self.store.id();
        let heads = Signed::heads_of(self.store.as_ref(), own)?;
        let gone = heads.len().saturating_sub(HEADS);
        let keys = heads.iter().take(gone).map(|kept| place(own, kept.under));
        let changes: Vec<_> = keys.map(|key| Change::Delete { table: Table::Heads, key }).collect();
        if changes.is_empty() { Ok(()) } else { self.store.commit(&changes) }
    }

    /// How far the clock was believed when that was kept last; before that ever was, as far as the last record says.
    fn belief(&self) -> Result<Belief, StoreError> {
        let kept = self.store.get(Table::About, BELIEF)?;
        let read = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
        Ok(read.unwrap_or_else(|| Belief::new(self.last_record().unwrap_or_else(|| self.clock.now()))))
    }

    fn keep_belief(&self, belief: &Belief) -> Result<(), StoreError> {
        let value = serde_json::to_vec(belief).map_err(|why| StoreError::Io(why.to_string()))?;
        self.store.commit(&[Change::Put { table: Table::About, key: BELIEF.to_vec(), value }])
    }

    /// When the last record was written.
    fn last_record(&self) -> Option<Timestamp> {
        let (_, bytes) = self.store.last(Table::Audit).ok()??;
        Some(serde_json::from_slice::<crate::audit::Record>(&bytes).ok()?.at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;
    use crate::{
        audit::Event,
        clock::Clock,
        policy::Policy,
        services::this_box,
        store::{MemoryStore, Store},
    };

    #[test]
    fn a_clock_that_leaps_ahead_is_doubted_for_a_week_and_one_that_runs_is_not() {
        let day = Duration::from_secs(86_400);
        let at = |days: u64| Timestamp::from_millis(days * 86_400_000);
        let mut belief = Belief::new(at(1000));
        assert!(belief.holds(at(1020), LOOK), "it was off for three weeks");
        assert!(!belief.holds(at(4670), LOOK), "ten years at once");
        assert!(!belief.holds(at(4676), day * 6), "and it stays ahead");
        assert!(belief.holds(at(4677), day));
        assert!(belief.holds(at(1030), LOOK), "back again makes nothing older");
    }

    /// A clock that the test sets.
    #[derive(Default)]
    struct Wall(AtomicU64);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn a_leap_of_the_clock_is_doubted_after_a_restart_too_and_no_record_is_cut() {
        let day = 86_400_000;
        let store = Arc::new(MemoryStore::new());
        let wall = Arc::new(Wall(AtomicU64::new(20_000 * day)));
        let settings = AuditSettings {
            keep: Some(Duration::from_secs(730 * 86_400)),
            sign_records: 1000,
            sign_after: Duration::from_secs(600),
            destinations: Vec::new(),
        };
        // Each is a start.
        let start = || {
            let services =
                Services::open(store.clone(), Policy::default(), Arc::<Wall>::clone(&wall)).unwrap();
            let _ = services
                .inner
                .auditing
                .device
                .set(DeviceKey::new(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()));
            services
        };
        let look = |services: &Services| {
            let mut state = State::new();
            services.inner.look_after_audit(&settings, &mut state);
            state.clock.unwrap().doubted_seconds
        };
        let first = || Head::start_of(store.as_ref(), store.id()).unwrap().number();
        let by = this_box();
        let services = start();
        for _ in 0..3 {
            services.inner.commit(&by, &[], &Event::StoreCompacted).unwrap();
        }
        assert_eq!(look(&services), 0);
        drop(services);
        // The clock leaps while the box is off, and the records of the start have its stamp.
        wall.0.store(24_000 * day, Ordering::SeqCst);
        let services = start();
        services.inner.commit(&by, &[], &Event::StoreCompacted).unwrap();
        assert_eq!(look(&services), DISBELIEF.as_secs());
        drop(services);
        for _ in 0..2 {
            let services = start();
            assert!(look(&services) > 0, "a restart ends no doubt");
            assert_eq!(first(), 0, "nothing is cut");
        }
        let believed = Belief { last: wall.now(), doubted_seconds: 0 };
        let services = start();
        services.inner.keep_belief(&believed).unwrap();
        assert_eq!(look(&services), 0);
        assert!(first() > 0, "what is old when the doubt is over is cut");
    }
}
