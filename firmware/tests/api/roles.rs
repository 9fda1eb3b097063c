//! Who may ask what: every route with every kind of client, as the description itself lists them.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Client, Daemon};

/// Every operation of the description: method, path with examples for its parts, and roles.
async fn operations(anybody: &Client) -> Vec<(Method, String, Vec<String>)> {
    let document = anybody.get("/v1/openapi.json").await.body;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11")
            .replace("{position}", "left-thumb")
            .replace("{name}", "nobody");
        for (method, operation) in methods.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let roles: Vec<String> = serde_json::from_value(operation["x-roles"].clone()).unwrap();
            operations.push((method, path.clone(), roles));
        }
    }
    assert!(operations.len() >= 12, "{operations:?}");
    operations
}

/// Waits for the daemon to have read its registry.
async fn until_known(client: &Client) {
    let began = Instant::now();
    while client.get("/v1/health/ready").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_its_roles_and_to_nobody_else() {
    let daemon = Daemon::start();
    for role in ["administrator", "auditor", "backup"] {
        daemon.add_client(role, role);
    }
    daemon.hang_up();
    until_known(&Client::named(&daemon, "administrator")).await;
    // Signed by the authority, and in no registry: the daemon has not been told of it.
    daemon.add_client("unregistered", "officer");
    let clients = [
        ("stranger", Client::stranger(&daemon)),
        ("unregistered", Client::named(&daemon, "unregistered")),
        ("administrator", Client::named(&daemon, "administrator")),
        ("officer", Client::named(&daemon, "officer")),
        ("station", Client::named(&daemon, "station")),
        ("auditor", Client::named(&daemon, "auditor")),
        ("backup", Client::named(&daemon, "backup")),
    ];
    for (method, path, roles) in operations(&clients[0].1).await {
        for (who, client) in &clients {
            let answer = client.ask(&method, &path, Some(b"{}".to_vec())).await;
            let expected = match *who {
                _ if roles.contains(&"public".to_owned()) => None,
                "stranger" | "unregistered" => Some((401, "unauthenticated")),
                role if roles.contains(&role.to_owned()) => None,
                _ => Some((403, "forbidden")),
            };
            let got = (answer.status, answer.problem());
            match expected {
                Some(expected) => assert_eq!(got, expected, "{who} {method} {path}"),
                None => assert!(![401, 403, 405, 500].contains(&got.0), "{who} {method} {path}: {got:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_that_is_served_is_the_one_that_is_checked_in() {
    let daemon = Daemon::start();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let checked_in: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(Client::stranger(&daemon).get("/v1/openapi.json").await.body, checked_in);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_a_problem_and_strangers_do_not_learn_it() {
    let daemon = Daemon::start();
    let (stranger, officer) = (Client::stranger(&daemon), Client::named(&daemon, "officer"));
    for path in ["/", "/v1", "/v1/subject", "/v2/subjects", "/v1/subjects/", "/v1/../etc/passwd", "/%ff"] {
        let answer = officer.get(path).await;
        assert_eq!((answer.status, answer.problem()), (404, "unknown-route"), "{path}");
        assert_eq!(stranger.get(path).await.status, 401, "{path}");
    }
    for (method, path) in
        [(Method::PUT, "/v1/subjects"), (Method::GET, "/v1/verify"), (Method::POST, "/v1/health/live")]
    {
        let answer = officer.ask(&method, path, None).await;
        assert_eq!((answer.status, answer.problem()), (405, "method"), "{method} {path}");
        assert_eq!(stranger.ask(&method, path, None).await.status, 401, "{method} {path}");
    }
    for path in ["/v1/subjects/nobody", "/v1/subjects/%ff", "/v1/subjects/%00/fingers"] {
        let answer = officer.get(path).await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-request"), "{path}: {:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_makes_the_daemon_know_new_clients_and_forget_removed_ones() {
    let daemon = Daemon::start();
    let officer = Client::named(&daemon, "officer");
    // This connection stays open, and is nobody's all the same.
    let mut open = officer.open().await;
    let ask = || officer.request(&Method::GET, "/v1/subjects").body(Default::default()).unwrap();
    assert_eq!(officer.send(&mut open, ask()).await.status, 200);

    let dir = daemon.pki();
    let removed = crate::support::authenteond(&[
        "client",
        "remove",
        "--dir",
        dir.to_str().unwrap(),
        "--name",
        "officer",
    ]);
    assert!(removed.status.success());
    daemon.add_client("second", "officer");
    let second = Client::named(&daemon, "second");
    assert_eq!(second.get("/v1/subjects").await.status, 401, "not before the hang-up");
    daemon.hang_up();
    let began = Instant::now();
    while second.get("/v1/subjects").await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(officer.send(&mut open, ask()).await.status, 401);

    // A registry that cannot be read changes nothing.
    std::fs::write(dir.join("clients.toml"), "[[client]]\nname = 1\n").unwrap();
    daemon.hang_up();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(second.post("/v1/subjects", &json!({ "name": "x" })).await.status, 201);
}
