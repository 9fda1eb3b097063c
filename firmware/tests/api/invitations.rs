//! Codes that let machines in: once, with their own keys, and known by their certificates and nothing else.

use hyper::Method;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, known};

fn request(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

/// Makes a code, and gives it with what is told of it.
async fn invited(boss: &Client, name: &str, role: &str) -> (String, Value) {
    let made = boss.post("/v1/invitations", &json!({ "name": name, "role": role })).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    (made.body["code"].as_str().unwrap().to_owned(), made.body["invitation"].clone())
}

async fn join(stranger: &Client, code: &str, key: &KeyPair) -> Answer {
    stranger.post("/v1/join", &json!({ "ticket": code[3..35], "csr": request(key) })).await
}

/// Who holds the certificate of an answer.
fn holder(daemon: &Daemon, answer: &Answer, key: &KeyPair) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, private) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    std::fs::write(&certificate, answer.body["certificate"].as_str().unwrap()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    Client::with(daemon.address, &daemon.pki(), Some((&certificate, &private)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_lets_one_machine_in_with_a_key_of_its_own_and_nobody_else() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let (code, invitation) = invited(&boss, "desk-1", "officer").await;
    assert_eq!((&invitation["name"], &invitation["by"]), (&json!("desk-1"), &json!("boss")));
    let taken = boss.post("/v1/invitations", &json!({ "name": "desk-1", "role": "station" })).await;
    assert_eq!((taken.status, taken.problem()), (409, "name-taken"));

    let key = KeyPair::generate().unwrap();
    let joined = join(&stranger, &code, &key).await;
    assert_eq!((joined.status, &joined.body["role"]), (200, &json!("officer")), "{:?}", joined.body);
    let desk = holder(&daemon, &joined, &key);
    assert_eq!(desk.get("/v1/subjects").await.status, 200);
    assert_eq!(desk.get("/v1/stations").await.status, 403);
    // The answer may have been lost: the same key gets the same one. Another key gets nothing.
    assert_eq!(join(&stranger, &code, &key).await.body, joined.body);
    let thief = join(&stranger, &code, &KeyPair::generate().unwrap()).await;
    assert_eq!((thief.status, thief.problem()), (409, "code-used"));
    let listed = boss.get("/v1/invitations").await.body;
    assert!(listed["invitations"][0]["used"].is_string(), "{listed}");
    assert!(!listed.to_string().contains(&code[3..35]));

    // Removed, it is nobody at once, and neither comes back with the code nor takes its name with it.
    assert_eq!(boss.ask(&Method::DELETE, "/v1/stations/desk-1", None).await.status, 204);
    assert_eq!(desk.get("/v1/subjects").await.status, 401);
    assert_eq!(join(&stranger, &code, &key).await.problem(), "code-used");
    let (second, _) = invited(&boss, "desk-1", "station").await;
    let other = KeyPair::generate().unwrap();
    let again = holder(&daemon, &join(&stranger, &second, &other).await, &other);
    assert_eq!(again.get("/v1/health/ready").await.status, 200);
    assert_eq!(desk.get("/v1/health/ready").await.status, 401, "the name was never what it was known by");
    for code in [&code, &second] {
        assert!(!daemon.said().log().contains(&code[3..35]), "a code is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_come_with_one_code_at_the_same_moment_are_one() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let (code, _) = invited(&boss, "desk-1", "station").await;
    let tries = [(); 4].map(|()| {
        let (stranger, code) = (stranger.clone(), code.clone());
        tokio::spawn(async move { join(&stranger, &code, &KeyPair::generate().unwrap()).await.status })
    });
    let mut statuses = Vec::new();
    for tried in tries {
        statuses.push(tried.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_withdrawn_mistyped_or_guessed_lets_nobody_in() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let (code, invitation) = invited(&boss, "desk-1", "station").await;
    let key = KeyPair::generate().unwrap();
    let bad = stranger.post("/v1/join", &json!({ "ticket": code[3..35], "csr": "-----BEGIN" })).await;
    assert_eq!((bad.status, bad.problem()), (422, "not-a-csr"));
    let path = format!("/v1/invitations/{}", invitation["id"].as_str().unwrap());
    assert_eq!(boss.ask(&Method::DELETE, &path, None).await.status, 204);
    assert_eq!(boss.ask(&Method::DELETE, &path, None).await.problem(), "unknown-invitation");
    let gone = join(&stranger, &code, &key).await;
    assert_eq!((gone.status, gone.problem()), (403, "wrong-code"));
    let mut last = gone;
    for _ in 0..20 {
        last = join(&stranger, &format!("AU1{}", "0".repeat(32)), &key).await;
        assert!([403, 429].contains(&last.status), "{:?}", last.body);
    }
    assert_eq!((last.status, last.problem()), (429, "too-many-attempts"));
    for (body, status) in [
        (json!({ "name": "../x", "role": "station" }), 400),
        (json!({ "name": "x", "role": "king" }), 400),
        (json!({ "name": "x", "role": "station", "expires_minutes": 0 }), 422),
        (json!({ "name": "x", "role": "station", "expires_minutes": 43_201 }), 422),
        (json!({ "name": "boss", "role": "station" }), 409),
    ] {
        assert_eq!(boss.post("/v1/invitations", &body).await.status, status, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_the_name_of_another_station_is_nobody() {
    let daemon = Daemon::start();
    // The box's own authority signs one with the officer's name, and nobody registers it.
    let authority = authenteon::credential::authority::Authority::open(&daemon.pki()).unwrap();
    let twin = authority.issue_client("officer", authenteon::request::Role::Officer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, private) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    std::fs::write(&certificate, &twin.certificate).unwrap();
    std::fs::write(&private, &twin.key).unwrap();
    let twin = Client::with(daemon.address, &daemon.pki(), Some((&certificate, &private)));
    assert_eq!(twin.get("/v1/subjects").await.status, 401);
    assert_eq!(Client::named(&daemon, "officer").get("/v1/subjects").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_renamed_goes_on_with_its_certificate_after_a_restart_too() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let renamed = boss
        .ask(
            &Method::PATCH,
            "/v1/stations/officer",
            Some(json!({ "name": "front-desk" }).to_string().into_bytes()),
        )
        .await;
    assert_eq!((renamed.status, &renamed.body["name"]), (200, &json!("front-desk")), "{:?}", renamed.body);
    let taken = boss
        .ask(&Method::PATCH, "/v1/stations/station", Some(json!({ "name": "boss" }).to_string().into_bytes()))
        .await;
    assert_eq!((taken.status, taken.problem()), (409, "name-taken"));
    daemon.kill();
    daemon.start_again();
    let (officer, boss) = (Client::named(&daemon, "officer"), Client::named(&daemon, "boss"));
    assert_eq!(officer.get("/v1/subjects").await.status, 200);
    let all = boss.get("/v1/stations").await.body.to_string();
    assert!(all.contains("front-desk") && !all.contains("\"officer\",\"name"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_renews_its_certificate_and_both_are_good_until_it_is_removed() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let station = Client::named(&daemon, "station");
    let key = KeyPair::generate().unwrap();
    let bad = station.post("/v1/stations/self/renew", &json!({ "csr": "-----BEGIN" })).await;
    assert_eq!((bad.status, bad.problem()), (422, "not-a-csr"));
    let renewed = station.post("/v1/stations/self/renew", &json!({ "csr": request(&key) })).await;
    assert_eq!(
        (renewed.status, &renewed.body["station"]["name"]),
        (201, &json!("station")),
        "{:?}",
        renewed.body
    );
    assert!(renewed.body["station"]["expires"].is_string());
    let new = holder(&daemon, &renewed, &key);
    assert_eq!(new.get("/v1/health/ready").await.status, 200);
    assert_eq!(station.get("/v1/health/ready").await.status, 200, "programs that run have it still");
    assert_eq!(new.get("/v1/subjects").await.status, 403, "no other role by it");
    daemon.kill();
    daemon.start_again();
    let (boss, station) = (boss.at(daemon.address), station.at(daemon.address));
    let new = new.at(daemon.address);
    assert_eq!(
        (station.get("/v1/health/ready").await.status, new.get("/v1/health/ready").await.status),
        (200, 200)
    );
    let listed = boss.get("/v1/stations").await.body;
    let two = listed["stations"].as_array().unwrap().iter().filter(|s| s["name"] == "station");
    assert_eq!(two.map(|s| s["renewed"].clone()).collect::<Vec<_>>(), [json!(true), json!(false)]);
    assert_eq!(boss.ask(&Method::DELETE, "/v1/stations/station", None).await.status, 204);
    assert_eq!(
        (station.get("/v1/health/ready").await.status, new.get("/v1/health/ready").await.status),
        (401, 401)
    );
}
