//! Which crates are linked into what is shipped, and which needs which.
//!
//! `cargo tree` resolves features for the named packages alone, as the build does; `cargo metadata` would
//! add what the tests of the workspace switch on. Licences come from `cargo metadata`, checksums from
//! `Cargo.lock`. Left out: procedural macros and build scripts, of which nothing is in the programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;

use super::{Request, SbomError, cargo};

/// A crate's name and version: no two crates of the graph share both.
pub(super) type Key = (String, String);

/// A crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Crate {
    /// SPDX expression, in the form that cargo has it.
    pub(super) licence: Option<String>,
    /// One line about it.
    pub(super) description: Option<String>,
    /// Where its source is developed.
    pub(super) repository: Option<String>,
    /// SHA-256 of its package; none for crates of the workspace.
    pub(super) checksum: Option<String>,
    /// What it is linked with.
    pub(super) needs: BTreeSet<Key>,
}

/// The crates, and those that the others are there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Graph {
    /// In the order of the request.
    pub(super) roots: Vec<Key>,
    /// All, the roots among them.
    pub(super) crates: BTreeMap<Key, Crate>,
}

/// Asks cargo.
pub(super) fn of(request: &Request) -> Result<Graph, SbomError> {
    let mut graph = Graph { roots: Vec::new(), crates: BTreeMap::new() };
    for package in &request.packages {
        let tree = cargo(
            request,
            &[
                "tree",
                "--locked",
                "--package",
                package,
                "--target",
                &request.target,
                "--edges",
                "normal,no-proc-macro",
                "--prefix",
                "depth",
                "--format",
                "{p}",
            ],
        )?;
        graph.add(&tree)?;
    }
    let metadata = cargo(
        request,
        &["metadata", "--locked", "--format-version", "1", "--filter-platform", &request.target],
    )?;
    graph.describe(&metadata)?;
    let lock = fs::read_to_string(request.workspace.join("Cargo.lock"))
        .map_err(|why| SbomError::Lock(why.to_string()))?;
    graph.checksums(&lock)?;
    Ok(graph)
}

impl Graph {
    /// Adds a tree as `cargo tree --prefix depth --format {p}` draws it. A crate that was drawn before is
    /// marked and not drawn again; what it needs is known then.
    fn add(&mut self, tree: &str) -> Result<(), SbomError> {
        let mut above: Vec<Key> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, key) = entry(line).ok_or_else(|| SbomError::Answer(line.to_owned()))?;
            if depth > above.len() {
                return Err(SbomError::Answer(line.to_owned()));
            }
            above.truncate(depth);
            match above.last() {
                Some(parent) => {
                    self.crates.entry(parent.clone()).or_default().needs.insert(key.clone());
                }
                None => self.roots.push(key.clone()),
            }
            self.crates.entry(key.clone()).or_default();
            above.push(key);
        }
        Ok(())
    }

    fn describe(&mut self, metadata: &str) -> Result<(), SbomError> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            version: String,
            license: Option<String>,
            description: Option<String>,
            repository: Option<String>,
        }
        let metadata: Metadata =
            serde_json::from_str(metadata).map_err(|why| SbomError::Answer(why.to_string()))?;
        for package in metadata.packages {
            if let Some(found) = self.crates.get_mut(&(package.name, package.version)) {
                found.licence = package.license;
                found.description = package.description.map(|text| one_line(&text));
                found.repository = package.repository;
            }
        }
        Ok(())
    }

    fn checksums(&mut self, lock: &str) -> Result<(), SbomError> {
        #[derive(Deserialize)]
        struct Lock {
            package: Vec<Locked>,
        }
        #[derive(Deserialize)]
        struct Locked {
            name: String,
            version: String,
            checksum: Option<String>,
        }
        let lock: Lock = toml::from_str(lock).map_err(|why| SbomError::Lock(why.to_string()))?;
        for locked in lock.package {
            if let Some(found) = self.crates.get_mut(&(locked.name, locked.version)) {
                found.checksum = locked.checksum;
            }
        }
        Ok(())
    }
}

/// `2serde v1.0.228 (*)`: how deep, and which.
fn entry(line: &str) -> Option<(usize, Key)> {
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at(digits);
    let mut words = rest.split_ascii_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((depth.parse().ok()?, (name.to_owned(), version.to_owned())))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, version: &str) -> Key {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_becomes_edges_and_a_crate_drawn_once_keeps_them() {
        let mut graph = Graph { roots: Vec::new(), crates: BTreeMap::new() };
        graph.add("0box v1.0.0 (/src/box)\n1a v2.0.0\n2b v3.0.0\n1b v3.0.0 (*)\n").unwrap();
        graph.add("0init v1.0.0 (/src/init)\n1a v2.0.0 (*)\n").unwrap();
        assert_eq!(graph.roots, [key("box", "1.0.0"), key("init", "1.0.0")]);
        let needs = |name: &str, version: &str| {
            graph.crates[&key(name, version)].needs.iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(needs("box", "1.0.0"), [key("a", "2.0.0"), key("b", "3.0.0")]);
        assert_eq!(needs("a", "2.0.0"), [key("b", "3.0.0")]);
        assert_eq!(needs("init", "1.0.0"), [key("a", "2.0.0")]);
        assert_eq!(needs("b", "3.0.0"), []);
    }

    #[test]
    fn a_line_that_is_no_entry_is_an_error_and_not_left_out() {
        let mut graph = Graph { roots: Vec::new(), crates: BTreeMap::new() };
        for bad in ["box v1.0.0", "0box", "0box 1.0.0", "0box v1.0.0\n2a v1.0.0"] {
            assert!(matches!(graph.add(bad), Err(SbomError::Answer(_))), "{bad}");
        }
    }

    #[test]
    fn a_checksum_belongs_to_a_version() {
        let mut graph = Graph { roots: Vec::new(), crates: BTreeMap::new() };
        graph.add("0box v1.0.0\n1a v2.0.0\n1a v3.0.0\n").unwrap();
        let lock = "[[package]]\nname = \"a\"\nversion = \"3.0.0\"\nchecksum = \"33\"\n\
                    [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nchecksum = \"22\"\n\
                    [[package]]\nname = \"box\"\nversion = \"1.0.0\"\n";
        graph.checksums(lock).unwrap();
        assert_eq!(graph.crates[&key("a", "2.0.0")].checksum.as_deref(), Some("22"));
        assert_eq!(graph.crates[&key("a", "3.0.0")].checksum.as_deref(), Some("33"));
        assert_eq!(graph.crates[&key("box", "1.0.0")].checksum, None);
    }
}
