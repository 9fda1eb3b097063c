//! The audit forwarded to a real receiver over TLS: at least once, in order and without a gap, whatever is killed or down.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Client, Daemon, Manner, Receiver, known, number, subject};

/// Waits until something is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn syslog(receiver: &Receiver, more: &str) -> String {
    let (address, ca) = (receiver.address, receiver.ca());
    format!(
        "[audit]\nsign-records = 4\n[[audit.forward]]\nname = \"siem\"\nsyslog = \"{address}\"\nca = {ca:?}\n{more}"
    )
}

async fn head(boss: &Client) -> u64 {
    let page = boss.get("/v1/audit?limit=1").await;
    page.body["head"].as_u64().unwrap_or_default()
}

/// Waits until the destination has confirmed all that there is.
async fn caught_up(boss: &Client) {
    until("all is forwarded", async || {
        let head = head(boss).await;
        let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
        head > 0 && to["through"] == head && to["state"] == "forwarding" && to["lag"] == 0
    })
    .await;
}

/// Every record from the first to `last` is there, each chained to the one before, and none came before its turn.
fn no_gap(records: &[String], last: u64) {
    let mut known: Vec<&String> = Vec::new();
    for record in records {
        let number = number(record) as usize;
        assert!(number <= known.len() + 1, "record {number} came behind {}", known.len());
        match known.get(number - 1) {
            Some(before) => assert_eq!(*before, record, "sent again, it is the same"),
            None => known.push(record),
        }
    }
    assert!(known.len() as u64 >= last, "{} of {last}", known.len());
    for pair in known.windows(2) {
        let hash: String = Sha256::digest(pair[0]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(serde_json::from_str::<Value>(pair[1]).unwrap()["previous"], hash);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_by_syslog_leaves_nothing_out_when_the_receiver_was_down_and_the_daemon_was_killed() {
    let mut receiver = Receiver::start(Manner::Syslog).await;
    let mut daemon = Daemon::with(&syslog(&receiver, ""));
    let boss = known(&daemon, "boss", "administrator").await;
    let officer = Client::named(&daemon, "officer");
    for name in ["Ada", "Bob", "Eve"] {
        subject(&officer, name).await;
    }
    caught_up(&boss).await;
    no_gap(&receiver.records(), head(&boss).await);
    let messages = receiver.messages();
    let made = messages.iter().find(|message| message.kind == "subject-created").unwrap();
    assert_eq!((made.facility, made.severity, made.app.as_str()), (13, 5, "authenteon"));
    let record: Value = serde_json::from_str(&made.text).unwrap();
    assert_eq!(record["at"], made.at);
    assert!(made.data.contains(&format!("[meta sequenceId=\"{}\"]", record["number"])), "{}", made.data);
    assert!(!made.text.contains("Ada"));

    receiver.down().await;
    for name in ["Kim", "Lee", "Max"] {
        subject(&officer, name).await;
    }
    until("it is said that nobody takes it", async || {
        let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
        to["state"] == "failing" && to["lag"].as_u64().unwrap() >= 3 && to["error"].is_string()
    })
    .await;
    daemon.kill();
    receiver.up().await;
    daemon.start_again();
    // Killed again and again, in whatever it is doing.
    for round in 0..3 {
        let officer = Client::named(&daemon, "officer");
        until("somebody is enrolled", async || {
            officer.post("/v1/subjects", &json!({ "name": format!("round {round}") })).await.status == 201
        })
        .await;
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        daemon.kill();
        daemon.start_again();
    }
    let boss = Client::named(&daemon, "boss");
    caught_up(&boss).await;
    no_gap(&receiver.records(), head(&boss).await);
    // Heads that the box signed come too, and are of these records.
    let messages = receiver.messages();
    let signed: Vec<Value> = messages
        .iter()
        .filter(|message| message.kind == "signed-head")
        .map(|message| serde_json::from_str(&message.text).unwrap())
        .collect();
    assert!(!signed.is_empty());
    for head in signed {
        let record = receiver.records().into_iter().find(|record| json!(number(record)) == head["number"]);
        let hash: String = Sha256::digest(record.unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(head["hash"], hash);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_to_who_does_not_say_that_he_read_is_not_confirmed_unless_that_is_wanted() {
    let receiver = Receiver::start(Manner::Rude).await;
    let daemon = Daemon::with(&syslog(&receiver, ""));
    let boss = known(&daemon, "boss", "administrator").await;
    until("it fails", async || {
        let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
        to["error"].as_str().is_some_and(|why| why.contains("close_notify")) && to["through"] == 0
    })
    .await;
    until("it is sent again", async || {
        receiver.records().iter().filter(|record| number(record) == 1).count() > 1
    })
    .await;
    let trusting = Daemon::with(&syslog(&receiver, "unconfirmed = true\n"));
    caught_up(&known(&trusting, "boss", "administrator").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_to_who_closes_before_all_was_sent_is_not_confirmed() {
    let receiver = Receiver::start(Manner::Hasty).await;
    for more in ["", "unconfirmed = true\n"] {
        let daemon = Daemon::with(&syslog(&receiver, more));
        let boss = known(&daemon, "boss", "administrator").await;
        until("it fails", async || {
            let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
            assert_eq!(to["through"], 0, "{to}");
            to["error"].as_str().is_some_and(|why| why.contains("closed while records were under way"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_by_webhook_has_each_post_confirmed_by_its_own_answer() {
    let receiver = Receiver::start(Manner::Webhook).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a secret between the two\n").unwrap();
    let (address, ca, secret) = (receiver.address, receiver.ca(), secret.display());
    let mut daemon = Daemon::start();
    known(&daemon, "boss", "administrator").await;
    let officer = Client::named(&daemon, "officer");
    // More than one post takes.
    for number in 0..260 {
        subject(&officer, &format!("person {number}")).await;
    }
    assert_eq!(daemon.end(), Some(0));
    let more = format!(
        "\n[[audit.forward]]\nname = \"hook\"\nwebhook = \"https://{address}/\"\nca = {ca:?}\nsecret = \"file:{secret}\"\n"
    );
    let config = std::fs::read_to_string(daemon.config()).unwrap();
    std::fs::write(daemon.config(), config + &more).unwrap();
    receiver.answer(500);
    receiver.answer_once(200);
    daemon.start_again();
    let boss = Client::named(&daemon, "boss");
    until("the first post is confirmed, whatever becomes of the second", async || {
        let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
        to["through"] == 256 && to["state"] == "failing" && to["sent"] == 256
    })
    .await;
    receiver.answer(204);
    caught_up(&boss).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_by_webhook_is_signed_and_goes_on_when_it_is_taken() {
    const SECRET: &str = "a secret between the two";
    let receiver = Receiver::start(Manner::Webhook).await;
    receiver.answer(500);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let (address, ca) = (receiver.address, receiver.ca());
    let daemon = Daemon::with(&format!(
        "[[audit.forward]]\nname = \"hook\"\nwebhook = \"https://{address}/in?box=1\"\nca = {ca:?}\nsecret = \"file:{}\"\n",
        secret.display()
    ));
    let boss = known(&daemon, "boss", "administrator").await;
    subject(&Client::named(&daemon, "officer"), "Ada").await;
    until("it is refused", async || {
        let to = boss.get("/v1/audit/forwarding").await.body["destinations"][0].clone();
        to["error"].as_str().is_some_and(|why| why.contains("500"))
    })
    .await;
    receiver.answer(202);
    caught_up(&boss).await;
    let posted = receiver.posted();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut records = Vec::new();
    for post in &posted {
        let hex: String =
            hmac::sign(&key, &post.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((post.path.as_str(), &post.signature), ("/in?box=1", &format!("sha256={hex}")));
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        records.extend(
            body["records"].as_array().unwrap().iter().map(|record| record["record"]["number"].clone()),
        );
    }
    assert!(posted.len() >= 2, "refused first");
    for number in 1..=head(&boss).await {
        assert!(records.contains(&json!(number)), "{number} of {records:?}");
    }
    assert!(!daemon.said().log().contains(SECRET));
}
