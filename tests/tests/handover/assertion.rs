//! Assertions, verified by whom they are for: with the lines of the documentation.

use std::process::Command;

use authenteon_tests::servers::{
    people,
    slapd::{self, Options, Slapd},
};
use hyper::Method;
use serde_json::{Value, json};

use crate::{needs, office::Office};

/// The Python of `docs/handover.md`.
fn documented() -> String {
    let text = include_str!("../../../docs/handover.md");
    let (_, rest) = text.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Python with the libraries of tests, if it can be had.
fn python() -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/venv");
    let output = Command::new(script).output().map_err(|why| why.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let python = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let there = Command::new(&python).args(["-c", "import jwt"]).output().map_err(|why| why.to_string())?;
    if there.status.success() { Ok(python) } else { Err("PyJWT is not installed".into()) }
}

fn verified(python: &str, arguments: [&str; 5]) -> Result<Value, String> {
    let program = format!(
        "{}\nimport json, sys\ntoken, keys, *rest = sys.argv[1:]\nprint(json.dumps(who(token, json.loads(keys), *rest)))\n",
        documented()
    );
    let output = Command::new(python).args(["-c", &program]).args(arguments).output().unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn handover_an_assertion_is_verified_by_the_lines_of_the_documentation_and_by_nobody_else() {
    needs!(Slapd);
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let slapd = Slapd::start(people(), Options::default()).unwrap();
    let office = Office::open(slapd.namespace.entrance(), &slapd.followed(), slapd::PASSWORD, "");
    let mut probes = office.enrolled("p00006", 9).probes.into_iter();
    let wanted = |audience: &str| json!({"assertion": {"audience": audience}});
    office.grant(&json!({"audiences": ["https://app.example"], "may_issue": false}));
    let (_, answer) = office.accepted("P00006@mit.example", &mut probes, &wanted("https://app.example"));
    let token = answer["assertion"].as_str().unwrap();
    let nonce = answer["nonce"].as_str().unwrap();
    let (status, keys) = office.ask("auditor", &Method::GET, "/v1/assertions/keys", &Value::Null);
    assert_eq!(status, 200, "{keys}");
    let keys = keys.to_string();
    let ask = |token: &str, issuer: &str, audience: &str, nonce: &str| {
        verified(&python, [token, &keys, issuer, audience, nonce])
    };
    let (issuer, app) = ("https://finger.example", "https://app.example");
    let claims = ask(token, issuer, app, nonce).unwrap();
    assert_eq!(claims["sub"], answer["subject_id"]);
    assert_eq!((&claims["amr"], &claims["preferred_username"]), (&json!(["fpt"]), &"p00006".into()));
    assert_eq!(claims["upn"], "p00006@mit.example");
    assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 60);
    for (token, issuer, audience, nonce) in [
        (token, issuer, "https://other.example", nonce),
        (token, "https://other.example", app, nonce),
        (token, issuer, app, "another nonce"),
        (&token[..token.len() - 4], issuer, app, nonce),
    ] {
        assert!(ask(token, issuer, audience, nonce).is_err(), "{issuer} {audience} {nonce}");
    }
    // With another key, published before it signs.
    let (status, rotated) =
        office.ask("administrator", &Method::POST, "/v1/assertions/keys/rotate", &json!({}));
    assert_eq!(status, 200, "{rotated}");
    assert!(ask(token, issuer, app, nonce).is_ok(), "what was signed before is good still");
    // An audience that was not granted is refused before anybody lays a finger down.
    let body = json!({"login": "p00006", "sample": {"sensor": "none", "timeout_ms": 1000}, "request_id": "other", "nonce":
        "0123456789abcdef", "assertion": {"audience": "https://other.example"}});
    let (status, problem) = office.ask("station", &Method::POST, "/v1/verify", &body);
    assert_eq!(
        (status, problem["type"].to_string().contains("audience-not-granted")),
        (403, true),
        "{problem}"
    );
}
