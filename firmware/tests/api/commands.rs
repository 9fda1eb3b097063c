//! The command line: its exit codes, what it says of a configuration, and the files that it writes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::support::{Daemon, authenteond, text};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Writes a configuration and validates it.
fn validated(configuration: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authenteon.toml");
    fs::write(&file, configuration).unwrap();
    authenteond(&["validate", "--config", file.to_str().unwrap()])
}

const GOOD: &str =
    "version = 1\n[pki]\nfolder = \"/var/lib/a/pki\"\n[store]\nfolder = \"/var/lib/a/store\"\n";

#[test]
fn the_shipped_configuration_is_valid_without_a_warning() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/authenteon.toml");
    let output = authenteond(&["validate", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("warning"), "{}", text(&output.stdout));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let output = validated(&format!("{GOOD}[limits]\nbody-byts = 70000\n"));
    assert_eq!(code(&output), 78);
    let why = text(&output.stderr);
    assert!(why.contains("line 7") && why.contains("body-byts") && why.contains("body-bytes"), "{why}");
}

#[test]
fn a_foolish_value_is_a_warning_with_its_line() {
    let output =
        validated(&format!("{GOOD}[policy]\nverify-one-in = 10\n[server]\nlisten = \"127.0.0.1:80\"\n"));
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for place in ["line 7: verify-one-in", "line 9: listen"] {
        assert!(said.contains(&format!("warning: {place}")), "{said}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_its_line() {
    for (line, name) in [
        ("[policy]\nverify-one-in = 0.5", "verify-one-in"),
        ("[policy]\nverify-one-in = nan", "verify-one-in"),
        ("[policy]\nimpressions = 0", "impressions"),
        ("[limits]\nbody-bytes = 1", "body-bytes"),
        ("[limits]\nrequest-seconds = 0", "request-seconds"),
        ("[limits]\nconnections = \"many\"", "connections"),
        ("[log]\nfilter = \"=no=filter=\"", "filter"),
    ] {
        let output = validated(&format!("{GOOD}{line}\n"));
        let why = text(&output.stderr);
        assert_eq!(code(&output), 78, "{line}: {why}");
        assert!(why.contains("line 7") && why.contains(name), "{line}: {why}");
    }
    let output = validated(&GOOD.replace("version = 1", "version = 2"));
    assert!(text(&output.stderr).contains("line 1: version"), "{}", text(&output.stderr));
}

#[test]
fn exit_codes_are_those_of_sysexits() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| code(&authenteond(arguments));
    assert_eq!(run(&["no-such-command"]), 64);
    assert_eq!(run(&["serve"]), 64);
    assert_eq!(run(&["validate", "--config", &path("missing.toml")]), 66);
    assert_eq!(run(&["demo", "--once", "--listen", "127.0.0.1:0", "--frames", &path("missing")]), 66);
    assert_eq!(
        run(&[
            "client",
            "add",
            "--dir",
            &path("missing"),
            "--name",
            "x",
            "--role",
            "station",
            "--out",
            &path("out")
        ]),
        66
    );

    assert_eq!(run(&["pki", "init", "--dir", &path("pki")]), 0);
    assert_eq!(run(&["pki", "init", "--dir", &path("pki")]), 73, "made once");
    assert_eq!(run(&["client", "remove", "--dir", &path("pki"), "--name", "nobody"]), 65);
    assert_eq!(
        run(&[
            "client",
            "add",
            "--dir",
            &path("pki"),
            "--name",
            "../x",
            "--role",
            "station",
            "--out",
            &path("out")
        ]),
        64
    );
    fs::write(
        path("no-pki.toml"),
        GOOD.replace("/var/lib/a/pki", &path("none"))
            .replace("/var/lib/a", &path(""))
            .replace("version = 1", "version = 1\nserver.listen = \"127.0.0.1:0\""),
    )
    .unwrap();
    assert_eq!(run(&["serve", "--config", &path("no-pki.toml")]), 78);

    let help = text(&authenteond(&["--help"]).stdout);
    for code in ["64", "65", "66", "69", "70", "73", "74", "77", "78"] {
        assert!(help.contains(code), "{code} is not explained in {help}");
    }
    assert_eq!(run(&["--help"]), 0);
    assert_eq!(run(&["--version"]), 0);
}

#[test]
fn an_address_or_store_that_is_taken_is_unavailable() {
    let daemon = Daemon::start();
    assert_eq!(code(&authenteond(&["serve", "--config", &daemon.config()])), 69, "its store is in use");
    let taken = daemon.address.to_string();
    assert_eq!(code(&authenteond(&["demo", "--once", "--listen", &taken])), 69);
}

#[test]
fn a_key_is_for_its_owner_only_and_the_certificate_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (pki, out) = (folder.path().join("pki"), folder.path().join("out"));
    let (pki, out) = (pki.to_str().unwrap(), out.to_str().unwrap());
    assert!(
        authenteond(&["pki", "init", "--dir", pki, "--name", "box.example", "--name", "10.0.0.7"])
            .status
            .success()
    );
    let added =
        authenteond(&["client", "add", "--dir", pki, "--name", "door", "--role", "station", "--out", out]);
    assert!(added.status.success(), "{}", text(&added.stderr));
    let mode = fs::metadata(format!("{out}/door.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = authenteond(&["client", "list", "--dir", pki, "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["role"]), (&"door".into(), &"station".into()));
    assert_eq!(listed[0]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&authenteond(&["completions", shell]).stdout).contains("authenteond"), "{shell}");
    }
}
