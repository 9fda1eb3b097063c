//! `login --kinit` at a box of cardboard, with a `kinit` of cardboard: what each is told, and what is left of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Asked, Cardboard, Run};

const SUBJECT: &str = "01900000-0000-7000-8000-000000000000";
/// Writes down what it is asked, and of the key whose it is; or fails as Kerberos does.
const KINIT: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$@" > asked
for argument; do
  case $argument in
    X509_user_identity=FILE:*) key=${argument#*,} ;;
  esac
done
stat -c %a "$key" "$(dirname "$key")" > modes
echo "$key" > key
[ ! -e fails ] || { cat fails >&2; exit 1; }
"#;

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The box accepts Ada at its reader, refuses Bob, and answers Eve with what it decided about Ada.
fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    let of = |key: &str| asked.body[key].clone();
    let decided = |more: Value| {
        let mut said =
            json!({"request_id": of("request_id"), "nonce": of("nonce"), "liveness": "not-assessed"});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said
    };
    let answer = match (asked.line.as_str(), asked.body["login"].as_str()) {
        ("POST /v1/verify", Some("ada")) => decided(json!({"decision": "accept", "subject_id": SUBJECT})),
        ("POST /v1/verify", Some("bob")) => decided(json!({"decision": "refuse", "reason": "not-matched"})),
        ("POST /v1/verify", _) => {
            json!({"decision": "accept", "subject_id": SUBJECT, "request_id": "1", "nonce": "2"})
        }
        _ => {
            let answer = json!({"certificate": "PEM", "authority": "PEM", "upn": "ada@corp.example", "expires": "soon"});
            return (201, answer.to_string().into_bytes());
        }
    };
    let told = event("place-finger", &json!({"sensor": "usb-1"})) + &event("result", &answer);
    (200, told.into_bytes())
}

/// Gets a ticket of somebody into a cache, with what `kinit` leaves in a folder.
fn login(cardboard: &Cardboard, folder: &Path, who: &str) -> Run {
    let kinit = folder.join("kinit");
    fs::write(&kinit, KINIT).unwrap();
    fs::set_permissions(&kinit, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteonctl"));
    command.env("PATH", path).env("XDG_CONFIG_HOME", folder);
    command.arg("--server").arg(format!("https://{}", cardboard.address));
    for (option, file) in [("--cacert", "ca.pem"), ("--cert", "client.pem"), ("--key", "client.key")] {
        command.arg(option).arg(cardboard.pki.file(file));
    }
    command.args(["--json", "login", "--kinit", who, "--sensor", "usb-1", "--cache", "FILE:/tmp/x"]);
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    Run { code: output.status.code().unwrap(), out, err }
}

#[test]
fn a_finger_becomes_a_ticket_of_a_key_that_nobody_else_reads_and_that_is_gone() {
    let (cardboard, folder) = (Cardboard::start(answer), tempfile::tempdir().unwrap());
    let run = login(&cardboard, folder.path(), "ada");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["principal"], "ada@CORP.EXAMPLE");
    let told: Vec<Value> = run.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = told.iter().map(|told| told["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["place-finger", "accepted", "certified"]);

    let asked = cardboard.asked();
    assert_eq!(asked[0].body["sample"]["sensor"], "usb-1");
    assert_eq!(asked[0].body["certificate"]["key_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(asked[1].line, "POST /v1/certificates");
    assert_eq!(asked[1].body["request_id"], asked[0].body["request_id"]);
    assert!(asked[1].body["csr"].as_str().unwrap().contains("CERTIFICATE REQUEST"));

    let left = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    assert!(left("asked").ends_with("-c FILE:/tmp/x -- ada@CORP.EXAMPLE\n"), "{}", left("asked"));
    assert_eq!(left("modes"), "600\n700\n");
    assert!(!Path::new(left("key").trim()).parent().unwrap().exists());
}

#[test]
fn who_is_refused_or_accepted_for_somebody_else_s_request_has_no_ticket() {
    let (cardboard, folder) = (Cardboard::start(answer), tempfile::tempdir().unwrap());
    let refused = login(&cardboard, folder.path(), "bob");
    assert_eq!((refused.code, &refused.json()["reason"]), (4, &json!("not-matched")), "{refused:?}");
    let other = login(&cardboard, folder.path(), "eve");
    assert!(other.code == 1 && other.out.contains("another request"), "{other:?}");
    assert_eq!(cardboard.asked().len(), 2, "no certificate was asked for");
    assert!(!folder.path().join("asked").exists());
}

#[test]
fn what_kerberos_refuses_comes_with_what_to_do_and_the_key_is_gone_too() {
    let (cardboard, folder) = (Cardboard::start(answer), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("fails"), "kinit: Clock skew too great while getting initial credentials\n")
        .unwrap();
    let run = login(&cardboard, folder.path(), "ada");
    assert!(run.code == 1 && run.out.contains("Clock skew") && run.out.contains("look at both"), "{run:?}");
    let key = fs::read_to_string(folder.path().join("key")).unwrap();
    assert!(!Path::new(key.trim()).exists());
}
