//! Certificates given and taken over the wire.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::{Client, Daemon, enrolled, fixture, known, sample, verification};

fn request(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_is_added_is_served_and_one_that_is_removed_is_not() {
    let daemon = Daemon::start();
    daemon.add_client("boss", "administrator");
    daemon.hang_up();
    let boss = Client::named(&daemon, "boss");
    let key = KeyPair::generate().unwrap();
    let body = json!({ "name": "desk-1", "role": "station", "csr": request(&key) });
    // The registry is read again in the daemon's own time.
    let mut added = boss.post("/v1/stations", &body).await;
    while added.status == 401 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        added = boss.post("/v1/stations", &body).await;
    }
    assert_eq!(added.status, 201, "{:?}", added.body);
    let again = boss.post("/v1/stations", &body).await;
    assert_eq!((again.status, again.problem()), (409, "name-taken"));

    let (certificate, private) = (daemon.pki().join("desk.pem"), daemon.pki().join("desk.key"));
    std::fs::write(&certificate, added.body["certificate"].as_str().unwrap()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let desk = Client::with(daemon.address, &daemon.pki(), Some((&certificate, &private)));
    let subject = enrolled(&boss, "125").await;
    let probe = verification(&subject, sample(&fixture("125_4")));
    assert_eq!(desk.post("/v1/verify", &probe).await.body["decision"], "accept");
    assert_eq!(desk.post("/v1/stations", &body).await.status, 403);

    let names = |listed: &Value| -> Vec<String> {
        let all = listed["stations"].as_array().unwrap().iter();
        all.map(|station| station["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&boss.get("/v1/stations").await.body).contains(&"desk-1".to_owned()));
    let delete = hyper::Method::DELETE;
    assert_eq!(boss.ask(&delete, "/v1/stations/desk-1", None).await.status, 204);
    assert_eq!(desk.get("/v1/health/ready").await.status, 401);
    assert!(!names(&boss.get("/v1/stations").await.body).contains(&"desk-1".to_owned()));
    let gone = boss.ask(&delete, "/v1/stations/desk-1", None).await;
    assert_eq!((gone.status, gone.problem()), (404, "unknown-client"));
    let last = boss.ask(&delete, "/v1/stations/boss", None).await;
    assert_eq!((last.status, last.problem()), (409, "last-administrator"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_without_a_good_name_or_request_is_refused() {
    let daemon = Daemon::start();
    daemon.add_client("boss", "administrator");
    daemon.hang_up();
    let boss = Client::named(&daemon, "boss");
    while boss.get("/v1/stations").await.status == 401 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let csr = request(&KeyPair::generate().unwrap());
    for (body, status) in [
        (json!({ "name": "../x", "role": "station", "csr": csr }), 400),
        (json!({ "name": "x", "role": "king", "csr": csr }), 400),
        (json!({ "name": "x", "role": "station" }), 400),
        (json!({ "name": "x", "role": "station", "csr": "-----BEGIN" }), 422),
    ] {
        assert_eq!(boss.post("/v1/stations", &body).await.status, status, "{body}");
    }
    assert_eq!(boss.get("/v1/stations").await.body["stations"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_station_keeps_what_restricts_it_and_no_token_is_called_as_a_station() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;
    let send = async |method, path: &str, body: Value| {
        boss.ask(&method, path, Some(body.to_string().into_bytes())).await
    };
    let (put, patch) = (hyper::Method::PUT, hyper::Method::PATCH);
    assert_eq!(send(put.clone(), "/v1/policy/station/station", json!({ "pin": true })).await.status, 200);
    let verify =
        async |print| station.post("/v1/verify", &verification(&ada, sample(&fixture(print)))).await.body;
    assert_eq!(verify("125_4").await["reason"], "pin-required");

    assert_eq!(send(put, "/v1/policy/station/gate", json!({ "fingers": 2 })).await.status, 200);
    let refused = send(patch.clone(), "/v1/stations/station", json!({ "name": "gate" })).await;
    assert_eq!((refused.status, refused.problem()), (409, "name-restricted"));
    let renamed = send(patch, "/v1/stations/station", json!({ "name": "door" })).await;
    assert_eq!(renamed.status, 200, "{:?}", renamed.body);
    assert_eq!(verify("125_4").await["reason"], "pin-required");
    assert_eq!(boss.get("/v1/policy/station/door").await.status, 200);
    assert_eq!(boss.get("/v1/policy/station/station").await.problem(), "unknown-restriction");

    let token = json!({ "name": "door", "role": "station", "expires_days": 1 });
    let refused = boss.post("/v1/tokens", &token).await;
    assert_eq!((refused.status, refused.problem()), (409, "name-taken"), "{:?}", refused.body);
}
