//! Clients that are added, renamed, renewed and removed, and the registry after it.

use super::{csr::tests::request, *};

fn kept(_: &Client, _: &str) -> Result<(), StoreError> {
    Ok(())
}

const NOW: Timestamp = crate::clock::FLOOR;

fn fresh() -> String {
    request(&rcgen::KeyPair::generate().unwrap())
}

fn name(text: &str) -> ClientName {
    ClientName::try_from(text.to_owned()).unwrap()
}

fn stations() -> (tempfile::TempDir, Stations) {
    let folder = tempfile::tempdir().unwrap();
    let pki = folder.path().join("pki");
    Authority::init(&pki, &["localhost".to_owned()]).unwrap();
    (folder, Stations::new(pki, Arc::default()))
}

#[test]
fn a_client_is_known_at_once_and_after_a_restart_and_forgotten_the_same_way() {
    let (_folder, stations) = stations();
    let added = stations.add(&name("desk-1"), Role::Station, &fresh(), kept).unwrap();
    assert!(added.certificate.contains("BEGIN CERTIFICATE"));
    assert!(added.authority.contains("BEGIN CERTIFICATE"));
    assert_eq!(stations.all(), [added.client]);
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
    stations.remove("desk-1", NOW, |_| Ok(())).unwrap();
    assert_eq!(stations.all(), []);
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), []);
    assert!(matches!(
        stations.remove("desk-1", NOW, |_| Ok(())),
        Err(StationError::Clients(ClientsError::Unknown(_)))
    ));
}

#[test]
fn a_name_is_taken_once_and_a_bad_request_takes_none() {
    let (_folder, stations) = stations();
    assert!(matches!(stations.add(&name("a"), Role::Station, "no request", kept), Err(StationError::Csr(_))));
    stations.add(&name("a"), Role::Station, &fresh(), kept).unwrap();
    let again = stations.add(&name("a"), Role::Officer, &fresh(), kept);
    assert!(matches!(again, Err(StationError::Clients(ClientsError::Exists(_)))));
    assert_eq!(stations.all().len(), 1);
}

#[test]
fn the_last_administrator_stays() {
    let (_folder, stations) = stations();
    stations.add(&name("one"), Role::Administrator, &fresh(), kept).unwrap();
    assert!(matches!(stations.remove("one", NOW, |_| Ok(())), Err(StationError::LastAdministrator)));
    stations.add(&name("two"), Role::Administrator, &fresh(), kept).unwrap();
    stations.remove("one", NOW, |_| Ok(())).unwrap();
    assert_eq!(stations.all().len(), 1);
}

#[test]
fn an_administrator_whose_certificate_has_ended_administers_nothing() {
    let (_folder, stations) = stations();
    let one = stations.add(&name("one"), Role::Administrator, &fresh(), kept).unwrap().client;
    let end = one.expires.unwrap();
    assert!(stations.administered(NOW) && !stations.administered(end));
    // Another one who comes later, when the first has ended.
    let mut clients = Clients::load(&stations.folder).unwrap();
    let later = Timestamp::from_millis(end.millis() + 1);
    clients.add(Client::new("two", Role::Administrator, &[2; 32], Some(later))).unwrap();
    clients.save(&stations.folder).unwrap();
    assert!(matches!(stations.remove("two", end, |_| Ok(())), Err(StationError::LastAdministrator)));
    stations.remove("one", end, |_| Ok(())).unwrap();
    stations.remove("two", later, |_| Ok(())).unwrap();
}

#[test]
fn while_an_update_is_on_trial_the_registry_is_what_the_version_before_can_read() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Before {
        client: Vec<BeforeClient>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is read, or not")]
    struct BeforeClient {
        name: String,
        role: Role,
        sha256: String,
    }
    let (_folder, stations) = stations();
    stations.on_trial(true);
    let one = stations.add(&name("one"), Role::Station, &fresh(), kept).unwrap().client;
    stations.add(&name("two"), Role::Station, &fresh(), kept).unwrap();
    stations.rename("two", &name("three"), |_| Ok(())).unwrap();
    let digest = crate::request::unhex::<32>(&one.sha256).unwrap();
    let renewed = stations.renew(&digest, &fresh(), NOW, |_, _, _, _| Ok(()));
    assert!(matches!(renewed, Err(StationError::OnTrial)));
    stations.settle(|found| Ok([found.unwrap(), std::slice::from_ref(&one)].concat())).unwrap();
    let text = std::fs::read_to_string(stations.folder.join("clients.toml")).unwrap();
    assert_eq!(toml::from_str::<Before>(&text).unwrap().client.len(), 3);
    stations.on_trial(false);
    stations.renew(&digest, &fresh(), NOW, |_, _, _, _| Ok(())).unwrap();
}

