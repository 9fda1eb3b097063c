//! What accepts are good for, from a finger to a token and a certificate.

use std::{collections::BTreeSet, path::Path};

use authenteon_hal::Dpi;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    audit,
    clock::{Clock, SystemClock},
    credential::clients::Client,
    directory::{
        Cursor, Entry, Mapping, NotAPrincipal, ObjectId, Reading, Sid, SourceName, Standing, plan::Rules,
    },
    enrol::Enrolment,
    identify::IdentifyRequest,
    policy::Policy,
    request::{ClientId, Role},
    sample::Sample,
    services::{DecideError, Master, NotCertified, Passphrase, Read},
    store::{DiskStore, MemoryStore, Store, Table},
    subject::FingerPosition,
    verify::{Proof, VerifyRequest},
};

const APP: &str = "https://app.example";

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn desk() -> Caller {
    Caller::new(ClientId::of_certificate(&[2; 32]), Role::Station, "desk".into())
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

fn object(number: u32) -> ObjectId {
    ObjectId::of_octets(Uuid::from_u128(number.into()).as_bytes()).unwrap()
}

fn sid(number: u32) -> Option<Sid> {
    let numbers = [21, 1, 2, 3, number];
    let octets = [1, 5, 0, 0, 0, 0, 0, 5].into_iter().chain(numbers.iter().flat_map(|n| n.to_le_bytes()));
    Sid::of_octets(&octets.collect::<Vec<u8>>())
}

fn entry(number: u32) -> Entry {
    Entry {
        id: object(number),
        dn: String::new(),
        name: Some(format!("Person {number}")),
        login: Some(format!("p{number}")),
        upn: Some(format!("p{number}@corp.example")),
        sid: sid(number),
        groups: BTreeSet::from([GroupName::try_from("staff".to_owned()).unwrap()]),
        standing: Standing::Active,
        locked_out: false,
        privileged: false,
    }
}

fn open(store: Arc<dyn Store>) -> Services {
    let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
    let corp = SourceName::try_from("corp".to_owned()).unwrap();
    services.watch_directories([(corp, Duration::from_secs(86_400))]);
    services
}

fn follow(services: &Services, entries: Vec<Entry>, whole: bool) {
    let corp = SourceName::try_from("corp".to_owned()).unwrap();
    let reading = Reading {
        whole,
        entries,
        gone: BTreeSet::new(),
        unusable: Vec::new(),
        shut: BTreeSet::new(),
        cursor: Cursor(json!(1)),
    };
    let since = services.directory_progress(&corp).unwrap().cursor;
    let read = Read { since, reading, swept: whole };
    assert!(services.follow_directory(&corp, read, &Rules::default(), None).unwrap().done);
}

/// People of the directory, of whom three have a finger.
fn with_people(store: Arc<dyn Store>) -> (Services, [SubjectId; 3]) {
    let services = open(store);
    follow(&services, (1..8).map(entry).collect(), true);
    let people = [1, 2, 3].map(|number| {
        let login = crate::subject::Login::try_from(format!("p{number}")).unwrap();
        let subject = services.called(&login).unwrap().unwrap();
        let samples = (1..=3).map(|n| print(124 + number, n)).collect();
        let enrolment = Enrolment { subject, position: FingerPosition::RightIndex, samples };
        services.enrol(&boss(), enrolment).unwrap();
        subject
    });
    (services, people)
}

/// A station, which is granted something.
fn granted(services: &Services, may_issue: bool) {
    if !services.inner.is_client("desk") {
        let client = Client::new("desk", Role::Station, &[2; 32], None);
        services.client_added(&boss(), &client, "a certificate").unwrap();
    }
    let audiences = BTreeSet::from([Audience::try_from(APP.to_owned()).unwrap()]);
    services.grant(&boss(), "desk", Grant { audiences, may_issue }).unwrap();
}

fn asserted(audience: &str) -> Wish {
    Wish { assertion: Some(Audience::try_from(audience.to_owned()).unwrap()), certificate: None }
}

fn request(subject: SubjectId, proof: impl Into<Proof>, id: &str) -> VerifyRequest {
    let request_id = RequestId::try_from(id.to_owned()).unwrap();
    let nonce = Nonce::try_from(format!("nonce-of-request-{id}")).unwrap();
    VerifyRequest { request_id, nonce, subject, proof: proof.into(), pin: None, sensor: None }
}

/// As stations are served: first it is asked whether they may want it.
fn verified(services: &Services, request: VerifyRequest, wish: &Wish) -> Result<Decided, DecideError> {
    let allowed = services.may_hand_over(&desk(), wish, request.sensor.is_some())?;
    services.verify_for(&desk(), request, &allowed)
}

fn read(services: &Services, token: &str) -> Claims {
    let keys: JwkSet = serde_json::from_value(services.assertion_jwks().unwrap()).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[APP]);
    let key = DecodingKey::from_jwk(keys.find(&kid).expect("the key is published")).unwrap();
    jsonwebtoken::decode::<Claims>(token, &key, &validation).unwrap().claims
}

