//! What is given out about a person, and the proof that nothing is kept any more.

use std::{path::Path, sync::Arc};

use authenteon_hal::Dpi;
use aws_lc_rs::signature::Ed25519KeyPair;

use super::*;
use crate::{
    audit::DeviceKey,
    clock::SystemClock,
    enrol::Enrolment,
    factor::Pin,
    policy::Policy,
    replay::Probe,
    request::{ClientId, Role},
    sample::Sample,
    services::{AuditSettings, SubjectChange},
    store::{Change, MemoryStore, Store},
    subject::{GroupName, NewSubject, SubjectName},
};

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[1; 32]), Role::Administrator, "boss".into())
}

fn opened() -> (Arc<MemoryStore>, Services) {
    let store = Arc::new(MemoryStore::new());
    let services = Services::open(store.clone(), Policy::default(), Arc::new(SystemClock)).unwrap();
    let settings = AuditSettings {
        keep: None,
        sign_records: 1000,
        sign_after: std::time::Duration::from_secs(600),
        destinations: Vec::new(),
    };
    services.keep_audit(DeviceKey::new(Ed25519KeyPair::generate().unwrap()), settings);
    (store, services)
}

fn print(finger: u32, impression: u32) -> Sample {
    let path = format!("fixtures/prints/{finger}_{impression}.png");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    Sample::Encoded { bytes, dpi: Dpi::STANDARD }
}

fn enrolled(services: &Services) -> SubjectId {
    let name = SubjectName::try_from("Ada".to_owned()).unwrap();
    let subject =
        services.create_subject(&boss(), NewSubject { name, groups: Default::default() }).unwrap().id;
    let samples = (1..=3).map(|n| print(125, n)).collect();
    services.enrol(&boss(), Enrolment { subject, position: FingerPosition::RightIndex, samples }).unwrap();
    subject
}

/// What was accepted once.
fn probe(impression: u32) -> Probe {
    let template = print(125, impression).examine().unwrap().extraction.template;
    Probe::new(template, [impression as u8; 32])
}

fn exported(services: &Services, id: SubjectId, templates: bool) -> Value {
    let mut out = Vec::new();
    services.export_subject(&boss(), id, templates, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn an_export_has_all_that_is_kept_and_templates_only_when_they_are_asked_for() {
    let (store, services) = opened();
    let ada = enrolled(&services);
    let pin = Pin::try_from("314159".to_owned()).unwrap();
    services.set_pin(&boss(), ada, &pin).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let (_, expires) = services.issue_recovery_code(&boss(), ada, hour).unwrap();
    let groups = ["night".to_owned()].map(|name| GroupName::try_from(name).unwrap()).into();
    services.change_subject(&boss(), ada, SubjectChange { name: None, groups: Some(groups) }).unwrap();
    // Two accepts, and a wrong finger.
    let mut history = History::default();
    for impression in 3..=4 {
        history.add(ada, &probe(impression));
    }
    let kept = Change::Put { table: Table::Probes, key: ada.as_bytes().to_vec(), value: history.encode() };
    store.commit(&[kept]).unwrap();
    let found = exported(&services, ada, false);
    let subject = &found["subject"];
    assert_eq!((&subject["name"], &subject["factors"]), (&json!("Ada"), &json!(["pin", "recovery-code"])));
    assert_eq!(subject["probes"], json!({"digests": 2, "templates": 2}));
    assert_eq!(subject["recovery-code-expires"], json!(expires));
    assert_eq!(subject["failures"], json!({"count": 0, "wait-seconds": 0}));
    assert_eq!(
        (&subject["fingers"][0]["position"], &subject["groups"]),
        (&json!("right-index"), &json!(["night"]))
    );
    assert!(subject["fingers"][0].get("template").is_none() && !found.to_string().contains("hash"));
    let kinds: Vec<&str> =
        found["audit"].as_array().unwrap().iter().map(|r| r["what"]["event"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "subject-created",
            "finger-enrolled",
            "pin-set",
            "recovery-code-issued",
            "subject-changed",
            "subject-exported"
        ]
    );

    let found = exported(&services, ada, true);
    let template = &found["subject"]["fingers"][0]["template"];
    assert_eq!(template["format"], "iso-19794-2:2005");
    let bytes = BASE64_STANDARD.decode(template["data"].as_str().unwrap()).unwrap();
    assert_eq!(interchange::decode(&bytes).unwrap().views.len(), 3);
    assert_eq!(found["audit"][6]["what"]["templates"], true, "that they were given out is a record");
    let nobody = services.export_subject(&boss(), SubjectId::random(), false, Vec::new());
    assert_eq!(nobody, Err(RightsError::Subject(SubjectError::Unknown)));
}

#[test]
fn an_erasure_is_proved_by_its_record_and_the_box_s_signature() {
    let (store, services) = opened();
    let ada = enrolled(&services);
    assert_eq!(services.erasure_proof(ada), Err(RightsError::NotErased));
    assert_eq!(services.erasure_proof(SubjectId::random()), Err(RightsError::NotErased));
    services.delete_subject(&boss(), ada).unwrap();
    let Proof { record, statement } = services.erasure_proof(ada).unwrap();
    assert!(statement.holds());
    assert_eq!((statement.purpose, statement.subject), (Purpose::Erasure, Some(ada)));
    assert_eq!(statement.hash, hash(record.as_bytes()));
    let said: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(
        (&said["what"]["event"], &said["number"]),
        (&json!("subject-deleted"), &json!(statement.number))
    );
    // Something of the person that was left behind is no erasure.
    let left = Change::Put { table: Table::Factors, key: ada.as_bytes().to_vec(), value: vec![1] };
    store.commit(&[left]).unwrap();
    assert_eq!(services.erasure_proof(ada), Err(RightsError::NotErased));
}
