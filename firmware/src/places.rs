//! How many connections there may be: in all, and from one address.
//!
//! Invariant: a place is given back when it is dropped, and an address that holds none costs no memory.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// The places of one transport. Those of an address count on every transport together.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each: usize,
}

/// A place among all; whose it is, is not known yet.
pub(crate) struct Free(OwnedSemaphorePermit);

/// A connection's place.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of(limits.connections, limits.connections_per_address)
    }

    /// So many in all, of which an address may hold so many.
    pub(crate) fn of(connections: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(connections)), addresses: Arc::default(), each }
    }

    /// As many again for another transport.
    pub(crate) fn beside(&self, limits: &Limits) -> Self {
        Self { all: Arc::new(Semaphore::new(limits.connections)), ..self.clone() }
    }

    /// Waits for a place; `None` when there will be none any more.
    pub(crate) async fn free(&self) -> Option<Free> {
        Arc::clone(&self.all).acquire_owned().await.ok().map(Free)
    }

    /// A place, if one is free now.
    pub(crate) fn free_now(&self) -> Option<Free> {
        Arc::clone(&self.all).try_acquire_owned().ok().map(Free)
    }

    /// Gives a place to an address, unless it holds as many as it may.
    pub(crate) fn give(&self, free: Free, peer: IpAddr) -> Option<Place> {
        let address = network(peer);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let held = addresses.entry(address).or_insert(0);
        if *held >= self.each {
            return None;
        }
        *held += 1;
        drop(addresses);
        Some(Place { _all: free.0, addresses: Arc::clone(&self.addresses), address })
    }

    /// Whether an address holds so many that it is to show first that it is there.
    pub(crate) fn crowded(&self, peer: IpAddr) -> bool {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.get(&network(peer)).is_some_and(|held| 2 * held >= self.each)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = addresses.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: with IPv6 the /64, of which anybody on a network has all addresses.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places, peer: &str) -> Option<Place> {
        places.give(places.free_now()?, peer.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_all_places_and_gets_its_own_back() {
        let places = Places::of(3, 2);
        let first = take(&places, "192.0.2.1").unwrap();
        let _second = take(&places, "::ffff:192.0.2.1").unwrap();
        assert!(take(&places, "192.0.2.1").is_none());
        let _other = take(&places, "192.0.2.2").unwrap();
        assert!(take(&places, "192.0.2.3").is_none(), "there are three in all");
        drop(first);
        assert!(take(&places, "192.0.2.1").is_some());
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one() {
        let places = Places::of(9, 1);
        let _first = take(&places, "2001:db8:0:1::1").unwrap();
        assert!(take(&places, "2001:db8:0:1:ffff::2").is_none());
        assert!(take(&places, "2001:db8:0:2::1").is_some());
    }

    #[test]
    fn both_transports_have_all_places_and_an_address_has_its_own_once() {
        let limits = Limits { connections: 2, connections_per_address: 2, ..Limits::default() };
        let tcp = Places::new(&limits);
        let quic = tcp.beside(&limits);
        let _held = (take(&tcp, "192.0.2.1").unwrap(), take(&quic, "192.0.2.1").unwrap());
        assert!(take(&quic, "192.0.2.1").is_none());
        let _more = (take(&tcp, "192.0.2.2").unwrap(), take(&quic, "192.0.2.2").unwrap());
        assert!(tcp.free_now().is_none() && quic.free_now().is_none());
    }

    #[test]
    fn an_address_that_has_gone_is_forgotten() {
        let places = Places::of(9, 2);
        assert!(!places.crowded("192.0.2.1".parse().unwrap()));
        let held = take(&places, "192.0.2.1").unwrap();
        assert!(places.crowded("192.0.2.1".parse().unwrap()));
        drop(held);
        assert_eq!(places.addresses.lock().unwrap().len(), 0);
    }
}