#[test]
fn an_accept_comes_with_an_assertion_for_an_audience_that_the_station_was_granted() {
    let (services, [ada, ..]) = with_people(Arc::new(MemoryStore::new()));
    let ask = |impression, wish: &Wish, id: &str| {
        verified(&services, request(ada, print(125, impression), id), wish)
    };
    assert_eq!(ask(4, &asserted(APP), "0").unwrap_err(), DecideError::Handover(HandoverError::Audience));
    granted(&services, false);
    let before = assertion::seconds(SystemClock.now());
    let given = ask(4, &asserted(APP), "1").unwrap();
    let token = given.handed.assertion.clone().unwrap();
    let said = read(&services, &token);
    assert_eq!((said.sub, said.nonce.as_str(), &said.amr), (ada, "nonce-of-request-1", &vec![Means::Fpt]));
    assert_eq!(
        (said.upn.as_deref(), said.preferred_username.as_deref()),
        (Some("p1@corp.example"), Some("p1"))
    );
    assert!(said.iat >= before && said.exp == said.iat + 60, "{said:?}");
    assert_eq!(ask(4, &asserted(APP), "1").unwrap(), given, "the same request has the same answer");
    let other = ask(4, &Wish::default(), "1").unwrap_err();
    assert_eq!(other, DecideError::RequestIdReused, "without the assertion it is another one");
    let refused = verified(&services, request(ada, print(128, 1), "2"), &asserted(APP)).unwrap();
    assert_eq!(refused.handed, Handed::default());
    let grace = verified(&services, request(ada, Proof::Grace, "3"), &asserted(APP));
    assert_eq!(grace.unwrap_err(), DecideError::Handover(HandoverError::Grace));
    let elsewhere = ask(4, &asserted("https://other.example"), "4");
    assert_eq!(elsewhere.unwrap_err(), DecideError::Handover(HandoverError::Audience));
    let mut audiences = Vec::new();
    audit::verify(services.inner.store.as_ref(), |record| {
        if let audit::Event::Verified { assertion, .. } = &record.what {
            audiences.push(assertion.clone());
        }
    })
    .unwrap();
    assert_eq!(audiences, [Some(APP.to_owned()), None], "no token, and none of a refusal");
}

#[test]
fn an_identification_is_asserted_too_and_another_key_signs_after_a_rotation() {
    let (services, [ada, bob, _]) = with_people(Arc::new(MemoryStore::new()));
    granted(&services, false);
    let identify = |finger, id: &str| {
        let request_id = RequestId::try_from(id.to_owned()).unwrap();
        let nonce = Nonce::try_from(format!("nonce-of-request-{id}")).unwrap();
        let sample = print(finger, 4);
        let request = IdentifyRequest { request_id, nonce, sample, second: None, pin: None, sensor: None };
        let allowed = services.may_hand_over(&desk(), &asserted(APP), false).unwrap();
        services.identify_for(&desk(), request, &allowed).unwrap().handed.assertion.unwrap()
    };
    let first = identify(125, "1");
    let kid = services.rotate_assertion_key(&boss()).unwrap();
    let second = identify(126, "2");
    let key_of = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_ne!(key_of(&first), kid);
    assert_eq!(key_of(&second), kid);
    for (token, who) in [(&first, ada), (&second, bob)] {
        assert_eq!(read(&services, token).sub, who, "both keys are published");
    }
}

