//! How often strangers try to come in, by the address that they come from.
//!
//! Invariant: nobody's attempts use up those of another address, and memory is bounded; who has many addresses gets many
//! attempts, so what they guess at must not rest on this.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use authenteon_hal::clock::{Clock, SystemClock};

use crate::places::network;

/// Attempts of one address in [`WINDOW`].
const ATTEMPTS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// The attempts of the last minute.
#[derive(Default)]
pub(crate) struct Attempts {
    clock: SystemClock,
    /// When the first of them was, and how many there are.
    by: Mutex<BTreeMap<IpAddr, (Duration, u32)>>,
}

impl Attempts {
    /// Counts an attempt.
    ///
    /// # Errors
    /// It is one too many: how long to wait.
    pub(crate) fn admit(&self, from: IpAddr) -> Result<(), Duration> {
        self.admit_at(from, self.clock.now())
    }

    fn admit_at(&self, from: IpAddr, now: Duration) -> Result<(), Duration> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let from = network(from);
        if by.len() >= ADDRESSES && !by.contains_key(&from) {
            by.retain(|_, (first, _)| now.saturating_sub(*first) < WINDOW);
            if by.len() >= ADDRESSES {
                let first = by.iter().min_by_key(|(_, (first, _))| *first).map(|(address, _)| *address);
                first.map(|address| by.remove(&address));
            }
        }
        let (first, count) = by.entry(from).or_insert((now, 0));
        if now.saturating_sub(*first) >= WINDOW {
            (*first, *count) = (now, 0);
        }
        if *count >= ATTEMPTS {
            return Err(WINDOW.saturating_sub(now.saturating_sub(*first)));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_tries_too_often_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let (one, two) = (address("2001:db8::1"), address("2001:db8:0:1::1"));
        let at = Duration::from_secs;
        for _ in 0..ATTEMPTS {
            assert_eq!(attempts.admit_at(one, at(10)), Ok(()));
        }
        assert_eq!(attempts.admit_at(address("2001:db8::2"), at(30)), Err(at(40)), "the same network");
        assert_eq!(attempts.admit_at(two, at(30)), Ok(()));
        assert_eq!(attempts.admit_at(one, at(70)), Ok(()));
    }

    #[test]
    fn no_number_of_addresses_fills_the_memory() {
        let attempts = Attempts::default();
        for n in 0..3 * ADDRESSES as u32 {
            assert_eq!(attempts.admit_at(IpAddr::V4(n.into()), Duration::from_millis(n.into())), Ok(()));
        }
        assert_eq!(attempts.by.lock().unwrap().len(), ADDRESSES);
    }
}
