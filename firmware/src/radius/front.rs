//! From a packet to its answer, whatever brought it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::warn;

use super::{
    clients::{Client, Clients},
    desk::{Desk, Outcome},
    once::{self, Known, Name, Once},
    packet::Packet,
    push::Pending,
    request::{Ignored, Request},
    seal::Secret,
};
use crate::clock::{Clock, SystemClock};

/// Requests that are worked on at a time, the waiting ones among them.
const MOST: usize = 64;
/// What is wrong with the same client is said so often.
const AGAIN: Duration = Duration::from_secs(60);

/// Where packets come in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Front(Arc<Inner>);

struct Inner {
    clients: Clients,
    desk: Desk,
    once: Once,
    pending: Pending,
    places: Arc<Semaphore>,
    /// What is done beside those who listen; nothing any more once RADIUS has ended.
    beside: Mutex<Option<JoinSet<()>>>,
    /// When it was said last what is wrong with whom.
    said: Mutex<HashMap<(String, String), Duration>>,
}

/// What is to be done with a packet.
pub(super) enum Taken {
    /// Nothing.
    Nothing,
    /// It is answered so, again.
    Again(Vec<u8>),
    /// It is to be worked on.
    Work(Box<Work>),
}

/// A request that is worked on.
pub(super) struct Work {
    client: Client,
    from: IpAddr,
    request: Request,
    name: Name,
    _place: OwnedSemaphorePermit,
}

impl Front {
    pub(super) fn new(clients: Clients, desk: Desk) -> Self {
        let places = Arc::new(Semaphore::new(MOST));
        let (once, pending, said) = (Once::default(), Pending::default(), Mutex::default());
        let beside = Mutex::new(Some(JoinSet::new()));
        Self(Arc::new(Inner { clients, desk, once, pending, places, beside, said }))
    }

    /// Does something beside whoever listens, until RADIUS ends.
    pub(super) fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.0.beside.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(work);
        }
    }

    /// Ends all of that.
    pub(super) async fn end(&self) {
        let tasks = self.0.beside.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.0.clients
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.0.desk.count.radius(outcome);
    }

    /// Looks at a packet of a client.
    pub(super) fn take(&self, (client, secret): (&Client, &Secret), from: IpAddr, packet: &[u8]) -> Taken {
        let request = Packet::read(packet).map_err(Ignored::from).and_then(|read| Request::new(read, secret));
        let request = match request {
            Ok(request) => request,
            Err(why) => {
                self.complain(client.name.as_str(), &why.to_string(), from);
                self.count(match why {
                    Ignored::Unproved(_) => Outcome::Unproved,
                    Ignored::Malformed(_) | Ignored::Kind => Outcome::Malformed,
                });
                return Taken::Nothing;
            }
        };
        // One that comes again takes no place, and is answered though all are taken.
        let name = once::name(client, &request.bytes());
        match self.0.once.begin(&name, SystemClock.running()) {
            Known::New => {}
            known => {
                self.count(Outcome::Repeated);
                return if let Known::Answered(answer) = known {
                    Taken::Again(answer)
                } else {
                    Taken::Nothing
                };
            }
        }
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            self.count(Outcome::Unanswered);
            // Later there may be one.
            self.0.once.end(&name, None, SystemClock.running());
            return Taken::Nothing;
        };
        Taken::Work(Box::new(Work { client: client.clone(), from, request, name, _place: place }))
    }

    /// Works on a request: the bytes of its answer, if it has one.
    pub(super) async fn work(&self, work: Work) -> Option<Vec<u8>> {
        let Inner { desk, once, pending, .. } = &*self.0;
        let answer = desk.answer((&work.client, work.from), &work.request, pending).await.ok();
        if answer.is_none() {
            self.count(Outcome::Unanswered);
        }
        once.end(&work.name, answer.as_deref(), SystemClock.running());
        answer
    }

    /// Says what is wrong with whom, and not too often.
    pub(super) fn complain(&self, client: &str, why: &str, from: IpAddr) {
        let now = SystemClock.running();
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (client.to_owned(), why.to_owned());
        if said.get(&of).is_none_or(|last| now.saturating_sub(*last) > AGAIN) {
            said.retain(|_, last| now.saturating_sub(*last) <= AGAIN);
            said.insert(of, now);
            warn!(client, %from, why, "a packet of RADIUS is not answered");
        }
    }
}
