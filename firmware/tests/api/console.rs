//! The box's own console: the program that init starts there, with a keyboard that is a pipe.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

struct Keyboard {
    child: Child,
    screen: BufReader<std::process::ChildStdout>,
}

impl Keyboard {
    fn at(folder: &Path) -> Self {
        let reboot = folder.join("reboot");
        fs::write(&reboot, format!("#!/bin/sh\ntouch {}/restarted\nexit 1\n", folder.display())).unwrap();
        fs::set_permissions(&reboot, fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_authenteond"))
            .arg("console")
            .args(["--boot".as_ref(), folder.join("boot.json").as_os_str()])
            .args(["--state".as_ref(), folder.as_os_str(), "--pki".as_ref(), folder.as_os_str()])
            .args(["--clock".as_ref(), folder.join("clock.json").as_os_str()])
            .args(["--forget".as_ref(), folder.join("forget").as_os_str()])
            .args(["--reboot".as_ref(), reboot.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let screen = BufReader::new(child.stdout.take().unwrap());
        Self { child, screen }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn shows(&mut self, lines: usize) -> String {
        let mut text = String::new();
        for _ in 0..lines {
            self.screen.read_line(&mut text).unwrap();
        }
        text
    }
}

#[test]
fn a_reset_is_asked_for_durably_when_the_word_was_typed_back_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("factory-reset");
    let mut person = Keyboard::at(folder.path());
    person.types("reset");
    let said = person.shows(2);
    assert!(said.contains("FACTORY RESET"), "{said}");
    person.types("yes");
    assert!(person.shows(1).contains("nothing was changed"));
    assert!(!mark.exists());
    person.types("reset");
    let said = person.shows(2);
    let word = said.split_whitespace().find(|word| word.starts_with("ERASE-")).unwrap().to_owned();
    person.types(&word);
    assert!(person.shows(1).contains("forgets its owner"));
    assert!(!person.child.wait().unwrap().success(), "what could not restart the box is an error");
    assert!(mark.exists() && folder.path().join("restarted").exists());
}

#[test]
fn a_wrong_time_is_forgotten_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut person = Keyboard::at(folder.path());
    person.types("clock");
    assert!(person.shows(1).contains("forgets what time it was"));
    assert!(!person.child.wait().unwrap().success());
    assert!(folder.path().join("forget").exists() && folder.path().join("restarted").exists());
}

#[test]
fn the_state_is_told_and_a_line_without_end_is_no_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut person = Keyboard::at(folder.path());
    person.types("status");
    let said = person.shows(4);
    assert!(said.contains("NOT synchronised"), "{said}");
    assert!(said.contains("version   not known") && said.contains("nobody's yet"), "{said}");
    fs::write(folder.path().join("claimed.toml"), "").unwrap();
    person.types("status");
    assert!(person.shows(4).contains("owner     claimed"));
    person.types(&"x".repeat(100_000));
    person.types("\nrestart");
    drop(person.child.stdin.take());
    assert!(!person.child.wait().unwrap().success());
    assert!(folder.path().join("restarted").exists() && !folder.path().join("factory-reset").exists());
}
