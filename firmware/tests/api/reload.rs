//! A hang-up reads the configuration again: what can be used is used, what cannot is named, what is broken changes
//! nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Client, Daemon, known};

async fn configuration(boss: &Client) -> Value {
    let found = boss.get("/v1/health/diagnose").await.body;
    let checks = found["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == "configuration").unwrap().clone()
}

/// Hangs up, and waits until the diagnosis says so.
async fn until(daemon: &Daemon, boss: &Client, told: impl Fn(&str) -> bool) -> Value {
    daemon.hang_up();
    let began = Instant::now();
    loop {
        let found = configuration(boss).await;
        if told(found["detail"].as_str().unwrap()) {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_uses_what_needs_no_start_names_what_does_and_leaves_all_when_the_file_is_broken() {
    let daemon = Daemon::with("limits.connections = 100\n");
    let boss = known(&daemon, "boss", "administrator").await;
    assert_eq!(configuration(&boss).await["result"], "good");
    let path = daemon.config();
    let right = fs::read_to_string(&path).unwrap();
    let folder = std::path::Path::new(&path).with_extension("d");
    fs::create_dir(&folder).unwrap();
    let over = folder.join("10-over.toml");

    fs::write(&over, "[log]\nfilter = \"authenteon=debug\"\n[limits]\nidle-seconds = 77\nconnections = 50\n")
        .unwrap();
    let found = until(&daemon, &boss, |detail| detail.contains("after the next start")).await;
    assert_eq!(found["result"], "doubtful", "{found}");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.ends_with("limits.connections"), "{detail}");
    let limits = boss.get("/v1/health/diagnose").await.body["limits"].clone();
    assert_eq!((&limits["idle-seconds"], &limits["connections"]), (&77.into(), &100.into()), "{limits}");
    // The filter is another one: what was not logged before is.
    daemon.said().wait_for("answered").await;

    fs::write(&over, "[limits]\nidle-seconds = 0\n").unwrap();
    let found = until(&daemon, &boss, |detail| detail.contains("10-over.toml")).await;
    assert!(found["detail"].as_str().unwrap().contains("line 2: idle-seconds"), "{found}");
    assert_eq!(boss.get("/v1/health/diagnose").await.body["limits"]["idle-seconds"], 77);
    // Both are in the audit.
    let read = boss.get("/v1/audit?event=configuration-reloaded").await.body;
    let waiting = serde_json::json!(["limits.connections"]);
    assert!(read["records"].as_array().unwrap().iter().any(|r| r["what"]["waiting"] == waiting), "{read}");
    let refused = boss.get("/v1/audit?event=configuration-refused").await.body;
    assert_eq!(refused["records"].as_array().unwrap().len(), 1, "{refused}");

    fs::remove_file(&over).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), right);
    let found = until(&daemon, &boss, |detail| detail.contains("all of it")).await;
    assert_eq!(found["result"], "good", "{found}");
}
