//! Directories as an administrator meets them where no server answers: bad configurations, what is said of one that cannot
//! be read, its password, and who may ask.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Client, Daemon, authenteond, configure, known, text};

/// Nobody listens at port 1 of this machine.
pub(crate) const NOBODY: &str = "[[directory]]\nname = \"corp\"\nkind = \"ldap\"\nservers = [\"127.0.0.1\"]\nport = 1\n\
                      ca = \"/nowhere/ca.pem\"\naccount = \"cn=reader\"\nbase = \"o=corp\"\n";

async fn put(client: &Client, path: &str, body: &Value) -> (u16, String) {
    let answer = client.ask(&Method::PUT, path, Some(body.to_string().into_bytes())).await;
    (answer.status, answer.problem().to_owned())
}

async fn status(client: &Client) -> Value {
    let answer = client.get("/v1/directory").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["directories"][0].clone()
}

#[test]
fn directory_that_cannot_be_followed_is_refused_with_the_line_of_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authenteon.toml");
    let validate = |section: &str| {
        configure(folder.path(), section);
        let output = authenteond(&["validate", "--config", path.to_str().unwrap()]);
        (output.status.success(), text(&output.stderr) + &text(&output.stdout))
    };
    let (good, said) = validate(NOBODY);
    assert!(good, "{said}");
    for (section, part) in [
        (NOBODY.replace("\"ldap\"", "\"x500\""), "x500"),
        (NOBODY.replace("base = \"o=corp\"\n", ""), "base"),
        (NOBODY.replace("servers", "server"), "server"),
        (format!("{NOBODY}password = \"hunter2\"\n"), "password"),
        (format!("{NOBODY}{NOBODY}"), "name"),
        (format!("{NOBODY}interval-seconds = 1\n"), "interval-seconds"),
        (format!("{NOBODY}groups = {{ \"cn=night\" = \"Night Shift\" }}\n"), "group"),
    ] {
        let (good, said) = validate(&section);
        assert!(!good && said.contains(part) && said.contains("line"), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_that_cannot_be_read_says_why_in_status_health_and_metrics_and_nobody_is_touched() {
    let mut daemon = Daemon::with(&format!("metrics.listen = \"127.0.0.1:0\"\n{NOBODY}"));
    let boss = known(&daemon, "boss", "administrator").await;
    let officer = Client::named(&daemon, "officer");
    let made = officer.post("/v1/subjects", &json!({ "name": "Ada" })).await;
    assert_eq!(made.status, 201);
    let synced = boss.post("/v1/directory/corp/sync", &json!({})).await;
    assert_eq!((synced.status, synced.problem()), (502, "directory-configuration"), "{:?}", synced.body);
    let detail = synced.body["detail"].as_str().unwrap();
    assert!(detail.contains("authenteonctl directory password corp"), "{detail}");
    let corp = status(&officer).await;
    assert_eq!(
        (&corp["state"], &corp["stale"], &corp["kind"]),
        (&"failing".into(), &true.into(), &"ldap".into())
    );
    assert!(corp["error"].as_str().unwrap().contains("password"), "{corp}");
    assert_eq!(corp["people"], json!({"active": 0, "disabled": 0, "expired": 0, "gone": 0}));

    assert_eq!(put(&boss, "/v1/directory/corp/password", &json!({"password": "hunter2"})).await.0, 204);
    let synced = boss.post("/v1/directory/corp/sync", &json!({})).await;
    assert_eq!(synced.status, 502, "{:?}", synced.body);
    for path in ["/v1/directory/corp/test", "/v1/directory/corp/sync"] {
        let answer = boss.post(path, &json!({})).await;
        assert_eq!(answer.status, 502, "{path}: {:?}", answer.body);
    }
    assert_eq!(boss.get("/v1/directory/corp/diff").await.status, 502);
    let ready = boss.get("/v1/health/ready").await.body;
    assert_eq!(ready["stale_directories"], json!(["corp"]));
    let diagnosed = boss.get("/v1/health/diagnose").await.body;
    let checks = diagnosed["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == "directories").unwrap();
    assert_eq!(check["result"], "doubtful", "{check}");

    let person = officer.get(&format!("/v1/subjects/{}", made.body["subject_id"].as_str().unwrap())).await;
    assert_eq!(person.body, made.body, "who was made here is as he was");
    assert!(person.body["directory"].is_null());
    // Who asks for the end gets it, whatever waits.
    let began = Instant::now();
    assert_eq!(daemon.end(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn password_of_a_directory_is_kept_and_told_to_nobody() {
    let mut daemon = Daemon::with(NOBODY);
    let boss = known(&daemon, "boss", "administrator").await;
    let path = "/v1/directory/corp/password";
    for (body, expected) in [
        (json!({"password": ""}), (422, "not-a-password")),
        (json!({"password": "two\nlines"}), (422, "not-a-password")),
        (json!({"secret": "x"}), (400, "bad-request")),
    ] {
        let (code, problem) = put(&boss, path, &body).await;
        assert_eq!((code, problem.as_str()), expected, "{body}");
    }
    let other = put(&boss, "/v1/directory/other/password", &json!({"password": "x"})).await;
    assert_eq!(other, (404, "unknown-directory".to_owned()));
    assert_eq!(put(&boss, path, &json!({"password": "hunter2-of-corp"})).await.0, 204);
    let audit = boss.get("/v1/audit?limit=20").await.body.to_string();
    assert!(audit.contains("directory-password-set") && !audit.contains("hunter2"), "{audit}");
    let said = status(&boss).await.to_string() + &boss.get("/v1/health/diagnose").await.body.to_string();
    assert!(!said.contains("hunter2"));
    assert_eq!(daemon.end(), Some(0));
    assert!(!daemon.said().log().contains("hunter2"));
    daemon.start_again();
    let boss = boss.at(daemon.address);
    let synced = boss.post("/v1/directory/corp/sync", &json!({})).await;
    let detail = synced.body["detail"].as_str().unwrap();
    assert!(!detail.contains("has no password"), "it is kept over a start: {detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn password_of_a_directory_that_is_in_a_file_is_not_taken_over_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corp.password");
    let daemon = Daemon::with(&format!("{NOBODY}password-file = {path:?}\n"));
    let boss = known(&daemon, "boss", "administrator").await;
    let refused = put(&boss, "/v1/directory/corp/password", &json!({"password": "x"})).await;
    assert_eq!(refused, (409, "password-in-file".to_owned()));
    let synced = boss.post("/v1/directory/corp/sync", &json!({})).await;
    assert_eq!((synced.status, synced.problem()), (502, "directory-configuration"));
    assert!(synced.body["detail"].as_str().unwrap().contains("password-file"), "{:?}", synced.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_requests_that_make_no_sense_are_told_so() {
    let daemon = Daemon::with(NOBODY);
    let boss = known(&daemon, "boss", "administrator").await;
    let officer = Client::named(&daemon, "officer");
    for (path, body, expected) in [
        ("/v1/directory/other/sync", json!({}), (404, "unknown-directory")),
        ("/v1/directory/..%2Fx/sync", json!({}), (404, "unknown-directory")),
        ("/v1/directory/corp/sync", json!({"dry_run": true, "confirm": "00"}), (400, "bad-request")),
        ("/v1/directory/corp/sync", json!({"force": true}), (400, "bad-request")),
        ("/v1/directory/other/test", json!({}), (404, "unknown-directory")),
    ] {
        let answer = boss.post(path, &body).await;
        assert_eq!((answer.status, answer.problem()), expected, "{path} {body}: {:?}", answer.body);
    }
    assert_eq!(officer.post("/v1/directory/corp/sync", &json!({})).await.status, 403);
    assert_eq!(officer.get("/v1/directory/corp/diff").await.status, 403);
    let none = Daemon::start();
    let boss = known(&none, "boss", "administrator").await;
    assert_eq!(boss.get("/v1/directory").await.body, json!({"directories": []}));
}
