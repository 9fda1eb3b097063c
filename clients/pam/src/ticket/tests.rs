//! What becomes of a ticket on its way, and what does not.

use std::os::unix::fs::symlink;

use nix::unistd::{getegid, geteuid};

use super::*;

fn login(text: &str) -> Login {
    text.parse().unwrap()
}

fn own() -> u32 {
    geteuid().as_raw()
}

/// A file as the agent leaves it.
fn left(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    create(&path).unwrap().write_all(bytes).unwrap();
    path
}

#[test]
fn a_ticket_of_the_agent_is_taken_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = left(at, "good", b"ticket");
    assert_eq!(take(&good, own()), Ok(Cache(b"ticket".to_vec())));
    // Of somebody else than the agent, as /etc/shadow is.
    assert!(take(&good, own() + 1).is_err_and(|why| why.contains("its own")));
    symlink(&good, at.join("link")).unwrap();
    assert!(take(&at.join("link"), own()).is_err());
    let open = left(at, "open", b"ticket");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    assert!(take(&open, own()).is_err());
    assert!(take(&left(at, "empty", b""), own()).is_err());
    assert!(take(&left(at, "endless", &vec![0; (256 << 10) + 1]), own()).is_err());
    fs::hard_link(&good, at.join("second")).unwrap();
    assert!(take(&good, own()).is_err());
    assert!(take(at, own()).is_err() && take(&at.join("none"), own()).is_err());
}

#[test]
fn a_ticket_waits_for_whom_it_is_and_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let waiting = folder.path().join("waiting");
    let cache = Cache(b"line\nticket".to_vec());
    let name = wait(&waiting, &login("alice"), &cache).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&waiting), mode(&waiting.join(&name))), (0o700, 0o600));
    assert_eq!(fetch(&waiting, &name, &login("alice")), Ok(cache));
    assert!(fetch(&waiting, &name, &login("alice")).is_err(), "once");

    // sudo means root once it has asked who alice is.
    let name = wait(&waiting, &login("alice"), &Cache(b"ticket".to_vec())).unwrap();
    assert!(fetch(&waiting, &name, &login("root")).is_err_and(|why| why.contains("somebody else")));
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
    left(folder.path(), "secret", b"alice\nsecret");
    for name in ["../secret", "", ".", "a/b"] {
        assert!(fetch(&waiting, name, &login("alice")).is_err(), "{name}");
    }
    assert!(folder.path().join("secret").exists());
}

#[test]
fn a_folder_that_others_look_into_keeps_no_ticket() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let why = wait(folder.path(), &login("alice"), &Cache(b"ticket".to_vec())).unwrap_err();
    assert!(why.contains("others can look"), "{why}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_nobody_fetched_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let waiting = folder.path().join("waiting");
    let old = wait(&waiting, &login("alice"), &Cache(b"old".to_vec())).unwrap();
    let before = std::time::SystemTime::now() - 2 * FORGOTTEN;
    File::options().write(true).open(waiting.join(&old)).unwrap().set_modified(before).unwrap();
    let new = wait(&waiting, &login("bob"), &Cache(b"new".to_vec())).unwrap();
    assert!(!waiting.join(old).exists() && waiting.join(new).exists());
}

#[test]
fn a_ticket_becomes_a_file_of_its_person_s_own_until_it_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = (own(), getegid().as_raw());
    let path = place(folder.path(), numbers, &Cache(b"ticket".to_vec())).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("krb5cc_{}_", own())), "{name}");
    let data = fs::metadata(&path).unwrap();
    assert_eq!((data.mode() & 0o777, data.uid()), (0o600, own()));
    assert_eq!(fs::read(&path).unwrap(), b"ticket");
    assert_ne!(place(folder.path(), numbers, &Cache(b"ticket".to_vec())).unwrap(), path);
    remove(&path);
    remove(&path);
    assert!(!path.exists());
}
