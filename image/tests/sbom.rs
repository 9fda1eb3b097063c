//! The bill of materials of this very workspace.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

fn sbom(arguments: &[&str], moment: Option<&str>) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bom.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_authenteon-image"));
    command.arg("sbom").arg("--out").arg(&out).args(arguments);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    match moment {
        Some(moment) => command.env("SOURCE_DATE_EPOCH", moment),
        None => command.env_remove("SOURCE_DATE_EPOCH"),
    };
    let ended = command.output().unwrap();
    if ended.status.success() {
        Ok(fs::read_to_string(out).unwrap())
    } else {
        Err(String::from_utf8(ended.stderr).unwrap())
    }
}

fn names(document: &Value) -> BTreeSet<&str> {
    document["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

/// What the schema of CycloneDX 1.6 requires of the parts that are used.
fn assert_well_formed(document: &Value) {
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(document["specVersion"], "1.6");
    assert_eq!(document["version"], 1);
    let serial = document["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    let groups: Vec<usize> = serial.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    let mut references =
        BTreeSet::from([document["metadata"]["component"]["bom-ref"].as_str().unwrap().to_owned()]);
    for component in document["components"].as_array().unwrap() {
        assert!(["application", "library"].contains(&component["type"].as_str().unwrap()));
        assert!(!component["name"].as_str().unwrap().is_empty());
        let reference = component["bom-ref"].as_str().unwrap().to_owned();
        assert!(references.insert(reference.clone()), "{reference} twice");
        assert!(component["purl"].as_str().unwrap().starts_with("pkg:cargo/"), "{reference}");
        let licence = component["licenses"][0]["expression"].as_str().unwrap();
        assert!(!licence.is_empty() && !licence.contains('/'), "{reference}: {licence}");
        let ours = component["name"].as_str().unwrap().starts_with("authenteon");
        match component["hashes"][0]["content"].as_str() {
            Some(sum) => {
                assert_eq!(component["hashes"][0]["alg"], "SHA-256");
                assert!(sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()), "{reference}");
            }
            None => assert!(ours, "{reference} has no checksum"),
        }
    }
    let mut described = BTreeSet::new();
    for dependency in document["dependencies"].as_array().unwrap() {
        assert!(described.insert(dependency["ref"].as_str().unwrap().to_owned()));
        for needed in dependency["dependsOn"].as_array().unwrap() {
            assert!(references.contains(needed.as_str().unwrap()), "{needed} is nowhere");
        }
    }
    assert_eq!(described, references);
}

#[test]
fn it_lists_what_the_daemon_is_linked_with_and_nothing_that_only_builds_or_tests_it() {
    let text = sbom(&[], None).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_well_formed(&document);
    let names = names(&document);
    for shipped in ["authenteon", "authenteon-matcher", "aws-lc-sys", "rustls", "sled", "tokio"] {
        assert!(names.contains(shipped), "{shipped} is missing");
    }
    for other in ["serde_derive", "syn", "cc", "proptest", "authenteon-tests", "windows-sys", "libudev-sys"] {
        assert!(!names.contains(other), "{other} is in no program");
    }
    assert!(document["metadata"].get("timestamp").is_none());
    assert_eq!(text, sbom(&[], None).unwrap(), "two runs differ");
}

#[test]
fn a_package_that_is_not_in_the_workspace_is_an_error() {
    let said = sbom(&["--package", "no-such-package"], None).unwrap_err();
    assert!(said.contains("cargo tree") && said.contains("no-such-package"), "{said}");
}

#[test]
fn a_moment_that_is_none_is_an_error() {
    let said = sbom(&[], Some("yesterday")).unwrap_err();
    assert!(said.contains("SOURCE_DATE_EPOCH"), "{said}");
}
