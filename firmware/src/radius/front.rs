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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lock::Lock,
        policy::{Decision, Policy},
        radius::{
            clients::{Mode, Network},
            desk::Count,
            packet::Code,
        },
        sensors::Sensors,
        services::Services,
        store::MemoryStore,
    };

    #[derive(Default)]
    struct Counted(Mutex<Vec<Outcome>>);

    impl Count for Counted {
        fn radius(&self, outcome: Outcome) {
            self.0.lock().unwrap().push(outcome);
        }

        fn verified(&self, _: &Decision) {}
    }

    fn secret() -> Secret {
        Secret::try_from("0123456789abcdef").unwrap()
    }

    fn client() -> Client {
        Client {
            name: "vpn".to_owned().try_into().unwrap(),
            plain: Some((vec!["192.0.2.7".parse::<Network>().unwrap()], secret())),
            certificate_name: None,
            mode: Mode::Code,
        }
    }

    fn front() -> (Front, Arc<Counted>) {
        let services =
            Services::open(Arc::new(MemoryStore::new()), Policy::default(), Arc::new(SystemClock)).unwrap();
        let counted = Arc::new(Counted::default());
        let desk = Desk {
            lock: Lock::open(services),
            claim: None,
            sensors: Sensors::none(),
            cores: Arc::new(Semaphore::new(1)),
            count: counted.clone(),
        };
        (Front::new(Clients(vec![client()]), desk), counted)
    }

    /// A question whether anybody is there.
    fn question(identifier: u8) -> Vec<u8> {
        let blank =
            Packet { code: Code::StatusServer, identifier, authenticator: [4; 16], attributes: vec![] };
        // What proves an answer proves a request, once the request's authenticator stands in it.
        let proved = Packet::read(&secret().answer(&blank, blank.code, vec![])).unwrap();
        Packet { authenticator: blank.authenticator, ..proved }.write()
    }

    #[tokio::test]
    async fn a_packet_that_comes_again_takes_no_place_and_one_that_finds_none_may_come_again() {
        let (front, counted) = front();
        let (of, secret) = (client(), secret());
        let take = |identifier| front.take((&of, &secret), [192, 0, 2, 7].into(), &question(identifier));
        let Taken::Work(work) = take(1) else { unreachable!("it is new") };
        let answer = front.work(*work).await.unwrap();
        let all = Arc::clone(&front.0.places).try_acquire_many_owned(64).unwrap();
        assert!(matches!(take(1), Taken::Again(again) if again == answer), "though there is no place");
        assert!(matches!(take(2), Taken::Nothing));
        drop(all);
        assert!(matches!(take(2), Taken::Work(_)), "it was not answered");
        let counted = counted.0.lock().unwrap().clone();
        assert_eq!(counted, [Outcome::Status, Outcome::Repeated, Outcome::Unanswered]);
    }

    #[tokio::test]
    async fn what_is_done_beside_ends_with_radius_and_nothing_begins_after() {
        let (front, _) = front();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        front.beside(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        front.end().await;
        assert_eq!(Arc::strong_count(&alive), 1);
        let held = Arc::clone(&alive);
        front.beside(async move { drop(held) });
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
