//! Invitations: a code is good once, for a while, and for who knows all of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    clock::{Clock, FLOOR},
    policy::Policy,
    store::{MemoryStore, Store},
};

const DAY: Duration = Duration::from_secs(86_400);

/// A clock that anybody can set, in milliseconds after the floor.
#[derive(Default)]
struct Set(AtomicU64);

impl Set {
    fn to(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        after(FLOOR, Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

fn open(store: &Arc<MemoryStore>, clock: &Arc<Set>) -> Services {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    Services::open(store, Policy::default(), Arc::<Set>::clone(clock)).unwrap()
}

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[9; 32]), Role::Administrator, "boss".into())
}

fn name(text: &str) -> ClientName {
    ClientName::try_from(text.to_owned()).unwrap()
}

fn client(n: u8) -> Client {
    Client::new("desk", Role::Station, &[n; 32], None)
}

fn begun() -> (Arc<MemoryStore>, Arc<Set>, Services) {
    let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(Set::default()));
    clock.to(DAY * 10);
    let services = open(&store, &clock);
    (store, clock, services)
}

#[test]
fn a_code_is_used_once_and_tells_the_same_key_its_certificate_again_after_a_restart_too() {
    let (store, clock, services) = begun();
    let (invitation, ticket) = services.invite(&boss(), &name("desk"), Role::Station, DAY).unwrap();
    assert_eq!((invitation.name.as_str(), invitation.used), ("desk", None));
    let taken = services.invite(&boss(), &name("desk"), Role::Officer, DAY).unwrap_err();
    assert_eq!(taken, InvitationError::NameTaken("desk".into()));
    let services = open(&store, &clock);
    let new = Admission::New(name("desk"), Role::Station);
    assert_eq!(services.admit(&ticket, &[1; 32]).unwrap(), new);
    services.client_joined(None, &ticket, &[1; 32], &client(7), "PEM").unwrap();
    let late = services.client_joined(None, &ticket, &[2; 32], &client(8), "PEM");
    assert_eq!(late, Err(StoreError::Superseded));
    let services = open(&store, &clock);
    let again = Admission::Again(client(7), "PEM".into());
    assert_eq!(services.admit(&ticket, &[1; 32]).unwrap(), again);
    assert!(matches!(services.admit(&ticket, &[2; 32]), Err(InvitationError::Used(_))));
    // Who was removed does not come back with it.
    services.client_removed(&boss(), &client(7)).unwrap();
    assert!(matches!(services.admit(&ticket, &[1; 32]), Err(InvitationError::Used(_))));
}

#[test]
fn five_wrong_secrets_spend_an_invitation_and_a_withdrawn_one_is_none() {
    let (_store, _clock, services) = begun();
    let (_, ticket) = services.invite(&boss(), &name("a"), Role::Station, DAY).unwrap();
    let mut text = ticket.text();
    let last = if text.pop() == Some('0') { '1' } else { '0' };
    let wrong = Ticket::parse(&format!("{text}{last}")).unwrap();
    assert_eq!(wrong.id(), ticket.id());
    for _ in 0..GUESSES {
        assert!(services.admit(&ticket, &[1; 32]).is_ok());
        assert_eq!(services.admit(&wrong, &[1; 32]), Err(InvitationError::Wrong));
    }
    assert_eq!(services.admit(&ticket, &[1; 32]), Err(InvitationError::Wrong));
    let (invitation, ticket) = services.invite(&boss(), &name("b"), Role::Station, DAY).unwrap();
    services.withdraw(&boss(), invitation.id).unwrap();
    assert_eq!(services.withdraw(&boss(), invitation.id), Err(InvitationError::Unknown));
    assert_eq!(services.admit(&ticket, &[1; 32]), Err(InvitationError::Wrong));
    assert_eq!(services.invitations(), []);
}

#[test]
fn no_clock_that_is_set_back_revives_an_invitation() {
    let (store, clock, services) = begun();
    let (_, ticket) = services.invite(&boss(), &name("a"), Role::Station, DAY).unwrap();
    clock.to(DAY * 12);
    assert_eq!(services.admit(&ticket, &[1; 32]), Err(InvitationError::Over));
    // Whatever the audit has seen last was not before now.
    services.note(&boss(), Event::StoreCompacted).unwrap();
    clock.to(DAY * 10);
    let services = open(&store, &clock);
    assert_eq!(services.admit(&ticket, &[1; 32]), Err(InvitationError::Over));
    // What is over is forgotten with the next one, in the store too.
    services.invite(&boss(), &name("a"), Role::Station, DAY).unwrap();
    assert_eq!(store.scan(Table::Invitations, None, 10).unwrap().len(), 1);
}

#[test]
fn an_invitation_is_good_for_a_minute_to_a_month() {
    let (_store, _clock, services) = begun();
    for lives in [Duration::ZERO, SHORTEST - Duration::from_secs(1), LONGEST + Duration::from_secs(1)] {
        let refused = services.invite(&boss(), &name("a"), Role::Station, lives);
        assert_eq!(refused.unwrap_err(), InvitationError::Lifetime);
    }
}

#[test]
fn what_is_kept_of_a_code_does_not_tell_it() {
    let (store, _clock, services) = begun();
    let (_, ticket) = services.invite(&boss(), &name("a"), Role::Station, DAY).unwrap();
    for table in [Table::Invitations, Table::Audit] {
        for (_, value) in store.scan(table, None, 10).unwrap() {
            let value = String::from_utf8(value).unwrap();
            assert!(!value.contains(&ticket.text()), "{value}");
        }
    }
}
