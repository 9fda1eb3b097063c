//! Who may ask what: every route with every kind of client, as the description itself lists them.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    accounts::{account, code, sign_in},
    backup::fill,
    support::{Client, Daemon, enrolled, known},
};

/// An operation of the description.
struct Operation {
    method: Method,
    /// With examples for its parts.
    path: String,
    roles: Vec<String>,
    states: Vec<String>,
    credentials: Vec<String>,
}

async fn operations(anybody: &Client) -> Vec<Operation> {
    let document = anybody.get("/v1/openapi.json").await.body;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11")
            .replace("{position}", "left-thumb")
            .replace("{kind}", "group")
            .replace("{name}", "nobody");
        for (method, operation) in methods.as_object().unwrap() {
            let list = |key: &str| -> Vec<String> {
                serde_json::from_value(operation[key].clone()).unwrap_or_default()
            };
            operations.push(Operation {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                roles: list("x-roles"),
                states: list("x-states"),
                credentials: list("x-credentials"),
            });
        }
    }
    assert!(operations.len() >= 40, "{}", operations.len());
    operations
}

/// Somebody with a role, known by something; nobody without a role.
struct Somebody {
    role: Option<&'static str>,
    by: &'static str,
    client: Client,
    /// The same in another session, which may end.
    other: Client,
}

const ROLES: [&str; 5] = ["administrator", "officer", "station", "auditor", "backup"];

/// What an operation is to answer in this state of the box; `None` when it is served.
fn expected(operation: &Operation, state: &str, who: &Somebody) -> Option<(u16, String)> {
    let served = operation.states.iter().any(|known| known == state);
    let closed = (!served).then(|| (503, state.to_owned()));
    if operation.roles == ["public"] || state == "unprovisioned" {
        return closed;
    }
    let refused = |status: u16, slug: &str| Some((status, slug.to_owned()));
    // Without its store a box knows certificates only.
    let opened = !["locked", "failed"].contains(&state);
    let known = who.role.filter(|_| opened || who.by == "certificate");
    match known {
        None => refused(401, "unauthenticated"),
        Some(role) if !operation.roles.iter().any(|may| may == role) => refused(403, "forbidden"),
        Some(_) if !operation.credentials.iter().any(|taken| taken == who.by) => refused(403, "forbidden"),
        Some(_) => closed,
    }
}

/// Asks everything as everybody.
async fn walk(state: &str, everybody: &[Somebody]) {
    for operation in operations(&everybody[0].client).await {
        let Operation { method, path, .. } = &operation;
        for who in everybody {
            let ends = path == "/v1/sessions/self";
            let client = if ends { &who.other } else { &who.client };
            let answer = client.ask(method, path, Some(b"{}".to_vec())).await;
            let got = (answer.status, answer.problem().to_owned());
            let case = format!("{state}: {:?} by {} {method} {path}", who.role, who.by);
            match expected(&operation, state, who) {
                Some(expected) => assert_eq!(got, expected, "{case}"),
                None => {
                    let closed = ["unauthenticated", "forbidden", "unprovisioned", "locked", "failed"];
                    assert!(!closed.contains(&got.1.as_str()), "{case}: {got:?}");
                    assert!(![405, 500].contains(&got.0), "{case}: {got:?}");
                }
            }
        }
    }
}

/// Nobody, somebody whom the authority signed and nobody registered, and each role by a certificate.
async fn by_certificates(daemon: &Daemon) -> Vec<Somebody> {
    for role in ROLES {
        if !["officer", "station"].contains(&role) {
            known(daemon, role, role).await;
        }
    }
    daemon.add_client("unregistered", "officer");
    let certificate = |role, name| {
        let client = Client::named(daemon, name);
        Somebody { role, by: "certificate", other: client.clone(), client }
    };
    let stranger = Client::stranger(daemon);
    let nobody = Somebody { role: None, by: "nothing", other: stranger.clone(), client: stranger };
    let mut everybody = vec![nobody, certificate(None, "unregistered")];
    everybody.extend(ROLES.map(|role| certificate(Some(role), role)));
    everybody
}

