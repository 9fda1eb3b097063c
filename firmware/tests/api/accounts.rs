//! People who sign in, and programs with tokens, at the running daemon.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Daemon, known};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The code that an app shows, so many steps from now.
pub(crate) fn code(secret: &str, steps: u64) -> String {
    let bits = secret.bytes().fold(String::new(), |bits, symbol| {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|s| *s == symbol).unwrap();
        bits + &format!("{value:05b}")
    });
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks(8)
        .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
        .collect();
    let step = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30 + steps;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

/// Makes an account and sets it up; gives the secret of its codes.
pub(crate) async fn account(boss: &Client, stranger: &Client, name: &str, role: &str) -> String {
    let made = boss.post("/v1/accounts", &json!({ "name": name, "role": role })).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let first = made.body["password"].as_str().unwrap();
    let body = json!({ "account": name, "first_password": first, "password": PASSWORD });
    let set_up = stranger.post("/v1/sessions/setup", &body).await;
    assert_eq!(set_up.status, 200, "{:?}", set_up.body);
    let secret = set_up.body["secret"].as_str().unwrap().to_owned();
    assert!(set_up.body["otpauth"].as_str().unwrap().contains(&secret));
    secret
}

pub(crate) async fn sign_in(stranger: &Client, name: &str, code: &str) -> Answer {
    let body = json!({ "account": name, "password": PASSWORD, "code": code });
    stranger.post("/v1/sessions", &body).await
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_signs_in_with_password_and_code_and_is_cut_off_at_once_when_removed() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let secret = account(&boss, &stranger, "ada", "administrator").await;
    let code_now = code(&secret, 0);
    let signed = sign_in(&stranger, "ada", &code_now).await;
    assert_eq!((signed.status, &signed.body["role"]), (201, &json!("administrator")), "{:?}", signed.body);
    let token = text(&signed, "token");
    let ada = stranger.showing(&token);
    assert_eq!(ada.get("/v1/stations").await.status, 200);
    assert_eq!(ada.get("/v1/health/ready").await.status, 200);
    let replayed = sign_in(&stranger, "ada", &code_now).await;
    assert_eq!((replayed.status, replayed.problem()), (401, "not-signed-in"));

    // On a connection that stays open too.
    let mut open = ada.open().await;
    let ask = || ada.request(&Method::GET, "/v1/subjects").body(Default::default()).unwrap();
    assert_eq!(ada.send(&mut open, ask()).await.status, 200);
    assert_eq!(boss.ask(&Method::DELETE, "/v1/accounts/ada", None).await.status, 204);
    assert_eq!(ada.send(&mut open, ask()).await.status, 401);

    let secret = account(&boss, &stranger, "ada", "officer").await;
    let signed = sign_in(&stranger, "ada", &code(&secret, 0)).await;
    let later = stranger.showing(&text(&signed, "token"));
    assert_eq!((later.get("/v1/stations").await.status, later.get("/v1/subjects").await.status), (403, 200));
    assert_eq!(later.ask(&Method::DELETE, "/v1/sessions/self", None).await.status, 204);
    assert_eq!(later.get("/v1/subjects").await.status, 401);
    assert_eq!(ada.get("/v1/subjects").await.status, 401);
    for told in [&token, PASSWORD, &secret] {
        assert!(!daemon.said().log().contains(told), "{told} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_in_does_not_learn_why_and_waits_after_five_attempts() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    let secret = account(&boss, &stranger, "ada", "administrator").await;
    let try_in = async |name: &str, password: &str, code: &str| {
        let body = json!({ "account": name, "password": password, "code": code });
        let mut answer = stranger.post("/v1/sessions", &body).await;
        // Each request has an id of its own.
        assert!(answer.body.as_object_mut().unwrap().remove("instance").is_some());
        (answer.status, answer.body)
    };
    let good = code(&secret, 0);
    let wrong_password = try_in("ada", "another horse", &good).await;
    assert_eq!(wrong_password.0, 401);
    assert_eq!(try_in("ada", PASSWORD, "000000").await, wrong_password);
    assert_eq!(try_in("nobody", PASSWORD, &good).await, wrong_password);
    assert_eq!(try_in("../ada\n", PASSWORD, &good).await, wrong_password);
    for name in ["ada", "nobody"] {
        for _ in 0..4 {
            try_in(name, "another horse", &good).await;
        }
        let (status, body) = try_in(name, PASSWORD, &good).await;
        assert_eq!(
            (status, &body["type"]),
            (429, &json!("urn:authenteon:problem:too-many-attempts")),
            "{name}"
        );
    }
    let bad = json!({ "account": "ada", "password": "x", "code": "1", "more": 1 });
    assert_eq!(stranger.post("/v1/sessions", &bad).await.status, 400);
    let short = json!({ "account": "ada", "first_password": "x", "password": "short" });
    assert_eq!(stranger.post("/v1/sessions/setup", &short).await.problem(), "password-too-short");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_none_takes_as_long_to_refuse() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let stranger = Client::stranger(&daemon);
    account(&boss, &stranger, "ada", "administrator").await;
    let mut took = [Duration::MAX; 2];
    for _ in 0..4 {
        for (name, took) in ["ada", "nobody"].into_iter().zip(&mut took) {
            let began = std::time::Instant::now();
            let body = json!({ "account": name, "password": "another horse", "code": "000000" });
            assert_eq!(stranger.post("/v1/sessions", &body).await.status, 401);
            *took = began.elapsed().min(*took);
        }
    }
    let [known, unknown] = took;
    // Without the work of argon2id it would be a hundredth.
    assert!(unknown * 3 > known && known * 3 > unknown, "{known:?} {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_its_scopes_say_until_it_is_revoked() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let make = async |body: Value| boss.post("/v1/tokens", &body).await;
    let scopes = json!(["GET /v1/subjects", "/v1/sensors"]);
    let made = make(json!({ "name": "sync", "role": "officer", "expires_days": 30, "scopes": scopes })).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let secret = text(&made, "secret");
    for (body, slug) in [
        (json!({ "name": "sync", "role": "officer", "expires_days": 30 }), "name-taken"),
        (json!({ "name": "x", "role": "officer", "expires_days": 0 }), "bad-expiry"),
        (json!({ "name": "x", "role": "officer", "expires_days": 367 }), "bad-expiry"),
        (json!({ "name": "x", "role": "officer", "expires_days": 1, "scopes": ["/v1/verify"] }), "bad-scope"),
        (json!({ "name": "x", "role": "king", "expires_days": 1 }), "bad-request"),
    ] {
        assert_eq!(make(body.clone()).await.problem(), slug, "{body}");
    }
    daemon.kill();
    daemon.start_again();
    let (boss, stranger) = (Client::named(&daemon, "boss"), Client::stranger(&daemon));
    let program = stranger.showing(&secret);
    assert_eq!(program.get("/v1/subjects").await.status, 200);
    assert_eq!(program.get("/v1/sensors").await.status, 200);
    assert_eq!(program.post("/v1/subjects", &json!({ "name": "x" })).await.problem(), "forbidden");
    assert_eq!(program.get("/v1/health/ready").await.problem(), "forbidden");
    for none in ["aut_x", "aus_x", &secret[..secret.len() - 1]] {
        assert_eq!(stranger.showing(none).get("/v1/subjects").await.status, 401);
    }
    // A token is looked at without a certificate only: one credential at a time.
    let station = Client::named(&daemon, "station").showing(&secret);
    assert_eq!(station.get("/v1/subjects").await.status, 403);

    let listed = boss.get("/v1/tokens").await.body;
    assert_eq!((&listed["tokens"][0]["name"], &listed["tokens"][0]["scopes"]), (&json!("sync"), &scopes));
    assert!(!listed.to_string().contains(&secret));
    assert_eq!(boss.ask(&Method::DELETE, "/v1/tokens/sync", None).await.status, 204);
    assert_eq!(program.get("/v1/subjects").await.status, 401);
    assert_eq!(boss.ask(&Method::DELETE, "/v1/tokens/sync", None).await.problem(), "unknown-token");
    assert!(!daemon.said().log().contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_s_token_makes_no_other_credentials() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let made =
        boss.post("/v1/tokens", &json!({ "name": "all", "role": "administrator", "expires_days": 1 })).await;
    let program = Client::stranger(&daemon).showing(&text(&made, "secret"));
    assert_eq!(program.get("/v1/stations").await.status, 200);
    for path in ["/v1/stations", "/v1/invitations", "/v1/accounts", "/v1/tokens"] {
        assert_eq!(program.post(path, &json!({})).await.problem(), "forbidden", "{path}");
    }
    assert_eq!(program.ask(&Method::DELETE, "/v1/stations/boss", None).await.status, 403);
}
