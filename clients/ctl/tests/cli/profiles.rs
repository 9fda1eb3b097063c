//! Boxes by name: made by a claim or by hand, used without a word, and never another box's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Asked, Cardboard, Pki, Run, ctl_at};

/// A box that can be claimed, and says that it is well.
fn unclaimed() -> Cardboard {
    let pki = Arc::new(Pki::new());
    let signer = Arc::clone(&pki);
    let answer = move |asked: &Asked| {
        let answer = match asked.line.as_str() {
            "POST /v1/system/claim" => json!({
                "certificate": signer.certify(asked.body["csr"].as_str().unwrap()), "ca": signer.authority(),
                "device_id": "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11", "name": "administrator",
            }),
            _ => json!({"status": "live", "state": "operational"}),
        };
        (200, answer.to_string().into_bytes())
    };
    Cardboard::of(pki, Arc::new(answer))
}

fn claim(home: &Path, cardboard: &Cardboard, more: &[&str]) -> Run {
    let url = format!("https://{}", cardboard.address);
    let sha256 = cardboard.pki.sha256();
    ctl_at(home, &[&["claim", "--url", &url, "--ca-sha256", &sha256, "--code", "ABCD"], more].concat())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_claim_makes_a_profile_that_is_used_without_a_word() {
    let (cardboard, home) = (unclaimed(), tempfile::tempdir().unwrap());
    let run = claim(home.path(), &cardboard, &["--profile", "office"]);
    assert_eq!(run.code, 0, "{run:?}");
    let folder = home.path().join("authenteon");
    assert_eq!(mode(&folder.join("office/administrator.key")), 0o600);
    assert_eq!((mode(&folder), mode(&folder.join("profiles.toml"))), (0o700, 0o600));
    let health = ctl_at(home.path(), &["health"]);
    assert_eq!(health.code, 0, "{health:?}");
    assert!(cardboard.asked().last().unwrap().with_certificate);
    let next = run.out.lines().find_map(|line| line.trim().strip_prefix("authenteonctl ")).unwrap();
    assert_eq!(next, "--profile office health");
    // Without a name it is called as the box; the same name is not taken twice.
    let second = unclaimed();
    assert_eq!(claim(home.path(), &second, &[]).code, 0);
    let taken = claim(home.path(), &unclaimed(), &["--profile", "office"]);
    assert!(taken.code == 2 && taken.err.contains("already"), "{taken:?}");
    let listed = ctl_at(home.path(), &["--json", "profile", "list"]).json();
    assert_eq!(listed["profiles"][0]["name"], "127.0.0.1");
    assert_eq!(
        (&listed["profiles"][1]["name"], &listed["profiles"][1]["current"]),
        (&json!("office"), &json!(true))
    );
    assert_eq!(ctl_at(home.path(), &["profile", "use", "127.0.0.1"]).code, 0);
    ctl_at(home.path(), &["health"]);
    assert_eq!(second.asked().len(), 3, "the claim, and two questions of health");
}

#[test]
fn what_the_command_line_says_comes_before_the_profile() {
    let (one, other, home) = (unclaimed(), unclaimed(), tempfile::tempdir().unwrap());
    assert_eq!(claim(home.path(), &one, &["--profile", "one"]).code, 0);
    let url = format!("https://{}", other.address);
    let cacert = other.pki.file("ca.pem");
    let whole = ["--server", &url, "--cacert", cacert.to_str().unwrap(), "health"];
    assert_eq!(ctl_at(home.path(), &whole).code, 0);
    assert!(!other.asked().last().unwrap().with_certificate, "the certificate is for the other box");
    // Named and with another address: the box there is not the one that the profile is of.
    let moved = ctl_at(home.path(), &["--profile", "one", "--server", &url, "health"]);
    assert_eq!((moved.code, other.asked().len()), (78, 1), "{moved:?}");
    let unknown = ctl_at(home.path(), &["--profile", "two", "health"]);
    assert!(unknown.code == 78 && unknown.err.contains("no profile two: one"), "{unknown:?}");
}

#[test]
fn a_box_is_not_trusted_by_an_authority_that_was_written_over_its_own() {
    let (one, other, home) = (unclaimed(), unclaimed(), tempfile::tempdir().unwrap());
    assert_eq!(claim(home.path(), &one, &["--profile", "one"]).code, 0);
    let folder = home.path().join("authenteon");
    fs::copy(other.pki.file("ca.pem"), folder.join("one/ca.pem")).unwrap();
    let list = fs::read_to_string(folder.join("profiles.toml")).unwrap();
    let moved = list.replace(&one.address.to_string(), &other.address.to_string());
    assert_ne!(moved, list);
    fs::write(folder.join("profiles.toml"), moved).unwrap();
    let run = ctl_at(home.path(), &["health"]);
    assert!(run.code == 78 && run.err.contains("not the authority"), "{run:?}");
    assert!(other.asked().is_empty());
}

#[test]
fn a_key_that_others_can_read_is_refused_and_a_list_that_cannot_be_read_says_where() {
    let (cardboard, home) = (unclaimed(), tempfile::tempdir().unwrap());
    assert_eq!(claim(home.path(), &cardboard, &["--profile", "one"]).code, 0);
    let folder = home.path().join("authenteon");
    let key = folder.join("one/administrator.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let run = ctl_at(home.path(), &["health"]);
    assert!(run.code == 78 && run.err.contains("chmod 600"), "{run:?}");
    fs::write(folder.join("profiles.toml"), "current = 3\n").unwrap();
    let run = ctl_at(home.path(), &["health"]);
    assert!(run.code == 78 && run.err.contains("profiles.toml"), "{run:?}");
    // What needs no box needs no list either.
    assert_eq!(ctl_at(home.path(), &["completions", "bash"]).code, 0);
}

#[test]
fn a_profile_is_made_of_files_that_are_there_shown_and_removed() {
    let (cardboard, home) = (unclaimed(), tempfile::tempdir().unwrap());
    let url = format!("https://{}", cardboard.address);
    let files = ["ca.pem", "client.pem", "client.key"].map(|name| cardboard.pki.file(name));
    let [ca, cert, key] = files.each_ref().map(|path| path.to_str().unwrap());
    let add = ["--server", &url, "--cacert", ca, "--cert", cert, "--key", key, "profile", "add", "by-hand"];
    let open = ctl_at(home.path(), &add);
    assert!(open.code == 78 && open.err.contains("others can read"), "{open:?}");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ctl_at(home.path(), &add).code, 0);
    let shown = ctl_at(home.path(), &["profile", "show", "--json"]).json();
    assert_eq!((&shown["server"], &shown["ca-sha256"]), (&json!(url), &json!(cardboard.pki.sha256())));
    assert_eq!(ctl_at(home.path(), &["health"]).code, 0);
    let unasked = ctl_at(home.path(), &["profile", "remove", "by-hand"]);
    assert!(unasked.code == 2 && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(ctl_at(home.path(), &["profile", "remove", "by-hand", "--yes"]).code, 0);
    assert!(Path::new(key).exists(), "a file that we did not make is not ours to delete");
    let none = ctl_at(home.path(), &["health"]);
    assert!(none.code == 78 && none.err.contains("--profile"), "{none:?}");
    // The one that a claim made goes with its key.
    assert_eq!(claim(home.path(), &cardboard, &["--profile", "one"]).code, 0);
    assert_eq!(ctl_at(home.path(), &["profile", "remove", "one", "--yes"]).code, 0);
    assert!(!home.path().join("authenteon/one").exists());
}

#[test]
fn the_manual_is_written_and_nothing_is_coloured_when_nobody_wants_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("man1");
    let run = ctl_at(home.path(), &["--json", "man", folder.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    let pages = run.json()["pages"].as_array().unwrap().len();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), pages);
    let page = fs::read_to_string(folder.join("authenteonctl-sensor-adopt.1")).unwrap();
    assert!(page.contains("administrator"), "{page}");
    let coloured = |no: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_authenteonctl"));
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        if no {
            command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
        }
        String::from_utf8(command.arg("--help").output().unwrap().stdout).unwrap().contains('\u{1b}')
    };
    assert_eq!((coloured(false), coloured(true)), (true, false));
}