#[test]
fn there_are_no_keys_before_somebody_wants_an_assertion_whoever_asks_for_them() {
    let services = open(Arc::new(MemoryStore::new()));
    let events = || services.inner.store.scan(Table::Audit, None, 100).unwrap().len();
    let before = events();
    assert_eq!(services.assertion_jwks().unwrap(), json!({"keys": []}));
    assert_eq!(events(), before, "a stranger who asks changes nothing");
    granted(&services, false);
    services.may_hand_over(&desk(), &asserted(APP), false).unwrap();
    assert_eq!(services.assertion_jwks().unwrap()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn while_an_update_is_on_trial_nothing_is_granted_made_or_certified_that_the_version_before_knows_not() {
    let store = Arc::new(MemoryStore::new());
    let services = open(store.clone());
    granted(&services, true);
    let certified = Wish { assertion: None, certificate: Some(KeyDigest([7; 32])) };
    services.may_hand_over(&desk(), &certified, false).unwrap();
    store.set_earlier(true);
    let refused = services.may_hand_over(&desk(), &certified, false);
    assert_eq!(refused, Err(HandoverError::OnTrial(OnTrial)));
    let no_key = services.may_hand_over(&desk(), &asserted(APP), false);
    assert_eq!(no_key, Err(HandoverError::Keys(KeysError::OnTrial(OnTrial))));
    assert_eq!(services.rotate_assertion_key(&boss()), Err(KeysError::OnTrial(OnTrial)));
    assert_eq!(services.grant(&boss(), "desk", Grant::default()), Err(GrantError::OnTrial(OnTrial)));
    assert!(services.grant_of("desk").may_issue);
    let authority = services.make_user_authority(&boss(), Uuid::nil());
    assert!(matches!(authority, Err(NoCertificate::OnTrial(OnTrial))));
    store.set_earlier(false);
    services.may_hand_over(&desk(), &asserted(APP), false).unwrap();
    store.set_earlier(true);
    assert!(services.may_hand_over(&desk(), &asserted(APP), false).is_ok(), "there is a key");
}

#[test]
fn nothing_is_granted_to_a_name_that_is_nobody_s() {
    let services = open(Arc::new(MemoryStore::new()));
    let grant = Grant { audiences: BTreeSet::new(), may_issue: true };
    assert_eq!(services.grant(&boss(), "desk", grant.clone()), Err(GrantError::Unknown));
    granted(&services, true);
    services.client_removed(&boss(), &Client::new("desk", Role::Station, &[2; 32], None)).unwrap();
    assert_eq!(
        services.grant(&boss(), "desk", grant),
        Err(GrantError::Unknown),
        "nor to one that was removed"
    );
    assert_eq!(services.grant_of("desk"), Grant::default());
}

#[test]
fn store_keeps_keys_and_grants_over_a_start_and_a_grant_goes_with_its_station() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || -> Arc<dyn Store> { Arc::new(DiskStore::open(folder.path()).unwrap()) };
    let keys = {
        let services = open(disk());
        granted(&services, true);
        services.rotate_assertion_key(&boss()).unwrap();
        services.assertion_jwks().unwrap()
    };
    let services = open(disk());
    assert_eq!(services.assertion_jwks().unwrap(), keys);
    assert!(services.grant_of("desk").may_issue);
    let event = audit::Event::DirectoryConfirmed {
        source: SourceName::try_from("corp".to_owned()).unwrap(),
        harm: crate::directory::plan::Harm::default(),
    };
    services.inner.commit_renamed(&boss(), Vec::new(), &event, ("desk", Some("counter"))).unwrap();
    assert_eq!(services.grant_of("desk"), Grant::default());
    assert!(services.grant_of("counter").may_issue);
    services.inner.commit_renamed(&boss(), Vec::new(), &event, ("counter", None)).unwrap();
    drop(services);
    let services = open(disk());
    assert_eq!(services.grant_of("counter"), Grant::default(), "who is called so next has none");
}

/// A key of a station, and a request for a certificate that asks for more than it.
struct Wanted {
    csr: String,
    digest: KeyDigest,
}

fn wanted() -> Wanted {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["dc1.corp.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    Wanted { csr, digest: KeyDigest::of(&key.subject_public_key_info()) }
}

#[test]
fn store_gives_a_certificate_once_for_the_key_that_the_accept_was_asked_with_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (services, people @ [ada, ..]) = with_people(Arc::new(DiskStore::open(folder.path()).unwrap()));
    let groups = Some(entry(1).groups);
    services.configure_handover(HandoverSettings { groups, ..HandoverSettings::default() });
    let (mine, other) = (wanted(), wanted());
    let accept = |wish: Option<KeyDigest>, who: usize, id: &str| {
        let wish = Wish { assertion: None, certificate: wish };
        let finger = 125 + u32::try_from(who).unwrap();
        verified(&services, request(people[who], print(finger, 4), id), &wish)
    };
    let id = |text: &str| RequestId::try_from(text.to_owned()).unwrap();
    let due =
        |by: &Caller, request: &str, csr: &str, clock| services.certificate_due(by, &id(request), csr, clock);
    let refused = accept(Some(mine.digest), 0, "0").unwrap_err();
    assert_eq!(refused, DecideError::Handover(HandoverError::MayNotIssue));
    granted(&services, true);
    let given = accept(Some(mine.digest), 0, "1").unwrap();
    assert!(given.handed.certificate_until.unwrap() > SystemClock.now());
    let why = |outcome: Result<Due, NoCertificate>| outcome.unwrap_err().to_string();
    // Whatever is missing, the accept stays good.
    assert!(why(due(&desk(), "1", &mine.csr, true)).contains("master key"));
    let passphrase = Passphrase::new("correct horse battery".to_owned()).unwrap();
    services.change_master(&boss(), None, &Master::Passphrase(passphrase)).unwrap();
    assert!(why(due(&desk(), "1", &mine.csr, false)).contains("clock"));
    assert!(why(due(&desk(), "1", &mine.csr, true)).contains("create-authority"));
    let authority = services.make_user_authority(&boss(), Uuid::nil()).unwrap();
    assert!(matches!(services.make_user_authority(&boss(), Uuid::nil()), Err(NoCertificate::Exists)));
    assert!(matches!(due(&desk(), "1", &other.csr, true), Err(NoCertificate::OtherKey)));
    assert!(matches!(due(&desk(), "1", "no request", true), Err(NoCertificate::Csr(_))));
    let unknown = Err(NoCertificate::Accept(NotAccepted::Unknown));
    assert_eq!(why(due(&boss(), "1", &mine.csr, true)), why(unknown), "another caller");
    let ready = due(&desk(), "1", &mine.csr, true).unwrap();
    assert_eq!((ready.source.as_ref(), ready.object), ("corp", object(1)));
    // What the directory says now counts.
    let says =
        |entry: Option<Entry>| services.certify(&desk(), &ready, entry.as_ref(), &Mapping::Sid).map(|_| ());
    assert!(matches!(says(None), Err(NoCertificate::Now("gone"))));
    let disabled = Entry { standing: Standing::Disabled, ..entry(1) };
    assert!(matches!(says(Some(disabled)), Err(NoCertificate::Now("disabled"))));
    let locked = Entry { locked_out: true, ..entry(1) };
    assert!(matches!(says(Some(locked)), Err(NoCertificate::Now(why)) if why.contains("locked out")));
    let privileged = Entry { privileged: true, ..entry(1) };
    assert!(matches!(says(Some(privileged)), Err(NoCertificate::Person(NotCertified::Privileged))));
    assert!(matches!(says(Some(Entry { sid: None, ..entry(1) })), Err(NoCertificate::NoSid)));
    assert!(matches!(says(Some(Entry { sid: sid(2), ..entry(1) })), Err(NoCertificate::Changed)));
    let left = Entry { groups: BTreeSet::new(), ..entry(1) };
    assert!(matches!(says(Some(left)), Err(NoCertificate::Group)), "though the box knows of it not yet");
    let renamed = Entry { upn: Some("boss@corp.example".into()), ..entry(1) };
    assert!(matches!(says(Some(renamed)), Err(NoCertificate::Changed)));
    let mapped = |mapping| services.certify(&desk(), &ready, Some(&entry(1)), &mapping).map(|_| ());
    assert!(matches!(mapped(Mapping::Unsaid), Err(NoCertificate::NoRealm)));
    let elsewhere = mapped(Mapping::Principal { realm: Some("OTHER.EXAMPLE".into()) });
    assert!(matches!(elsewhere, Err(NoCertificate::NoPrincipal(NotAPrincipal::OtherRealm))));
    let (made, issuer) = services.certify(&desk(), &ready, Some(&entry(1)), &Mapping::Sid).unwrap();
    assert_eq!(issuer, authority.pem);
    assert_eq!(made.principal.to_string(), "p1@CORP.EXAMPLE");
    assert!(made.expires > SystemClock.now());
    assert!(matches!(due(&desk(), "1", &mine.csr, true), Err(NoCertificate::Accept(NotAccepted::Used))));
    let mut issued = Vec::new();
    audit::verify(services.inner.store.as_ref(), |record| {
        if let audit::Event::UserCertified { subject, request, serial, .. } = &record.what {
            issued.push((*subject, request.clone(), serial.clone()));
        }
    })
    .unwrap();
    assert_eq!(issued, [(ada, "1".to_owned(), made.serial)]);
    // Without a key in the request there is none, and not for who was disabled meanwhile.
    accept(None, 1, "2").unwrap();
    assert!(matches!(due(&desk(), "2", &mine.csr, true), Err(NoCertificate::OtherKey)));
    accept(Some(mine.digest), 2, "3").unwrap();
    follow(&services, vec![Entry { standing: Standing::Disabled, ..entry(3) }], false);
    let state = crate::directory::State::Disabled;
    let outcome = due(&desk(), "3", &mine.csr, true);
    assert!(matches!(outcome, Err(NoCertificate::Person(NotCertified::State(found))) if found == state));
}
