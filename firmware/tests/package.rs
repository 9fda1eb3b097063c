//! The Debian package: what is in it, what its unit and its scripts do, and that it installs without a word to anybody.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use authenteon_hal::models::UsbModel;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

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

/// A folder with both programs. A client that was not built is stood in for by a script that says so: the package's form
/// does not depend on it.
fn programs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Path::new(env!("CARGO_BIN_EXE_authenteond"));
    symlink(daemon, folder.path().join("authenteond")).unwrap();
    let client = daemon.with_file_name("authenteonctl");
    if client.exists() {
        symlink(client, folder.path().join("authenteonctl")).unwrap();
    } else {
        println!("skipped: authenteonctl was not built: its completions are not looked at");
        let stands_in = folder.path().join("authenteonctl");
        fs::write(&stands_in, "#!/bin/sh\n[ \"$1\" = completions ] || exit 1\necho '# not built'\n").unwrap();
        fs::set_permissions(&stands_in, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// The package, or nothing where there is no dpkg.
fn package(out: &Path) -> Option<PathBuf> {
    run("dpkg-deb", &["--version"])?;
    let programs = programs();
    let built = Command::new(packaging().join("build-deb"))
        .args([
            "--bin",
            programs.path().to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--version",
            "0.0.1~test",
            "--compression",
            "none",
        ])
        .env("SOURCE_DATE_EPOCH", "1793491200")
        .output()
        .unwrap();
    Some(PathBuf::from(succeeds(&built).trim()))
}

#[test]
fn the_package_holds_the_programs_the_unit_and_a_configuration_that_is_kept() {
    let out = tempfile::tempdir().unwrap();
    let Some(package) = package(out.path()) else { return };
    let path = package.to_str().unwrap();
    let listed = succeeds(&run("dpkg-deb", &["--contents", path]).unwrap());
    for (mode, file) in [
        ("drwxr-xr-x root/root", "./"),
        ("-rwxr-xr-x root/root", "./usr/bin/authenteond"),
        ("-rwxr-xr-x root/root", "./usr/bin/authenteonctl"),
        ("-rw-r--r-- root/root", "./usr/lib/systemd/system/authenteond.service"),
        ("-rw-r--r-- root/root", "./usr/lib/udev/rules.d/60-authenteon.rules"),
        ("-rw-r--r-- root/root", "./usr/lib/sysusers.d/authenteon.conf"),
        ("-rw-r--r-- root/root", "./etc/authenteon/authenteon.toml"),
        ("drwxr-xr-x root/root", "./etc/authenteon/authenteon.d/"),
        ("-rw-r--r-- root/root", "./usr/share/bash-completion/completions/authenteond"),
        ("-rw-r--r-- root/root", "./usr/share/doc/authenteon/copyright"),
    ] {
        let line = listed.lines().find(|line| line.ends_with(&format!(" {file}")));
        assert!(line.is_some_and(|line| line.starts_with(mode)), "{file}: {line:?}\n{listed}");
    }
    // No key, no certificate, nobody's data.
    for line in listed.lines().filter(|line| !line.ends_with('/')) {
        let bad = [".pem", ".key", "/var/", "/root/", "/home/"].iter().any(|bad| line.contains(bad));
        assert!(!bad, "{line}");
    }
    let field = |name: &str| succeeds(&run("dpkg-deb", &["--field", path, name]).unwrap());
    assert_eq!(field("Package").trim(), "authenteon");
    assert_eq!(field("Version").trim(), "0.0.1~test");
    assert!(field("Depends").contains("libc6"));
    let control = tempfile::tempdir().unwrap();
    succeeds(&run("dpkg-deb", &["--control", path, control.path().to_str().unwrap()]).unwrap());
    let kept = fs::read_to_string(control.path().join("conffiles")).unwrap();
    assert_eq!(kept, "/etc/authenteon/authenteon.toml\n");
    let again = tempfile::tempdir().unwrap();
    let second = self::package(again.path()).unwrap();
    assert!(
        fs::read(&package).unwrap() == fs::read(second).unwrap(),
        "the same programs make the same package"
    );
}

#[test]
fn the_package_unpacks_into_an_empty_root_and_its_configuration_is_valid() {
    let out = tempfile::tempdir().unwrap();
    let Some(package) = package(out.path()) else { return };
    let root = out.path().join("root");
    succeeds(&run("dpkg-deb", &["--extract", package.to_str().unwrap(), root.to_str().unwrap()]).unwrap());
    let config = root.join("etc/authenteon/authenteon.toml");
    let checked = Command::new(root.join("usr/bin/authenteond"))
        .args(["validate", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    let said = succeeds(&checked);
    assert!(said.contains("only this machine can connect"), "{said}");
    // Debian's own programs make the user and the folder, in a root that is nobody's system.
    let Some(made) = run("systemd-sysusers", &[&format!("--root={}", root.display()), "authenteon.conf"])
    else {
        return;
    };
    succeeds(&made);
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(users.lines().any(|line| line.starts_with("authenteon:") && line.contains("nologin")), "{users}");
}

#[test]
fn what_the_package_runs_as_root_is_sound_and_starts_nothing() {
    for script in ["postinst", "prerm", "postrm", "build-deb", "deb.bash"] {
        let path = packaging().join(script);
        if let Some(checked) = run("shellcheck", &["-x", path.to_str().unwrap()]) {
            succeeds(&checked);
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in ["systemctl start", "systemctl enable", "pki init", "adduser", "chmod 777"] {
            let code = text.lines().filter(|line| !line.trim_start().starts_with(['#', 'e']));
            assert!(code.into_iter().all(|line| !line.contains(word)), "{script} does: {word}");
        }
    }
}

#[test]
fn purging_the_package_destroys_what_was_stored_and_removing_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("var/lib/authenteon/store");
    fs::create_dir_all(&store).unwrap();
    let script = packaging().join("postrm");
    let ask = |word: &str| {
        let done =
            Command::new("sh").arg(&script).arg(word).env("DPKG_ROOT", folder.path()).output().unwrap();
        succeeds(&done);
    };
    ask("remove");
    assert!(store.exists());
    ask("purge");
    assert!(!folder.path().join("var/lib/authenteon").exists());
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_gives_the_daemon_little() {
    let unit = packaging().join("authenteond.service");
    let text = fs::read_to_string(&unit).unwrap();
    for line in [
        "Type=notify",
        "WatchdogSec=30",
        "User=authenteon",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "StateDirectory=authenteon",
        "LimitCORE=0",
        // The device that [watchdog] names has two names, and under each another number.
        "DeviceAllow=char-watchdog rw",
        "DeviceAllow=/dev/watchdog rw",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in the unit");
    }
    // It looks for the program, which is another on this machine.
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("authenteond.service");
    fs::write(&here, text.replace("/usr/bin/authenteond", env!("CARGO_BIN_EXE_authenteond"))).unwrap();
    let Some(checked) = run("systemd-analyze", &["verify", "--man=no", here.to_str().unwrap()]) else {
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    let about: Vec<_> = said.lines().filter(|line| line.contains("authenteond.service")).collect();
    assert!(about.is_empty(), "{said}");
    let Some(security) =
        run("systemd-analyze", &["security", "--offline=true", "--threshold=30", here.to_str().unwrap()])
    else {
        return;
    };
    if String::from_utf8_lossy(&security.stderr).contains("unrecognized option") {
        return println!("skipped: this systemd-analyze cannot look at the security of a file");
    }
    succeeds(&security);
}

#[test]
fn every_reader_that_has_a_driver_is_the_daemon_s_by_the_rules_and_no_other_is() {
    let rules = fs::read_to_string(packaging().join("60-authenteon.rules")).unwrap();
    let id = |line: &str, name: &str| {
        let rest = line.split(&format!("ATTR{{{name}}}==\"")).nth(1).unwrap();
        u16::from_str_radix(rest.split('"').next().unwrap(), 16).unwrap()
    };
    for watchdog in ["SUBSYSTEM==\"watchdog\"", "KERNEL==\"watchdog\""] {
        let line = rules.lines().find(|line| line.contains(watchdog)).unwrap();
        assert!(line.contains("GROUP=\"authenteon\", MODE=\"0660\""), "{line}");
        assert!(rules.find(line) < rules.find("SUBSYSTEM!=\"usb\""), "it would be passed over");
    }
    let given: BTreeSet<(u16, u16)> = rules
        .lines()
        .filter(|line| line.starts_with("ATTR{"))
        .map(|line| {
            assert!(line.contains("GROUP=\"authenteon\", MODE=\"0660\""), "{line}");
            (id(line, "idVendor"), id(line, "idProduct"))
        })
        .collect();
    let vendors: BTreeSet<u16> = given.iter().map(|(vendor, _)| *vendor).collect();
    assert!(given.len() >= 8, "{rules}");
    let driven: BTreeSet<(u16, u16)> = vendors
        .iter()
        .flat_map(|vendor| (0..=u16::MAX).map(move |product| (*vendor, product)))
        .filter(|(vendor, product)| UsbModel::find(*vendor, *product).is_some())
        .collect();
    assert_eq!(given, driven);
}

#[test]
fn the_dashboard_and_the_alerts_are_whole_documents() {
    let docs = top().join("docs/operation");
    let board: serde_json::Value =
        serde_json::from_slice(&fs::read(docs.join("grafana.json")).unwrap()).unwrap();
    assert!(board["panels"].as_array().unwrap().len() >= 10);
    if let Some(checked) = run("promtool", &["check", "rules", docs.join("alerts.yml").to_str().unwrap()]) {
        succeeds(&checked);
    }
}
