//! How the box is: for whoever watches it, for whoever looks after it, and in every state.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Client, Daemon, enrolled, known, subject};

/// What a check of the diagnosis came to.
fn check<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    diagnosis["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_works_is_live_ready_and_diagnosed_good_without_a_name_in_it() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "frau-direktor", "administrator").await;
    let officer = Client::named(&daemon, "officer");
    enrolled(&officer, "125").await;
    subject(&officer, "Countess Lovelace").await;
    let stranger = Client::stranger(&daemon);
    assert_eq!(stranger.get("/v1/health/live").await.body["state"], "operational");
    assert_eq!(stranger.get("/v1/health/state").await.body, json!({ "state": "operational" }));
    assert_eq!(officer.get("/v1/health/ready").await.body["state"], "operational");

    let found = boss.get("/v1/health/diagnose").await;
    assert_eq!(found.status, 200, "{:?}", found.body);
    let found = found.body;
    for name in ["state", "loops", "disk", "certificates", "clock", "sensors"] {
        assert_eq!(check(&found, name)["result"], "good", "{found}");
    }
    assert_eq!(found["result"], "good", "{found}");
    assert_eq!(found["gallery"], json!({ "fingers": 1, "impressions": 3 }));
    assert_eq!(found["store"]["people"], 2, "{found}");
    assert_eq!(found["limits"]["connections"], 1024);
    let names: Vec<_> = found["certificates"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert!(names.contains(&&json!("authority")) && names.contains(&&json!("server")), "{found}");
    assert!(found["certificates"][1]["days_left"].as_u64().unwrap() >= 390, "{found}");
    assert!(found["loops"].as_array().unwrap().iter().any(|turns| turns["name"] == "acceptor"), "{found}");
    let text = found.to_string();
    assert!(!text.contains("Lovelace") && !text.contains("frau-direktor"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_read_is_diagnosed_as_bad() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    fs::write(daemon.pki().join("server.pem"), "nothing").unwrap();
    let found = boss.get("/v1/health/diagnose").await.body;
    assert_eq!(found["result"], "bad", "{found}");
    assert!(check(&found, "certificates")["detail"].as_str().unwrap().contains("server"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_store_is_of_a_later_version_says_that_it_failed_and_what_to_do() {
    let mut daemon = Daemon::start();
    known(&daemon, "boss", "administrator").await;
    assert_eq!(daemon.end(), Some(0));
    let format = daemon.pki().with_file_name("store").join("format");
    let right = fs::read(&format).unwrap();
    fs::write(&format, "authenteon-store 7\n").unwrap();
    daemon.start_again();

    let stranger = Client::stranger(&daemon);
    assert_eq!(stranger.get("/v1/health/live").await.body["state"], "failed");
    let state = stranger.get("/v1/health/state").await;
    assert_eq!((state.status, &state.body["state"]), (200, &json!("failed")));
    assert!(state.body["advice"].as_str().unwrap().contains("diagnose"), "{:?}", state.body);
    assert_eq!(stranger.get("/v1/subjects").await.problem(), "unauthenticated");
    let boss = Client::named(&daemon, "boss");
    for path in ["/v1/health/ready", "/v1/subjects", "/v1/system/store", "/v1/system/at-rest"] {
        let refused = boss.get(path).await;
        assert_eq!((refused.status, refused.problem()), (503, "failed"), "{path}");
        assert!(refused.detail().contains("later version"), "{:?}", refused.body);
    }
    let unlock = boss.post("/v1/system/unlock", &json!({ "passphrase": "correct horse battery" })).await;
    assert_eq!((unlock.status, unlock.problem()), (503, "failed"));
    let found = boss.get("/v1/health/diagnose").await;
    assert_eq!(found.status, 200, "{:?}", found.body);
    assert_eq!(check(&found.body, "state")["result"], "bad");
    assert!(check(&found.body, "state")["detail"].as_str().unwrap().contains("later version"));

    // It was told to stop and did; that it served nothing is in its exit code.
    assert_eq!(daemon.end(), Some(65));
    fs::write(&format, right).unwrap();
    daemon.start_again();
    assert_eq!(Client::stranger(&daemon).get("/v1/health/live").await.body["state"], "operational");
}