/// Each role by two sessions, and by a token.
async fn by_tokens(daemon: &Daemon) -> Vec<Somebody> {
    let (boss, stranger) = (Client::named(daemon, "administrator"), Client::stranger(daemon));
    let mut everybody = Vec::new();
    for role in ROLES {
        let secret = account(&boss, &stranger, role, role).await;
        let mut sessions = Vec::new();
        for step in 0..2 {
            let signed = sign_in(&stranger, role, &code(&secret, step)).await;
            assert_eq!(signed.status, 201, "{:?}", signed.body);
            sessions.push(stranger.showing(signed.body["token"].as_str().unwrap()));
        }
        let [client, other] = [sessions[0].clone(), sessions[1].clone()];
        everybody.push(Somebody { role: Some(role), by: "session", client, other });
        let made = boss
            .post("/v1/tokens", &json!({ "name": format!("token-{role}"), "role": role, "expires_days": 1 }))
            .await;
        let client = stranger.showing(made.body["secret"].as_str().unwrap());
        everybody.push(Somebody { role: Some(role), by: "token", other: client.clone(), client });
    }
    everybody
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_its_roles_and_to_nobody_else() {
    let daemon = Daemon::start();
    let mut everybody = by_certificates(&daemon).await;
    everybody.extend(by_tokens(&daemon).await);
    walk("operational", &everybody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_locked_box_is_open_to_its_roles_or_closed() {
    let mut daemon = Daemon::start();
    let mut everybody = by_certificates(&daemon).await;
    everybody.extend(by_tokens(&daemon).await);
    let body = json!({ "mode": "passphrase", "passphrase": "correct horse battery staple" }).to_string();
    let boss = Client::named(&daemon, "administrator");
    let chosen = boss.ask(&Method::PUT, "/v1/system/at-rest", Some(body.into_bytes())).await;
    assert_eq!(chosen.status, 200, "{:?}", chosen.body);
    daemon.terminate();
    assert!(daemon.wait().success());
    daemon.start_again();
    for who in &mut everybody {
        (who.client, who.other) = (who.client.at(daemon.address), who.other.at(daemon.address));
    }
    // At its start the daemon read of whom its command line registered meanwhile.
    everybody.retain(|who| who.role.is_some() || who.by == "nothing");
    walk("locked", &everybody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_failed_box_is_closed_but_what_says_why() {
    let mut daemon = Daemon::start();
    let mut everybody = by_certificates(&daemon).await;
    everybody.extend(by_tokens(&daemon).await);
    assert_eq!(daemon.end(), Some(0));
    let format = daemon.pki().with_file_name("store").join("format");
    std::fs::write(format, "authenteon-store 7\n").unwrap();
    daemon.start_again();
    for who in &mut everybody {
        (who.client, who.other) = (who.client.at(daemon.address), who.other.at(daemon.address));
    }
    // Without its store it takes the registry as it finds it.
    everybody.retain(|who| who.role.is_some() || who.by == "nothing");
    walk("failed", &everybody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_degraded_box_is_open_to_its_roles_and_to_nobody_else() {
    const PEOPLE: u32 = 6000;
    let mut daemon = Daemon::start();
    let everybody = by_certificates(&daemon).await;
    let person = enrolled(&Client::named(&daemon, "officer"), "125").await;
    assert_eq!(daemon.end(), Some(0));
    let store = daemon.pki().with_file_name("store");
    fill(&store, PEOPLE, &person);
    daemon.start_again();
    // After a kill the index is made anew, which takes a while of so many.
    daemon.kill();
    daemon.start_again();
    let everybody: Vec<_> = everybody
        .into_iter()
        .filter(|who| who.role.is_some() || who.by == "nothing")
        .map(|who| Somebody {
            client: who.client.at(daemon.address),
            other: who.other.at(daemon.address),
            ..who
        })
        .collect();
    let boss = Client::named(&daemon, "administrator");
    assert_eq!(
        boss.get("/v1/health/ready").await.body["state"],
        "degraded",
        "it was over before it was looked at"
    );
    walk("degraded", &everybody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_box_that_nobody_has_claimed_is_closed_but_the_claim() {
    let daemon = Daemon::unclaimed(None);
    for role in ROLES {
        daemon.add_client(role, role);
    }
    daemon.hang_up();
    let somebody = |role, client: Client| Somebody { role, by: "certificate", other: client.clone(), client };
    let mut everybody = vec![somebody(None, Client::stranger(&daemon))];
    everybody.extend(ROLES.map(|role| somebody(Some(role), Client::named(&daemon, role))));
    walk("unprovisioned", &everybody).await;
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
