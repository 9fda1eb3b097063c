//! Coming into a box of cardboard with a code: what is sent to whom, and what is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{BOX, Cardboard, Pki, ctl, ctl_at};

/// The code of a box with this authority, as the daemon writes it.
fn code(sha256: &str, name: &str) -> String {
    let mut bytes = vec![7; 20];
    bytes.extend((0..32).map(|n| u8::from_str_radix(&sha256[2 * n..2 * n + 2], 16).unwrap()));
    bytes.extend(2_000_000_000_u32.to_be_bytes());
    bytes.push(1);
    bytes.extend(name.bytes());
    let check: Vec<u8> = Sha256::digest(&bytes)[..4].to_vec();
    bytes.extend(check);
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let symbols = bits.as_bytes().chunks(5).map(|five| {
        let five = format!("{:0<5}", std::str::from_utf8(five).unwrap());
        char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[usize::from_str_radix(&five, 2).unwrap()])
    });
    format!("AU1{}", symbols.collect::<String>())
}

/// A file with a code, in a folder of its own.
fn written(code: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("code");
    fs::write(&file, format!("{code}\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

/// A box that lets in whoever has its code.
fn open() -> Cardboard {
    let pki = Arc::new(Pki::new());
    let signer = Arc::clone(&pki);
    let answer = move |asked: &crate::support::Asked| match asked.line.as_str() {
        "POST /v1/join" => {
            let certificate = signer.certify(asked.body["csr"].as_str().unwrap());
            let body = json!({"name": "desk-1", "role": "station", "sha256": "00",
                "certificate": certificate, "ca": signer.authority(), "device_id": BOX});
            (200, body.to_string().into_bytes())
        }
        "POST /v1/stations/self/renew" => {
            let certificate = signer.certify(asked.body["csr"].as_str().unwrap());
            let station = json!({"name": "desk-1", "role": "station", "sha256": "00", "renewed": false});
            let body = json!({"station": station, "certificate": certificate, "ca": signer.authority()});
            (201, body.to_string().into_bytes())
        }
        _ => (200, b"{}".to_vec()),
    };
    Cardboard::of(pki, Arc::new(answer))
}

#[test]
fn who_has_a_code_gets_a_certificate_for_a_key_of_his_own_and_tries_it() {
    let (cardboard, root) = (open(), tempfile::tempdir().unwrap());
    let out = root.path().join("desk");
    let code = code(&cardboard.pki.sha256(), "desk-1");
    let (_kept, file) = written(&code);
    let run = cardboard.ctl_bare(&[
        "station",
        "join",
        "--code-file",
        &file,
        "--out",
        out.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["cert"], out.join("desk-1.pem").to_str().unwrap());
    let mode = |name: &str| fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("desk-1.key"), mode("ca.pem")), (0o600, 0o644));
    let asked = cardboard.asked();
    assert_eq!(asked[0].line, "POST /v1/join");
    assert_eq!(asked[0].body["ticket"], code[3..35]);
    assert!(!asked[0].with_certificate && !asked[0].body.to_string().contains("PRIVATE"));
    assert_eq!(asked[1].line, "GET /v1/health/ready");
    assert!(asked[1].with_certificate);
    // The box is known by its id, whatever address its certificate names: here none that it has.
    let [ca, cert, key] = ["ca.pem", "desk-1.pem", "desk-1.key"].map(|name| out.join(name));
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let elsewhere = format!("https://localhost:{}", cardboard.address.port());
    let by_id = ["--server", &elsewhere, "--cacert", ca, "--cert", cert, "--key", key, "health"];
    assert_eq!(ctl(&by_id).code, 0, "{:?}", ctl(&by_id));
    let other = [&by_id[..], &["--box-id", "11111111-1111-4111-8111-111111111111"]].concat();
    assert_eq!(ctl(&other).code, 78, "another box of the same authority");
    fs::remove_file(out.join("box-id")).unwrap();
    assert_eq!(ctl(&by_id).code, 78, "by its address");
    let before = cardboard.asked().len();
    // What is there is not overwritten, and the box is not asked.
    let again =
        cardboard.ctl_bare(&["station", "join", "--code-file", &file, "--out", out.to_str().unwrap()]);
    assert_eq!((again.code, cardboard.asked().len()), (2, before), "{again:?}");
}

#[test]
fn who_joins_has_a_profile_with_the_authority_of_the_code_unless_he_names_a_folder() {
    let (cardboard, root) = (open(), tempfile::tempdir().unwrap());
    let code = code(&cardboard.pki.sha256(), "desk-1");
    let (_kept, file) = written(&code);
    let server = format!("https://{}", cardboard.address);
    let join =
        ["--server", &server, "--profile", "branch", "station", "join", "--code-file", &file, "--json"];
    let run = ctl_at(root.path(), &join);
    assert_eq!((run.code, run.json()["profile"].as_str()), (0, Some("branch")), "{run:?}");
    let list = fs::read_to_string(root.path().join("authenteon/profiles.toml")).unwrap();
    assert!(list.contains(&cardboard.pki.sha256()) && list.contains("branch/desk-1.pem"), "{list}");
    // Nothing else is to be said from now on.
    assert_eq!(ctl_at(root.path(), &["health"]).code, 0);
    // Another authority in the place of the one of the code is noticed.
    fs::write(root.path().join("authenteon/branch/ca.pem"), Pki::new().authority()).unwrap();
    assert_eq!(ctl_at(root.path(), &["health"]).code, 78);
}

#[test]
fn a_box_of_another_authority_than_the_one_in_the_code_is_sent_nothing() {
    let (cardboard, root) = (open(), tempfile::tempdir().unwrap());
    let other = Pki::new().sha256();
    let folder = root.path().to_str().unwrap();
    let run = cardboard.ctl_bare(&[
        "station",
        "join",
        "--code-file",
        &written(&code(&other, "desk-1")).1,
        "--out",
        folder,
    ]);
    assert_eq!(run.code, 78, "{run:?}");
    assert!(run.err.contains(&other) && run.err.contains("sent nothing"), "{run:?}");
    assert!(cardboard.asked().is_empty());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    // One who shows the right authority, and has not its key, is sent nothing either.
    let truth = Arc::new(Pki::new());
    let liar = Cardboard::showing(Arc::new(Pki::new()), &truth);
    let (_kept, file) = written(&code(&truth.sha256(), "desk-1"));
    let run = liar.ctl_bare(&["station", "join", "--code-file", &file, "--out", folder]);
    assert_eq!((run.code, liar.asked().len()), (78, 0), "{run:?}");
}

#[test]
fn a_code_that_was_mistyped_goes_nowhere() {
    let (cardboard, root) = (open(), tempfile::tempdir().unwrap());
    let code = code(&cardboard.pki.sha256(), "desk-1");
    let (_kept, file) = written(&code[..code.len() - 1]);
    let folder = root.path().to_str().unwrap();
    let server = format!("https://{}", cardboard.address);
    let run = ctl(&["--server", &server, "station", "join", "--code-file", &file, "--out", folder]);
    assert_eq!((run.code, cardboard.asked().len()), (2, 0), "{run:?}");
}

#[test]
fn an_administrator_invites_lists_withdraws_and_renames() {
    fn answer(asked: &crate::support::Asked) -> (u16, Vec<u8>) {
        let invitation = json!({"id": "01020304", "name": "desk-1", "role": "station", "by": "boss",
            "made": "2026-11-29T00:00:00Z", "expires": "2026-11-30T00:00:00Z"});
        let body = match asked.line.as_str() {
            "POST /v1/invitations" => json!({"invitation": invitation, "code": "AU1SECRET"}),
            "GET /v1/invitations" => json!({"invitations": [invitation]}),
            "DELETE /v1/invitations/01020304" => return (204, Vec::new()),
            _ => json!({"name": "desk-2", "role": "station", "sha256": "00"}),
        };
        (200, body.to_string().into_bytes())
    }
    let cardboard = Cardboard::start(answer);
    let made = cardboard.ctl(&["station", "invite", "desk-1", "--expires", "2h"]);
    assert!(made.code == 0 && made.out.contains("AU1SECRET"), "{made:?}");
    let listed = cardboard.ctl(&["station", "invitations"]);
    assert!(listed.out.contains("01020304") && listed.out.contains("desk-1"), "{listed:?}");
    assert_eq!(cardboard.ctl(&["station", "withdraw", "01020304"]).code, 0);
    assert_eq!(cardboard.ctl(&["station", "withdraw", "../x"]).code, 2);
    assert_eq!(cardboard.ctl(&["station", "rename", "desk-1", "desk-2"]).code, 0);
    let asked = cardboard.asked();
    let expected = json!({"name": "desk-1", "role": "station", "expires_minutes": 120});
    assert_eq!(asked[0].body, expected);
    let last = asked.last().unwrap();
    assert_eq!((last.line.as_str(), &last.body), ("PATCH /v1/stations/desk-1", &json!({"name": "desk-2"})));
}

#[test]
fn a_certificate_is_renewed_in_its_place_with_another_key() {
    let (cardboard, root) = (open(), tempfile::tempdir().unwrap());
    let folder = root.path().to_str().unwrap();
    let code = code(&cardboard.pki.sha256(), "desk-1");
    let (_kept, file) = written(&code);
    assert_eq!(cardboard.ctl_bare(&["station", "join", "--code-file", &file, "--out", folder]).code, 0);
    let [ca, cert, key] = ["ca.pem", "desk-1.pem", "desk-1.key"].map(|name| root.path().join(name));
    let before = [&cert, &key].map(|path| fs::read(path).unwrap());
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let identity = ["--cacert", ca, "--cert", cert, "--key", key];
    let run = cardboard.ctl_bare(&[&identity[..], &["station", "renew"]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert!([cert, key].iter().zip(&before).all(|(path, before)| fs::read(path).unwrap() != *before));
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4, "nothing is left beside");
    // Certificate and key fit, and the box is asked with them.
    assert_eq!(cardboard.ctl_bare(&[&identity[..], &["health"]].concat()).code, 0);
    assert_eq!(cardboard.ctl_bare(&["station", "renew"]).code, 78);
}
