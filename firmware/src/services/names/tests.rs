//! Names that change hands.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    clock::SystemClock,
    credential::{clients::Client, stations::ClientName},
    policy::{Operation, Policy, Restriction, Wait},
    request::{ClientId, Role},
    services::{InvitationError, TokenError},
    store::{MemoryStore, Store},
};

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn called(name: &str) -> Caller {
    Caller::new(ClientId::of_certificate(&[2; 32]), Role::Station, name.into())
}

fn client(name: &str, n: u8) -> Client {
    Client::new(name, Role::Station, &[n; 32], None)
}

fn open(store: Arc<dyn Store>) -> Services {
    Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap()
}

fn wait(services: &Services, name: &str) -> Option<Wait> {
    let about = About::Station(name.to_owned());
    let all = services.lockouts();
    all.into_iter().find(|failed| failed.id == about.id()).and_then(|failed| failed.wait)
}

/// A station that needs two fingers and is locked out.
fn restricted(store: Arc<dyn Store>) -> Services {
    let key = About::Station("door".to_owned()).key();
    let value = br#"{"failures":100,"left-ms":900000}"#.to_vec();
    store.commit(&[Change::Put { table: Table::Counters, key, value }]).unwrap();
    let services = open(store);
    services.client_added(&boss(), &client("door", 1), "a certificate").unwrap();
    let two = Restriction { fingers: Some(2), ..Restriction::default() };
    services.restrict(&boss(), Whom::Station("door".into()), two).unwrap();
    services
}

fn fingers(services: &Services, name: &str) -> u8 {
    services.policy_for(&called(name), Operation::Verify).fingers
}

#[test]
fn a_station_that_is_renamed_keeps_its_restriction_and_its_lockout_over_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let services = restricted(store.clone());
    services.client_renamed(&boss(), &client("door", 1), "gate").unwrap();
    for services in [services, open(store)] {
        assert_eq!((fingers(&services, "gate"), fingers(&services, "door")), (2, 1));
        assert!(wait(&services, "gate").is_some() && wait(&services, "door").is_none());
    }
}

#[test]
fn who_gets_the_name_of_a_station_that_is_gone_inherits_nothing_and_a_renewal_loses_nothing() {
    let store = Arc::new(MemoryStore::new());
    let services = restricted(store.clone());
    let (former, later) = (client("door", 1), client("door", 2));
    services.client_renewed(&boss(), &former, &later, "a certificate", None).unwrap();
    services.client_superseded(&former).unwrap();
    assert!(fingers(&services, "door") == 2 && wait(&services, "door").is_some());
    services.client_removed(&boss(), &later).unwrap();
    for services in [services, open(store)] {
        assert!(fingers(&services, "door") == 1 && wait(&services, "door").is_none());
    }
}

#[test]
fn a_rename_that_would_lose_one_of_two_restrictions_is_refused() {
    let services = restricted(Arc::new(MemoryStore::new()));
    let pin = Restriction { pin: Some(true), ..Restriction::default() };
    services.restrict(&boss(), Whom::Station("gate".into()), pin).unwrap();
    let refused = services.check_new_name("gate", Some("door"));
    assert!(matches!(refused, Err(StationError::Restricted(name)) if name == "gate"));
    assert!(services.check_new_name("gate", None).is_ok(), "it waits for a new one");
}

#[test]
fn a_token_and_a_client_are_not_called_the_same() {
    let services = restricted(Arc::new(MemoryStore::new()));
    let name = |name: &str| ClientName::try_from(name.to_owned()).unwrap();
    let day = Duration::from_secs(86_400);
    let token =
        |called: &str| services.make_token(&boss(), &name(called), Role::Station, Vec::new(), day).map(drop);
    let invite = |called: &str| services.invite(&boss(), &name(called), Role::Station, day).map(drop);
    assert!(matches!(token("door"), Err(TokenError::ClientNamed(_))));
    invite("gate").unwrap();
    assert!(matches!(token("gate"), Err(TokenError::ClientNamed(_))));
    token("nightly").unwrap();
    assert!(matches!(invite("nightly"), Err(InvitationError::NameTaken(_))));
    let refused = services.check_new_name("nightly", Some("door"));
    assert!(matches!(refused, Err(StationError::Clients(ClientsError::Exists(_)))));
}
