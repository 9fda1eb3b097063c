//! A box whose store waits for its passphrase, and what becomes of it: the services, once, when they are open.
//!
//! Invariant: until the passphrase is given there are no services, so nothing of what is stored can be asked
//! for; one passphrase is tried at a time, and every wrong one makes the next wait longer.

use std::{
    sync::{Arc, Mutex, PoisonError, TryLockError},
    time::Duration,
};

use authenteon_hal::clock::Clock;
use tokio::sync::SetOnce;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::{
    audit::Event,
    request::Caller,
    services::{OpenError, Services},
    store::KeyError,
};

/// Wrong passphrases that cost nothing: people mistype.
const FREE: u32 = 3;
/// What the first one after them costs; each costs twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Why a box stays locked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// It is not.
    #[error("the box is not locked")]
    NotLocked,
    /// Somebody else tries one, or the last wrong one was too short a time ago.
    #[error("wait {} seconds before the next attempt", .0.as_secs().max(1))]
    Wait(Duration),
    /// The passphrase is another one, or the store failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store is open, and what is in it cannot be served.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What opens the services with a passphrase.
type Opener = dyn Fn(&str) -> Result<Services, UnlockError> + Send + Sync;

/// The services, or what they wait for. Cheap to clone.
#[derive(Clone)]
pub struct Lock {
    outcome: Arc<SetOnce<Result<Services, OpenError>>>,
    waiting: Option<Arc<Waiting>>,
}

struct Waiting {
    open: Box<Opener>,
    clock: Arc<dyn Clock>,
    /// Held while one is tried.
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    wrong: u32,
    next: Duration,
}

impl Attempts {
    /// What there is still to wait at the moment `now`.
    fn wait(&self, now: Duration) -> Option<Duration> {
        self.next.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn count(&mut self, now: Duration) {
        self.wrong += 1;
        if let Some(over) = self.wrong.checked_sub(FREE + 1) {
            self.next = now + LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(over.min(20)));
        }
    }
}

impl Lock {
    /// A box that is not locked.
    #[must_use]
    pub fn open(services: Services) -> Self {
        Self { outcome: Arc::new(SetOnce::new_with(Some(Ok(services)))), waiting: None }
    }

    /// A box whose services cannot be opened, and why.
    #[must_use]
    pub fn broken(why: OpenError) -> Self {
        Self { outcome: Arc::new(SetOnce::new_with(Some(Err(why)))), waiting: None }
    }

    /// A box that is, and is opened so.
    #[must_use]
    pub fn locked(
        open: impl Fn(&str) -> Result<Services, UnlockError> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let waiting = Waiting { open: Box::new(open), clock, attempts: Mutex::default() };
        Self { outcome: Arc::new(SetOnce::new()), waiting: Some(Arc::new(waiting)) }
    }

    /// The services, once there are any.
    #[must_use]
    pub fn services(&self) -> Option<&Services> {
        self.outcome.get().and_then(|outcome| outcome.as_ref().ok())
    }

    /// Waits until there are services, or there will be none.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn opened(&self) -> Result<&Services, OpenError> {
        self.outcome.wait().await.as_ref().map_err(Clone::clone)
    }

    /// Why there will be no services, once that is known.
    #[must_use]
    pub fn failed(&self) -> Option<OpenError> {
        self.outcome.get().and_then(|outcome| outcome.as_ref().err().cloned())
    }

    /// Tries a passphrase; takes seconds. What it opens is served from then on.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn unlock(&self, by: &Caller, passphrase: &Zeroizing<String>) -> Result<(), UnlockError> {
        let waiting = self.waiting.as_ref().ok_or(UnlockError::NotLocked)?;
        let mut attempts = match waiting.attempts.try_lock() {
            Ok(attempts) => attempts,
            Err(TryLockError::Poisoned(attempts)) => PoisonError::into_inner(attempts),
            Err(TryLockError::WouldBlock) => return Err(UnlockError::Wait(FIRST_WAIT)),
        };
        if self.outcome.initialized() {
            return Err(UnlockError::NotLocked);
        }
        if let Some(wait) = attempts.wait(waiting.clock.now()) {
            return Err(UnlockError::Wait(wait));
        }
        match (waiting.open)(passphrase) {
            Ok(services) => {
                if let Err(why) = services.note(by, Event::Unlocked { wrong: attempts.wrong }) {
                    error!(%why, "that the box was unlocked is not in the audit");
                }
                info!(by = by.id.brief(), wrong = attempts.wrong, "unlocked");
                // Nobody else sets it: the attempts are held.
                let _ = self.outcome.set(Ok(services));
                Ok(())
            }
            Err(UnlockError::Open(why)) => {
                let _ = self.outcome.set(Err(why.clone()));
                Err(why.into())
            }
            Err(why) => {
                if why == UnlockError::Key(KeyError::Wrong) {
                    attempts.count(waiting.clock.now());
                    warn!(by = by.id.brief(), wrong = attempts.wrong, "a wrong passphrase");
                }
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SystemClock,
        policy::Policy,
        request::{ClientId, Role},
        store::MemoryStore,
    };
    use authenteon_hal::clock::VirtualClock;

    fn caller() -> Caller {
        Caller::new(ClientId::of_certificate(&[7; 32]), Role::Administrator, "boss".into())
    }

    fn locked() -> (Lock, Arc<VirtualClock>) {
        let clock = Arc::new(VirtualClock::new());
        let open = |passphrase: &str| match passphrase {
            "right" => {
                let store = Arc::new(MemoryStore::new());
                Ok(Services::open(store, Policy::default(), Arc::new(SystemClock))?)
            }
            _ => Err(UnlockError::Key(KeyError::Wrong)),
        };
        (Lock::locked(open, Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn attempt(lock: &Lock, passphrase: &str) -> Result<(), UnlockError> {
        lock.unlock(&caller(), &Zeroizing::new(passphrase.to_owned()))
    }

    #[test]
    fn the_right_passphrase_opens_the_services_once() {
        let (lock, _) = locked();
        assert!(lock.services().is_none());
        assert_eq!(attempt(&lock, "wrong"), Err(UnlockError::Key(KeyError::Wrong)));
        assert!(lock.services().is_none());
        attempt(&lock, "right").unwrap();
        assert!(lock.services().is_some());
        assert_eq!(attempt(&lock, "right"), Err(UnlockError::NotLocked));
    }

    #[test]
    fn wrong_passphrases_make_the_right_one_wait_too_and_longer_each_time() {
        let (lock, clock) = locked();
        let wrong = Err(UnlockError::Key(KeyError::Wrong));
        for _ in 0..=FREE {
            assert_eq!(attempt(&lock, "wrong"), wrong);
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let wait = Duration::from_secs(wait);
            assert_eq!(attempt(&lock, "right"), Err(UnlockError::Wait(wait)));
            clock.sleep(wait);
            assert_eq!(attempt(&lock, "wrong"), wrong);
        }
        clock.sleep(LONGEST_WAIT);
        attempt(&lock, "right").unwrap();
    }

    #[test]
    fn a_box_that_is_not_locked_tries_nothing() {
        let store = Arc::new(MemoryStore::new());
        let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
        assert_eq!(attempt(&Lock::open(services), "right"), Err(UnlockError::NotLocked));
    }
}
