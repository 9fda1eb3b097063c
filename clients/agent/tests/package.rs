//! The Debian package of the agent and the module: what is in it, and that installing it starts nothing and changes no login.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What a module that catches panics says of itself.
const CATCHES: &str = "\u{7f}ELF pam_authenteon: panics are caught";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// Runs a program; `None`, and a word about it, when it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).output();
    if output.is_err() {
        println!("skipped: {program} is not installed: what it would say was not asked");
    }
    output.ok()
}

fn succeeds(output: &Output) -> String {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// Makes the package with a module of this content, which stands in for one: the package's form does not depend on it.
fn build(out: &Path, module: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_authenteon-agent"), folder.path().join("authenteon-agent")).unwrap();
    let stands_in = folder.path().join("libpam_authenteon.so");
    fs::write(&stands_in, module).unwrap();
    Command::new(packaging().join("build-deb"))
        .arg("--bin")
        .arg(folder.path())
        .arg("--module")
        .arg(&stands_in)
        .arg("--out")
        .arg(out)
        .args(["--arch", "amd64", "--version", "0.0.1~test", "--compression", "none"])
        .env("SOURCE_DATE_EPOCH", "1793491200")
        .output()
        .unwrap()
}

#[test]
fn the_package_holds_agent_module_and_unit_and_no_key() {
    if run("dpkg-deb", &["--version"]).is_none() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let package = succeeds(&build(out.path(), CATCHES));
    let listed = succeeds(&run("dpkg-deb", &["--contents", package.trim()]).unwrap());
    for (mode, file) in [
        ("-rwxr-xr-x root/root", "./usr/bin/authenteon-agent"),
        ("-rw-r--r-- root/root", "./usr/lib/x86_64-linux-gnu/security/pam_authenteon.so"),
        ("-rw-r--r-- root/root", "./usr/lib/systemd/system/authenteon-agent.service"),
        ("-rw-r--r-- root/root", "./usr/lib/sysusers.d/authenteon-agent.conf"),
        ("-rw-r--r-- root/root", "./usr/share/pam-configs/authenteon-agent"),
        ("-rw-r--r-- root/root", "./usr/share/bash-completion/completions/authenteon-agent"),
        ("-rw-r--r-- root/root", "./usr/share/doc/authenteon-agent/pam.md"),
        ("-rw-r--r-- root/root", "./etc/authenteon/agent.toml"),
    ] {
        let line = listed.lines().find(|line| line.ends_with(&format!(" {file}")));
        assert!(line.is_some_and(|line| line.starts_with(mode)), "{file}: {line:?}\n{listed}");
    }
    assert!(![".pem", ".key", "pam.d", "/var/"].iter().any(|bad| listed.contains(bad)), "{listed}");
    let control = tempfile::tempdir().unwrap();
    succeeds(&run("dpkg-deb", &["--control", package.trim(), control.path().to_str().unwrap()]).unwrap());
    assert_eq!(fs::read_to_string(control.path().join("conffiles")).unwrap(), "/etc/authenteon/agent.toml\n");
}

#[test]
fn a_module_that_would_end_its_program_is_not_packed() {
    let out = tempfile::tempdir().unwrap();
    for bad in ["\u{7f}ELF pam_authenteon: panics are not caught", "anything"] {
        let built = build(out.path(), bad);
        assert_eq!(built.status.code(), Some(65), "{built:?}");
        assert!(String::from_utf8_lossy(&built.stderr).contains("--profile module"), "{built:?}");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn what_the_package_runs_as_root_is_sound_starts_nothing_and_turns_no_login_on() {
    for script in ["postinst", "prerm", "postrm", "build-deb"] {
        let path = packaging().join(script);
        if let Some(checked) = run("shellcheck", &["-x", path.to_str().unwrap()]) {
            succeeds(&checked);
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in ["systemctl start", "systemctl enable", "--enable", "adduser", "chmod 777", "/etc/pam.d"]
        {
            let code = text.lines().filter(|line| !line.trim_start().starts_with(['#', 'e']));
            assert!(code.into_iter().all(|line| !line.contains(word)), "{script} does: {word}");
        }
    }
    let offered = fs::read_to_string(packaging().join("pam-config")).unwrap();
    assert!(offered.lines().any(|line| line == "Default: no"), "{offered}");
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_gives_the_agent_little() {
    let unit = packaging().join("authenteon-agent.service");
    let text = fs::read_to_string(&unit).unwrap();
    for line in [
        "Type=notify",
        "User=authenteon-agent",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "LimitCORE=0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in the unit");
    }
    // It looks for the program, which is another on this machine.
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("authenteon-agent.service");
    fs::write(&here, text.replace("/usr/bin/authenteon-agent", env!("CARGO_BIN_EXE_authenteon-agent")))
        .unwrap();
    let Some(checked) = run("systemd-analyze", &["verify", "--man=no", here.to_str().unwrap()]) else {
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    let about: Vec<_> = said.lines().filter(|line| line.contains("authenteon-agent.service")).collect();
    assert!(about.is_empty(), "{said}");
    let arguments = ["security", "--offline=true", "--threshold=20", here.to_str().unwrap()];
    let Some(security) = run("systemd-analyze", &arguments) else { return };
    if String::from_utf8_lossy(&security.stderr).contains("unrecognized option") {
        return println!("skipped: this systemd-analyze cannot look at the security of a file");
    }
    succeeds(&security);
}

#[test]
fn purging_the_package_destroys_the_machine_s_key_and_removing_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("etc/authenteon/agent");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("desk-1.key"), "key").unwrap();
    for (word, there) in [("remove", true), ("purge", false)] {
        let mut script = Command::new("sh");
        script.arg(packaging().join("postrm")).arg(word).env("DPKG_ROOT", folder.path());
        succeeds(&script.output().unwrap());
        assert_eq!(own.exists(), there, "{word}");
    }
}
