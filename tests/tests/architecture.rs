//! The house rules of the design, read off the code: who may know whom, and what stays where.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// Lines of code that one file may hold before its tests: past this it is two concepts.
const LINES_PER_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// Every dependency of each workspace package that is built into it, dev-dependencies left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().expect("dependencies").iter();
            let names = names.filter(|d| d["kind"].as_str() != Some("dev"));
            let names = names.map(|d| d["name"].as_str().unwrap_or_default().to_owned());
            (package["name"].as_str().unwrap_or_default().to_owned(), names.collect())
        })
        .collect()
}

/// The Rust sources below `folder`, with what comes before their inline tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} holds no source");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("source is readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            (name, code)
        })
        .collect()
}

/// Files below `folder` whose code, comments left out, names one of `words`.
fn naming(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, code) in sources(folder) {
        let code: Vec<&str> = code.lines().map(|l| l.split("//").next().unwrap_or_default()).collect();
        for word in words {
            if code.iter().any(|line| line.contains(word)) {
                found.push(format!("{name}: {word}"));
            }
        }
    }
    found
}

#[test]
fn readers_and_matcher_know_nothing_of_each_other_or_of_the_network() {
    let all = dependencies();
    let forbidden = ["authenteon", "tokio", "hyper", "axum", "rustls", "sled", "reqwest", "ureq"];
    for package in ["authenteon-hal", "authenteon-matcher"] {
        for name in &all[package] {
            assert!(!forbidden.contains(&name.as_str()), "{package} depends on {name}");
            assert!(!name.starts_with("authenteon"), "{package} depends on {name}");
        }
    }
}

#[test]
fn the_daemon_never_depends_on_the_bench_or_on_its_clients() {
    let all = dependencies();
    let clients = [
        "authenteonctl",
        "authenteon-agent",
        "authenteon-agent-protocol",
        "authenteon-box",
        "authenteon-login",
        "pam_authenteon",
    ];
    for name in ["authenteon-tests", "authenteon-image"].iter().chain(&clients) {
        assert!(!all["authenteon"].contains(*name), "the daemon depends on {name}");
    }
}

#[test]
fn the_module_for_pam_knows_no_network_and_nothing_of_the_box() {
    let all = dependencies();
    let known = ["authenteon-agent-protocol", "nix", "pam-bindings"];
    let other: Vec<_> = all["pam_authenteon"].iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(naming("clients/pam/src", &["TcpStream", "UdpSocket", "std::net", "rustls"]), [""; 0]);
}

#[test]
fn the_matcher_touches_no_file_no_clock_and_no_network() {
    let words = [
        "std::fs",
        "std::net",
        "std::io",
        "std::time",
        "Instant::",
        "SystemTime",
        "std::env",
        "std::process",
    ];
    assert_eq!(naming("matcher/src", &words), [""; 0]);
}

#[test]
fn only_the_sled_store_names_sled() {
    let named = naming("firmware/src", &["sled::", "use sled"]);
    let outside: Vec<_> = named.iter().filter(|n| !n.starts_with("firmware/src/store/sled")).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn only_the_sources_of_directories_know_ldap() {
    let named = naming("firmware/src", &["ldap3::", "use ldap3"]);
    let outside: Vec<_> = named.iter().filter(|n| !n.starts_with("firmware/src/directory/")).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn the_server_never_reaches_the_store_nor_the_store_the_server() {
    assert_eq!(naming("firmware/src/server", &["crate::store", "store::"]), [""; 0]);
    assert_eq!(naming("firmware/src/store", &["crate::server", "server::", "axum", "hyper"]), [""; 0]);
    assert_eq!(
        naming("firmware/src/policy", &["crate::store", "crate::server", "Instant::now", "SystemTime"]),
        [""; 0]
    );
}

#[test]
fn requests_leave_their_task_in_one_way_that_keeps_their_span() {
    let named = naming("firmware/src/server/api", &["spawn_blocking"]);
    assert_eq!(
        named,
        ["firmware/src/server/api/mod.rs: spawn_blocking"],
        "off_core and on_core are for that"
    );
}

#[test]
fn unsafe_code_lives_only_in_the_kernels_and_at_the_system_s_edge() {
    let mut found = Vec::new();
    for folder in ["hal/src", "matcher/src", "firmware/src", "clients", "tests/src", "image/src"] {
        found.extend(naming(folder, &["unsafe {", "unsafe fn", "unsafe impl"]));
    }
    // The last two are what PAM keeps of a transaction, as a pointer without a type, and two calls of it.
    let edges = [
        "matcher/src/simd/",
        "hal/src/sys/",
        "clients/pam/src/remembered.rs",
        "clients/pam/src/environment.rs",
    ];
    found.retain(|name| !edges.iter().any(|edge| name.starts_with(edge)));
    assert_eq!(found, [""; 0]);
}

#[test]
fn no_file_holds_two_concepts() {
    let mut long = Vec::new();
    for folder in ["hal", "matcher", "firmware", "clients", "tests", "image"] {
        for (name, code) in sources(folder) {
            let lines = code.lines().count();
            if lines > LINES_PER_FILE {
                long.push(format!("{name}: {lines} lines"));
            }
        }
    }
    assert_eq!(long, [""; 0], "past {LINES_PER_FILE} lines a file is usually two concepts");
}

#[test]
fn every_source_says_at_its_top_what_it_is_for() {
    for folder in
        ["hal/src", "matcher/src", "firmware/src", "clients", "tests/src", "tests/tests", "image/src"]
    {
        for (name, code) in sources(folder) {
            assert!(code.trim_start().starts_with("//!"), "{name} begins without a word on what it is for");
        }
    }
}
