//! What `serve` does with the store: opens it, brings it to this version's format when no earlier version needs
//! it any more, or waits for its passphrase.

use std::sync::Arc;

use authenteon_hal::clock::SystemClock as MonotonicClock;
use tracing::{error, info, warn};

use super::exit::Failure;
use crate::{
    claim::{Console, Device},
    clock::SystemClock,
    config::{Config, StoreSection},
    lock::{Lock, UnlockError},
    policy::Policy,
    services::{OpenError, Services},
    store::{Opened, Opening, Store, StoreError},
    update::{boot::Boot, link::Link, protocol::Request},
};

/// Values of a store whose migration is over before anybody asks how far it is.
const SOON: u64 = 10_000;

/// Where the store and its master key are.
pub(super) fn place(section: &StoreSection) -> Opening {
    Opening::new(&section.folder)
        .with_master_key(section.master_key.clone())
        .with_tpm(section.tpm.tpm(std::env::var("TCTI").ok()))
}

/// Opens the store and the services on it, or a lock that does.
pub(super) fn open(config: &Config, policy: Policy) -> Result<Lock, Failure> {
    let opening = place(&config.store)
        .with_ballast(config.store.ballast)
        .holding(config.store.hold_format || on_trial(config));
    let console = config.claim.as_ref().and_then(|claim| claim.console.clone()).map(Device);
    let say = |text: String| {
        if let Some(Err(why)) = console.as_ref().map(|console| console.show(&text)) {
            error!(%why, "the console does not take what is going on");
        }
    };
    let mut shown = 0;
    let mut tell = |done: u64, all: u64| {
        let tenths = done * 10 / all.max(1);
        if all >= SOON && tenths > shown {
            shown = tenths;
            info!(done, all, "encrypting the store");
            say(format!("authenteon: encrypting the store: {} %\n", tenths * 10));
        }
    };
    let opened = match opening.open(&mut tell) {
        Ok(opened) => opened,
        Err(why) => return broken(config, why.into()),
    };
    match opened {
        Opened::Ready(store) => services(store, &policy).map(Lock::open).or_else(|why| broken(config, why)),
        Opened::Earlier(store) => services(store, &policy).map(Lock::open).or_else(|why| broken(config, why)),
        Opened::Locked(locked) => {
            warn!(
                "the store waits for its passphrase; nothing else is served until an administrator gives it"
            );
            say("\nauthenteon: LOCKED: it waits for its passphrase. An administrator gives it with:\n  \
                 authenteonctl unlock\n"
                .to_owned());
            let open = move |passphrase: &str| -> Result<Services, UnlockError> {
                Ok(services(locked.unlock(passphrase)?, &policy)?)
            };
            Ok(Lock::locked(open, Arc::new(MonotonicClock::new())))
        }
    }
}

/// A box that says what is wrong with what it stores, and serves nothing of it. What a new start may help against is
/// left to whoever starts this program.
fn broken(config: &Config, why: OpenError) -> Result<Lock, Failure> {
    if !is_of_the_data(&why) {
        return Err(why.into());
    }
    tell_of(config, &why);
    Ok(Lock::broken(why))
}

/// Says in the log and on the console why nothing is served.
pub(super) fn tell_of(config: &Config, why: &OpenError) {
    error!(%why, "nothing of what is stored is served");
    let Some(path) = config.claim.as_ref().and_then(|claim| claim.console.clone()) else { return };
    if let Err(why) = Device(path).show(&format!("authenteon: FAILED, nothing is served: {why}\n")) {
        error!(%why, "the console does not take why");
    }
}

/// Whether the data themselves are the reason, so that nothing but a person helps.
fn is_of_the_data(why: &OpenError) -> bool {
    match why {
        OpenError::Audit(_) | OpenError::Template(_) => true,
        OpenError::Store(why) => matches!(
            why,
            StoreError::Damaged { .. }
                | StoreError::Foreign { .. }
                | StoreError::Behind { .. }
                | StoreError::Newer { .. }
        ),
    }
}

fn services(store: Box<dyn Store>, policy: &Policy) -> Result<Services, OpenError> {
    let services = Services::open(Arc::from(store), policy.clone(), Arc::new(SystemClock))?;
    let counts = services.counts();
    info!(fingers = counts.fingers, impressions = counts.impressions, "store open");
    Ok(services)
}

/// Whether this version may still be given up for the one before, which has to read the store then.
fn on_trial(config: &Config) -> bool {
    let Some(update) = &config.update else { return false };
    let boot = update.boot.as_deref().map(Boot::read);
    if !matches!(boot, Some(Ok(Boot { trial: true, .. }))) {
        return false;
    }
    // What init wrote stays true until the next start of the machine; the agent knows whether it was kept since.
    match Link::new(update.agent.clone()).ask(&Request::Status {}, &mut |_| {}) {
        Ok(status) => status.trial,
        Err(why) => {
            info!(%why, "the update agent does not say yet whether this version is kept");
            true
        }
    }
}
