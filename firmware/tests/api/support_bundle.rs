//! A support bundle holds what helps, and nothing that is anybody's.

use std::{collections::BTreeMap, io::Read};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use serde_json::json;

use crate::support::{
    Client, Daemon, enrolled, fixture, identification, known, sample, subject, verification,
};

/// What the box answers, as it is.
async fn fetch(client: &Client) -> (u16, Vec<u8>) {
    let request =
        client.request(&Method::GET, "/v1/system/support-bundle").body(Full::new(Bytes::new())).unwrap();
    let response = client.open().await.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn unpacked(bundle: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(bundle));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned(), text);
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_helps_and_holds_no_name_no_print_and_no_secret() {
    let daemon = Daemon::with(
        "[[sensors.serial]]\nport = \"/dev/ttyS99\"\npassword = \"feedc0de\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n",
    );
    let boss = known(&daemon, "frau-direktor", "administrator").await;
    let (officer, station) =
        (Client::named(&daemon, "officer"), known(&daemon, "front-desk", "station").await);
    let person = enrolled(&officer, "125").await;
    subject(&officer, "Countess Lovelace").await;
    for finger in ["125_4", "126_4"] {
        station.post("/v1/verify", &verification(&person, sample(&fixture(finger)))).await;
    }
    station.post("/v1/identify", &identification(sample(&fixture("127_4")))).await;
    let secret = json!({ "mode": "passphrase", "passphrase": "correct horse battery staple" });
    let chosen = boss.ask(&Method::PUT, "/v1/system/at-rest", Some(secret.to_string().into_bytes())).await;
    assert_eq!(chosen.status, 200, "{:?}", chosen.body);
    assert_eq!(boss.post("/v1/system/store/verify", &json!({})).await.status, 202);
    station.get("/v1/subjects/Erika-Mustermann").await;
    boss.ask(&Method::DELETE, "/v1/stations/front-desk", None).await;

    let (status, bundle) = fetch(&boss).await;
    assert_eq!(status, 200);
    let made = boss.get("/v1/audit?event=support-bundle-made").await.body;
    assert_eq!(made["records"][0]["by"]["role"], "administrator", "that it was made is in the audit: {made}");
    let files = unpacked(&bundle);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["README", "config.toml", "diagnosis.json", "log.jsonl", "metrics.txt", "version.json"]
    );
    assert!(files["config.toml"].contains("/dev/ttyS99"), "{}", files["config.toml"]);
    assert!(files["diagnosis.json"].contains("certificates"));
    assert!(
        files["metrics.txt"].contains("authenteon_decisions_total{operation=\"verify\",decision=\"accept\"")
    );
    assert!(files["log.jsonl"].contains("serving over TLS 1.3"), "{}", files["log.jsonl"]);
    for line in files["log.jsonl"].lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let data = sample(&fixture("125_4"))["data"].as_str().unwrap()[..48].to_owned();
    let hidden = [
        "Lovelace",
        "Mustermann",
        "direktor",
        "front-desk",
        "feedc0de",
        "horse",
        "PRIVATE KEY",
        "BEGIN",
        &person,
        &data,
    ];
    for (name, text) in &files {
        for word in hidden {
            assert!(!text.contains(word), "{word} is in {name}:\n{text}");
        }
        // Templates, keys and frames are long in any encoding.
        let longest = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)))
            .filter(|word| !word.contains('/') || word.contains('+'))
            .map(str::len)
            .max();
        assert!(longest < Some(100), "{name} holds a word of {longest:?} characters");
    }
    assert_eq!(fetch(&officer).await.0, 403);
    assert_eq!(fetch(&Client::stranger(&daemon)).await.0, 401);
}