#[test]
fn a_client_that_is_renamed_is_the_same_one_and_takes_nobody_s_name() {
    let (_folder, stations) = stations();
    let one = stations.add(&name("one"), Role::Station, &fresh(), kept).unwrap().client;
    stations.add(&name("two"), Role::Station, &fresh(), kept).unwrap();
    let taken = stations.rename("one", &name("two"), |_| Ok(()));
    assert!(matches!(taken, Err(StationError::Clients(ClientsError::Exists(_)))));
    let unknown = stations.rename("none", &name("three"), |_| Ok(()));
    assert!(matches!(unknown, Err(StationError::Clients(ClientsError::Unknown(_)))));
    let renamed = stations.rename("one", &name("three"), |_| Ok(())).unwrap();
    assert_eq!((renamed.sha256, renamed.name.as_str()), (one.sha256, "three"));
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
}

#[test]
fn a_certificate_that_was_renewed_ends_once_the_later_one_is_used_and_not_before() {
    let (_folder, stations) = stations();
    let at = |seconds: u64| Timestamp::from_millis(1_800_000_000_000 + 1000 * seconds);
    let digest = |client: &Client| crate::request::unhex::<32>(&client.sha256).unwrap();
    let caller = |client: &Client| {
        let known = stations.in_force.read().unwrap();
        known.caller(&digest(client), at(0)).map(|caller| caller.name)
    };
    let old = stations.add(&name("one"), Role::Administrator, &fresh(), kept).unwrap().client;
    assert!(old.expires.is_some());
    let renew = |client: &Client| {
        let (mut kept, mut given_up) = (Vec::new(), None);
        let added = stations.renew(&digest(client), &fresh(), at(0), |former, later, _, unheard| {
            kept.extend([former.sha256.clone(), later.sha256.clone()]);
            given_up = unheard.cloned();
            Ok(())
        });
        (added.unwrap().client, kept, given_up)
    };
    let (unheard, kept, nobody) = renew(&old);
    assert_eq!((kept, nobody), (vec![old.sha256.clone(), unheard.sha256.clone()], None));
    // The answer was lost: the same again, and the one that nobody heard of is nobody's.
    let (new, _, given_up) = renew(&old);
    assert_eq!(given_up.unwrap(), unheard);
    assert_eq!(
        (caller(&unheard), caller(&old), caller(&new)),
        (None, Some("one".into()), Some("one".into()))
    );
    let mut gone = Vec::new();
    let mut retire = |seconds| {
        stations
            .retire(at(seconds), |client| {
                gone.push(client.sha256.clone());
                Ok(())
            })
            .unwrap();
    };
    retire(100_000);
    stations.used(&digest(&new));
    retire(60);
    assert!(caller(&old).is_some(), "within the hour, or not used yet");
    let mut gone = Vec::new();
    stations
        .retire(at(3600), |client| {
            gone.push(client.sha256.clone());
            Ok(())
        })
        .unwrap();
    assert_eq!(gone, std::slice::from_ref(&old.sha256));
    assert_eq!((caller(&old), caller(&new)), (None, Some("one".into())));
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), stations.all());
    // Both go with their name, and two certificates are one administrator.
    let two = stations.add(&name("two"), Role::Administrator, &fresh(), super::tests::kept).unwrap().client;
    renew(&two);
    let mut gone = 0;
    stations
        .remove("two", NOW, |_| {
            gone += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!((gone, stations.all().len()), (2, 1));
    renew(&new);
    assert!(matches!(stations.remove("one", NOW, |_| Ok(())), Err(StationError::LastAdministrator)));
}

#[test]
fn only_plain_names_are_names() {
    for bad in ["", ".hidden", "radius.vpn", "a b", "a/b", "é", &"a".repeat(65)] {
        assert_eq!(ClientName::try_from(bad.to_owned()), Err(NotAName), "{bad}");
    }
    assert_eq!(name("door_2.west").as_str(), "door_2.west");
}

#[test]
fn what_the_store_does_not_keep_is_not_registered_nor_removed() {
    let (_folder, stations) = stations();
    let refused = stations.add(&name("a"), Role::Station, &fresh(), |_, _| Err(StoreError::Full));
    assert!(matches!(refused, Err(StationError::Store(StoreError::Full))));
    assert_eq!(stations.all(), []);
    stations.add(&name("a"), Role::Station, &fresh(), kept).unwrap();
    let refused = stations.remove("a", NOW, |_| Err(StoreError::Full));
    assert!(matches!(refused, Err(StationError::Store(StoreError::Full))));
    assert_eq!(stations.all().len(), 1);
}

#[test]
fn a_registry_is_what_the_facts_say_and_a_lost_one_comes_back() {
    let (_folder, stations) = stations();
    let one = stations.add(&name("one"), Role::Station, &fresh(), kept).unwrap().client;
    let two = stations.add(&name("two"), Role::Station, &fresh(), kept).unwrap().client;
    stations
        .settle(|found| Ok(found.unwrap().iter().filter(|client| **client != one).cloned().collect()))
        .unwrap();
    assert_eq!(stations.all().len(), 1);
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), [two]);
    std::fs::remove_file(stations.folder.join("clients.toml")).unwrap();
    stations.settle(|found| Ok(found.map_or_else(|| vec![one.clone()], <[Client]>::to_vec))).unwrap();
    assert_eq!(Clients::load(&stations.folder).unwrap().all(), [one]);
}
