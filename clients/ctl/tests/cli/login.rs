//! Signing in to a box of cardboard: what is sent, what is kept, and what is never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Asked, Cardboard};

fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    let body = match asked.line.as_str() {
        "POST /v1/sessions/setup" => json!({"secret": "GEZDGNBV", "otpauth": "otpauth://totp/x"}),
        "POST /v1/sessions" => {
            json!({"token": "aus_secret", "role": "administrator", "idle_seconds": 900, "longest_seconds": 28800})
        }
        "POST /v1/tokens" => json!({"secret": "aut_secret", "token": {"name": "nightly", "role": "backup",
            "scopes": [], "by": "boss", "made": "2026-11-29T00:00:00Z", "expires": "2027-02-27T00:00:00Z"}}),
        "POST /v1/accounts" => json!({"password": "AAAA-BBBB-CCCC-DDDD", "account": {}}),
        "DELETE /v1/sessions/self" => return (204, Vec::new()),
        _ => json!({"status": "ok"}),
    };
    (200, body.to_string().into_bytes())
}

#[test]
fn a_session_is_kept_in_a_file_of_one_s_own_used_and_ended() {
    let (cardboard, folder) = (Cardboard::start(answer), tempfile::tempdir().unwrap());
    let (file, answers) = (folder.path().join("session"), folder.path().join("answers"));
    fs::write(&answers, "first one\ncorrect horse battery\n123456\n").unwrap();
    let [file, answers] = [&file, &answers].map(|path| path.to_str().unwrap());
    let ca = cardboard.pki.file("ca.pem");
    let connection = ["--cacert", ca.to_str().unwrap(), "--token-file", file];
    let ask = |arguments: &[&str]| cardboard.ctl_bare(&[&connection, arguments].concat());
    let run = ask(&["login", "ada", "--first", "--answers-file", answers]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("GEZDGNBV") && !run.out.contains("GEZDGNBV"), "{run:?}");
    assert!(!run.out.contains("aus_secret") && !run.err.contains("aus_secret"), "{run:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), "aus_secret");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let asked = cardboard.asked();
    let set_up =
        json!({"account": "ada", "first_password": "first one", "password": "correct horse battery"});
    assert_eq!((&asked[0].body, &asked[0].bearer), (&set_up, &None));
    let sign_in = json!({"account": "ada", "password": "correct horse battery", "code": "123456"});
    assert_eq!((&asked[1].body, &asked[1].bearer), (&sign_in, &None));

    assert_eq!(ask(&["health"]).code, 0);
    assert_eq!(ask(&["logout"]).code, 0);
    let asked = cardboard.asked();
    let last = asked.last().unwrap();
    assert_eq!(last.line, "DELETE /v1/sessions/self");
    assert_eq!(last.bearer.as_deref(), Some("Bearer aus_secret"));
    assert!(!fs::exists(file).unwrap());
}

#[test]
fn a_token_goes_into_a_new_file_and_a_first_password_is_the_answer() {
    let (cardboard, folder) = (Cardboard::start(answer), tempfile::tempdir().unwrap());
    let out = folder.path().join("token");
    let arguments = [
        "token",
        "add",
        "nightly",
        "--role",
        "backup",
        "--scope",
        "/v1/system/backup",
        "--out",
        out.to_str().unwrap(),
    ];
    let run = cardboard.ctl(&arguments);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.out.contains("aut_secret"), "{run:?}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "aut_secret");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(cardboard.ctl(&arguments).code, 2, "nothing is overwritten");
    // A token is not made when there is no place for its secret.
    let nowhere = folder.path().join("nowhere/token");
    let run = cardboard.ctl(&["token", "add", "x", "--role", "backup", "--out", nowhere.to_str().unwrap()]);
    assert_eq!((run.code, cardboard.asked().len()), (1, 1), "{run:?}");
    let made = cardboard.ctl(&["account", "add", "ada"]);
    assert!(made.code == 0 && made.out.contains("AAAA-BBBB-CCCC-DDDD"), "{made:?}");
}
