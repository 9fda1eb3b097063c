//! The policy of groups, stations and operations: kept, in force, and over a restart.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Daemon, enrolled, fixture, identification, known, sample, verification,
};

/// Hours in which nobody asks: a minute of a day that is neither today nor tomorrow, in any zone.
fn never() -> String {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // The first of January 1970 was a Thursday.
    let today = (now / 86_400 + 3) % 7;
    format!("{} 03:00-03:01 +00:00", days[((today + 3) % 7) as usize])
}

async fn put(by: &Client, path: &str, body: &Value) -> Answer {
    by.ask(&Method::PUT, path, Some(body.to_string().into_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_a_station_and_an_operation_are_held_to_their_hours_and_others_are_not() {
    let mut daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let (ada, bob) = (enrolled(&officer, "125").await, enrolled(&officer, "126").await);
    let changed = officer
        .ask(
            &Method::PATCH,
            &format!("/v1/subjects/{ada}"),
            Some(json!({ "name": "Ada L.", "groups": ["night", "lab"] }).to_string().into_bytes()),
        )
        .await;
    assert_eq!(
        (changed.status, &changed.body["groups"]),
        (200, &json!(["lab", "night"])),
        "{:?}",
        changed.body
    );
    assert_eq!(changed.body["name"], "Ada L.");

    let hours = json!({ "hours": [never()] });
    let tried = put(&boss, "/v1/policy/group/night?dry_run=true", &hours).await;
    assert_eq!((tried.status, &tried.body["effective"]), (200, &json!(true)), "{:?}", tried.body);
    assert_eq!(boss.get("/v1/policy/group/night").await.problem(), "unknown-restriction");
    assert_eq!(put(&boss, "/v1/policy/group/night", &hours).await.status, 200);

    daemon.kill();
    daemon.start_again();
    let (boss, officer) = (Client::named(&daemon, "boss"), Client::named(&daemon, "officer"));
    let station2 = Client::named(&daemon, "station");
    drop(station);
    let station = station2;
    let verify = async |subject: &str, print: &str| {
        station.post("/v1/verify", &verification(subject, sample(&fixture(print)))).await.body
    };
    assert_eq!(verify(&ada, "125_4").await["reason"], "outside-hours");
    assert_eq!(verify(&ada, "127_1").await["reason"], "not-matched", "a wrong finger learns nothing of it");
    assert_eq!(verify(&bob, "126_4").await["decision"], "accept");
    let listed = boss.get("/v1/policy").await.body;
    assert_eq!(
        (&listed["restrictions"][0]["kind"], &listed["restrictions"][0]["name"]),
        (&json!("group"), &json!("night"))
    );
    assert_eq!(listed["everybody"]["verify_one_in"], json!(10_000.0));

    // Of an operation everybody is told before anything is looked at.
    assert_eq!(put(&boss, "/v1/policy/operation/identify", &hours).await.status, 200);
    let who = station.post("/v1/identify", &identification(sample(&fixture("127_2")))).await.body;
    assert_eq!(who["reason"], "outside-hours");
    assert_eq!(put(&boss, "/v1/policy/station/station", &hours).await.status, 200);
    assert_eq!(verify(&bob, "128_1").await["reason"], "outside-hours");
    for path in ["group/night", "operation/identify", "station/station"] {
        assert_eq!(boss.ask(&Method::DELETE, &format!("/v1/policy/{path}"), None).await.status, 204);
    }
    let who = station.post("/v1/identify", &identification(sample(&fixture("127_3")))).await.body;
    assert_eq!(who["reason"], "not-matched");
    let shown = officer.get(&format!("/v1/subjects/{ada}")).await.body;
    assert_eq!(shown["groups"], json!(["lab", "night"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_rate_refuses_what_was_good_enough_and_nonsense_is_refused_by_name() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    for (path, body, status, say) in [
        ("/v1/policy/group/night", json!({ "verify_one_in": 0.5 }), 422, "verify_one_in"),
        ("/v1/policy/group/night", json!({ "hours": ["always"] }), 400, "mon-fri"),
        ("/v1/policy/group/night", json!({}), 422, "nothing"),
        ("/v1/policy/group/night", json!({ "colour": "red" }), 400, "colour"),
        ("/v1/policy/group/Night%20Shift", json!({ "verify_one_in": 5 }), 400, "group has"),
        ("/v1/policy/operation/enrol", json!({ "verify_one_in": 5 }), 400, "verify and identify"),
        ("/v1/policy/role/station", json!({ "verify_one_in": 5 }), 400, "a group, a station"),
        ("/v1/policy/group/night?dry=1", json!({ "verify_one_in": 5 }), 400, "dry"),
    ] {
        let answer = put(&boss, path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {:?}", answer.body);
        assert!(answer.detail().contains(say), "{path} {body}: {}", answer.detail());
    }
    let lax = put(&boss, "/v1/policy/group/night", &json!({ "verify_one_in": 100 })).await;
    assert_eq!((lax.status, &lax.body["effective"]), (200, &json!(false)));
    assert_eq!(lax.body["in_force"]["verify_one_in"], json!(10_000.0));
}
