//! Who may have how many bodies in memory at a time.
//!
//! Invariant: nobody holds or waits for the places of others: each has a share of his own, and waits no longer than he is told
//! to. Who holds none costs no memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{places::network, request::ClientId};

/// Whose share it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// Somebody who is known.
    Caller(ClientId),
    /// Strangers, by the network that they come from.
    Network(IpAddr),
}

impl Whose {
    /// A stranger's.
    pub(crate) fn stranger(from: IpAddr) -> Self {
        Self::Network(network(from))
    }
}

/// The places, of which each may hold so many.
pub(crate) struct Shares {
    all: Arc<Semaphore>,
    each: usize,
    by: Mutex<HashMap<Whose, Weak<Semaphore>>>,
}

/// A part of somebody's share. It is no place yet.
pub(crate) struct Part {
    _own: OwnedSemaphorePermit,
}

/// A place; given back when it is dropped.
pub(crate) struct Place {
    _part: Part,
    _all: OwnedSemaphorePermit,
}

impl Shares {
    pub(crate) fn new(places: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(places)), each, by: Mutex::default() }
    }

    /// A part of a share, as soon as its owner has one left; `None` when that takes too long.
    pub(crate) async fn part(&self, of: Whose, within: Duration) -> Option<Part> {
        let own = {
            let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
            let found = by.get(&of).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                by.retain(|_, own| own.strong_count() > 0);
                let own = Arc::new(Semaphore::new(self.each));
                by.insert(of, Arc::downgrade(&own));
                own
            })
        };
        timeout(within, own.acquire_owned()).await.ok()?.ok().map(|own| Part { _own: own })
    }

    /// A place for it; `None` when that takes too long.
    pub(crate) async fn place(&self, part: Part, within: Duration) -> Option<Place> {
        let all = timeout(within, Arc::clone(&self.all).acquire_owned()).await.ok()?.ok()?;
        Some(Place { _part: part, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn stranger(from: &str) -> Whose {
        Whose::stranger(from.parse().unwrap())
    }

    async fn take(shares: &Shares, whose: Whose) -> Option<Place> {
        let part = shares.part(whose, SOON).await?;
        shares.place(part, SOON).await
    }

    #[tokio::test]
    async fn one_who_holds_his_share_waits_for_himself_and_others_do_not() {
        let shares = Shares::new(3, 2);
        let (_first, second) =
            (take(&shares, stranger("192.0.2.1")).await, take(&shares, stranger("192.0.2.1")).await);
        assert!(second.is_some() && take(&shares, stranger("::ffff:192.0.2.1")).await.is_none());
        let _other = take(&shares, stranger("192.0.2.2")).await.unwrap();
        assert!(
            take(&shares, stranger("192.0.2.3")).await.is_none(),
            "there are three, and no wait is without end"
        );
        drop(second);
        let known = Whose::Caller(ClientId::of_certificate(&[1; 32]));
        assert!(take(&shares, known).await.is_some());
    }

    #[tokio::test]
    async fn a_part_alone_takes_no_place_from_anybody() {
        let shares = Shares::new(1, 1);
        let _slow = shares.part(stranger("192.0.2.1"), SOON).await.unwrap();
        assert!(take(&shares, stranger("192.0.2.2")).await.is_some());
    }

    #[tokio::test]
    async fn whoever_has_gone_is_forgotten() {
        let shares = Shares::new(2, 1);
        for n in 0..1000_u32 {
            drop(take(&shares, Whose::stranger(IpAddr::V4(n.into()))).await.unwrap());
        }
        assert!(shares.by.lock().unwrap().len() <= 1);
    }
}
