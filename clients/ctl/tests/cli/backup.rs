//! Backups, as far as the client sees them: the file that they become, and the way back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Asked, Cardboard};

fn file(good: bool) -> Vec<u8> {
    let head = json!({"format": "authenteon-backup", "version": 1, "expires": "2027-02-27T00:00:00Z"});
    let mut file = format!("{head}\n").into_bytes();
    file.extend([7; 100_000]);
    file.extend([0; 4]);
    let sum = Sha256::digest(&file);
    file.extend(sum);
    if !good {
        file.truncate(90_000);
    }
    file
}

fn state(state: &str) -> Value {
    let report = json!({"people": 3, "fingers": 5, "erasures": 1, "audit": 9, "clients": ["desk", "door"]});
    json!({
        "state": state, "backup": "b-1", "taken": "2026-11-29T00:00:00Z", "expires": "2027-02-27T00:00:00Z",
        "done": 5, "all": 10, "report": report,
    })
}

fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    let json = |value: Value| (200, value.to_string().into_bytes());
    match asked.line.as_str() {
        "POST /v1/system/backup" => (200, file(asked.body["expires-days"] != 13)),
        "PUT /v1/system/restore" => json(state("received")),
        "POST /v1/system/restore" => (202, state("checking").to_string().into_bytes()),
        "GET /v1/system/restore" => json(state("checked")),
        "GET /v1/system/erasures" => {
            json(json!({"format": "authenteon-erasures", "version": 1, "count": 2, "erasures": [{}, {}]}))
        }
        "DELETE /v1/system/restore" => (204, Vec::new()),
        _ => (404, Vec::new()),
    }
}

fn lines(cardboard: &Cardboard) -> Vec<String> {
    cardboard.asked().into_iter().map(|asked| asked.line).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("words"), "correct horse battery staple\n").unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }
}

fn there(path: &Path) -> bool {
    path.exists() || path.with_extension("backup.part").exists()
}

#[test]
fn a_backup_is_written_whole_for_its_owner_only_and_opened_by_the_box() {
    let (cardboard, folder) = (Cardboard::start(answer), Folder::new());
    let (out, words) = (folder.text("a.backup"), folder.text("words"));
    let run = cardboard.ctl(&["backup", &out, "--passphrase-file", &words]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("3 people") && run.out.contains("2027-02-27"), "{run:?}");
    assert!(!run.out.contains("horse") && !run.err.contains("horse"), "{run:?}");
    assert_eq!(fs::read(&out).unwrap(), file(true));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let asked = [
        "POST /v1/system/backup",
        "PUT /v1/system/restore",
        "POST /v1/system/restore",
        "GET /v1/system/restore",
        "DELETE /v1/system/restore",
    ];
    assert_eq!(lines(&cardboard), asked);
    assert_eq!(cardboard.asked()[0].body["passphrase"], "correct horse battery staple");
    // It does not take the place of another by accident.
    let run = cardboard.ctl(&["backup", &out, "--passphrase-file", &words]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("--force"), "{run:?}");
    let run =
        cardboard.ctl(&["--json", "backup", &out, "--force", "--no-verify", "--passphrase-file", &words]);
    assert_eq!((run.code, &run.json()["verified"]), (0, &json!(false)), "{run:?}");
}

#[test]
fn a_backup_that_was_cut_on_its_way_is_no_file() {
    let (cardboard, folder) = (Cardboard::start(answer), Folder::new());
    let (out, words) = (folder.text("a.backup"), folder.text("words"));
    let run = cardboard.ctl(&["backup", &out, "--expires-days", "13", "--passphrase-file", &words]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("cut") && !there(&folder.at("a.backup")), "{run:?}");
}

#[test]
fn a_restore_says_first_what_it_needs_and_then_what_came_of_it() {
    let (cardboard, folder) = (Cardboard::start(answer), Folder::new());
    let (backup, words, list) = (folder.text("a.backup"), folder.text("words"), folder.text("erased.json"));
    fs::write(&backup, file(true)).unwrap();
    let run = cardboard.ctl(&["restore", &backup, "--yes", "--passphrase-file", &words]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("--erasures") && lines(&cardboard).is_empty(), "{run:?}");
    let run = cardboard.ctl(&["backup", "--erasures", &list]);
    assert_eq!((run.code, run.out.starts_with("2 erasures")), (0, true), "{run:?}");
    let run = cardboard.ctl(&["restore", &backup, "--yes", "--erasures", &list, "--passphrase-file", &words]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("desk, door"), "{run:?}");
    let asked = cardboard.asked();
    let began = asked.iter().find(|asked| asked.line == "POST /v1/system/restore").unwrap();
    assert_eq!((&began.body["erasures"]["count"], &began.body["dry-run"]), (&json!(2), &json!(false)));
    assert_eq!(began.body["backup"], "b-1");
    // Nobody is asked for a list when nothing is restored.
    let run = cardboard.ctl(&["restore", &backup, "--dry-run", "--passphrase-file", &words]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("would be restored"), "{run:?}");
}

#[test]
fn a_damaged_file_is_told_before_anything_is_sent() {
    let (cardboard, folder) = (Cardboard::start(answer), Folder::new());
    let (backup, words) = (folder.text("a.backup"), folder.text("words"));
    for bad in [file(false), vec![], b"{\"format\":\"other\"}\n".to_vec()] {
        fs::write(&backup, bad).unwrap();
        let run = cardboard.ctl(&["restore", &backup, "--dry-run", "--passphrase-file", &words]);
        assert_eq!(run.code, 1, "{run:?}");
    }
    let mut flipped = file(true);
    flipped[5000] ^= 1;
    fs::write(&backup, flipped).unwrap();
    let run = cardboard.ctl(&["--json", "restore", &backup, "--dry-run", "--passphrase-file", &words]);
    assert!(run.json()["error"]["title"].as_str().unwrap().contains("damaged"), "{run:?}");
    assert_eq!(lines(&cardboard), [""; 0]);
}

#[test]
fn a_backup_that_the_box_has_no_time_to_open_is_kept_and_said_to_be_unopened() {
    let cardboard = Cardboard::start(|asked: &Asked| match asked.line.as_str() {
        "POST /v1/system/restore" => {
            let problem =
                json!({"type": "urn:authenteon:problem:restore-busy", "title": "Busy", "status": 409});
            (409, problem.to_string().into_bytes())
        }
        _ => answer(asked),
    });
    let folder = Folder::new();
    let (out, words) = (folder.text("a.backup"), folder.text("words"));
    let run = cardboard.ctl(&["backup", &out, "--passphrase-file", &words]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("has not opened it (Busy)"), "{run:?}");
    assert_eq!(fs::read(&out).unwrap(), file(true));
    assert_eq!(lines(&cardboard).last().unwrap(), "DELETE /v1/system/restore");
}
