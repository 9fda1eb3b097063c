//! Boxes by name: where each is, its authority with the SHA-256 that it had when we got to know it, and who we are there.
//! They lie in `profiles.toml` below `$XDG_CONFIG_HOME/authenteon` (or `~/.config/authenteon`), their files beside.
//!
//! Invariant: nobody but their owner can read the list or a key in it; a box is trusted only by the authority that the
//! profile was made with, whatever has been written over its file since.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use authenteon_box::{BOX_ID, Fingerprint, Server};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::args::Connection;
use crate::error::CtlError;
use crate::keys::{Next, write_new};

/// The file of the list.
const LIST: &str = "profiles.toml";
/// No list is larger.
const LARGEST: u64 = 1 << 20;

/// What a box is called here: it names a folder too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ProfileName(String);

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let good = (1..=64).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(plain);
        let why = "1 to 64 letters, digits, '.', '_' and '-', and neither '.' nor '-' first";
        if good { Ok(Self(text.to_owned())) } else { Err(why.to_owned()) }
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A box, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Profile {
    /// Where the box listens.
    pub(crate) server: Server,
    /// Its authority (PEM); a path without a root is one beside the list.
    pub(crate) cacert: PathBuf,
    /// What the authority must be.
    pub(crate) ca_sha256: Fingerprint,
    /// Our certificate there (PEM), if we have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// The box's own name, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// What is taken when nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<ProfileName>,
    #[serde(default, rename = "profile")]
    profiles: BTreeMap<ProfileName, Profile>,
}

/// The profiles of whoever runs the program.
pub(crate) struct Profiles {
    folder: PathBuf,
    list: List,
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) server: Server,
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// What the authority must be, where that is known.
    pub(crate) pin: Option<Fingerprint>,
    /// A token instead of a certificate.
    pub(crate) token: Option<PathBuf>,
}

/// The box that the command line means: what it says itself, then what the profile that it names says; without a word
/// about a box, the profile in use.
pub(crate) fn target(given: &Connection) -> Result<Target, CtlError> {
    let profile = match &given.profile {
        Some(name) => Some(Profiles::load()?.named(name)?),
        None if given.says_where() => None,
        None => Profiles::load()?.in_use()?,
    };
    let own = given.cert.is_some() || given.key.is_some();
    let other_authority = given.cacert.is_some();
    // A token is looked at on connections without a certificate only.
    let own = own || given.token_file.is_some();
    let profile = profile.as_ref();
    let server = given.server.clone().or_else(|| profile.map(|p| p.server.clone())).unwrap_or_default();
    let cacert = given.cacert.clone().or_else(|| profile.map(|p| p.cacert.clone()));
    // By its id a box is known at any address.
    let kept = || fs::read_to_string(cacert.as_ref()?.with_file_name(BOX_ID)).ok();
    let id = given.box_id.or_else(|| kept()?.trim().parse().ok());
    let [cert, key] = match profile {
        Some(profile) if !own => [profile.cert.clone(), profile.key.clone()],
        _ => [given.cert.clone(), given.key.clone()],
    };
    // A renewal that was cut is finished before its files are read.
    if let (Some(cert), Some(key)) = (&cert, &key) {
        Next::of(cert, key).finish()?;
    }
    Ok(Target {
        server: server.of_box(id),
        cert,
        key,
        token: given.token_file.clone(),
        cacert,
        pin: profile.filter(|_| !other_authority).map(|p| p.ca_sha256),
    })
}

impl Profiles {
    /// Reads the list; without one there are none.
    pub(crate) fn load() -> Result<Self, CtlError> {
        let folder = folder()?;
        let path = folder.join(LIST);
        let bad = |reason: String| CtlError::Config { path: path.clone(), reason };
        let list = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => List::default(),
            Err(error) => return Err(bad(error.to_string())),
            Ok(found) if found.len() > LARGEST => {
                return Err(bad("too large for a list of boxes".to_owned()));
            }
            Ok(_) => {
                let text = fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
                toml::from_str(&text).map_err(|error| bad(error.to_string()))?
            }
        };
        Ok(Self { folder, list })
    }

    /// The one of this name, with the paths of its files.
    pub(crate) fn named(&self, name: &ProfileName) -> Result<Profile, CtlError> {
        let found = self.list.profiles.get(name).ok_or_else(|| self.unknown(name))?;
        let whole = |path: &PathBuf| self.folder.join(path);
        let profile = Profile {
            cacert: whole(&found.cacert),
            cert: found.cert.as_ref().map(whole),
            key: found.key.as_ref().map(whole),
            ..found.clone()
        };
        if let Some(key) = &profile.key {
            only_ours(key)?;
        }
        Ok(profile)
    }

    /// Whether there is one of this name.
    pub(crate) fn know(&self, name: &ProfileName) -> Result<(), CtlError> {
        if self.list.profiles.contains_key(name) { Ok(()) } else { Err(self.unknown(name)) }
    }

    /// The one that is taken when nothing else is said.
    fn in_use(&self) -> Result<Option<Profile>, CtlError> {
        self.list.current.as_ref().map(|name| self.named(name)).transpose()
    }

    /// What is taken when nothing else is said.
    pub(crate) fn current(&self) -> Option<&ProfileName> {
        self.list.current.as_ref()
    }

    /// All of them, by name, with paths as they are written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ProfileName, &Profile)> {
        self.list.profiles.iter()
    }

    /// The folder in which the files of a new profile go.
    pub(crate) fn folder_of(&self, name: &ProfileName) -> Result<PathBuf, CtlError> {
        if self.list.profiles.contains_key(name) {
            return Err(CtlError::Usage(format!(
                "there is a profile {name} already: choose another with --profile NAME, or remove it"
            )));
        }
        Ok(self.folder.join(&name.0))
    }

    /// Keeps a profile. The first one is in use from now on.
    pub(crate) fn add(&mut self, name: ProfileName, mut profile: Profile) -> Result<(), CtlError> {
        // Beside the list they are found wherever the folder goes.
        let beside = |path: &mut PathBuf| {
            if let Ok(short) = path.strip_prefix(&self.folder) {
                *path = short.to_owned();
            }
        };
        beside(&mut profile.cacert);
        profile.cert.as_mut().map(beside);
        profile.key.as_mut().map(beside);
        if let Some(key) = &profile.key {
            only_ours(&self.folder.join(key))?;
        }
        self.list.current.get_or_insert_with(|| name.clone());
        self.list.profiles.insert(name, profile);
        self.save()
    }

    /// Takes this one from now on when nothing else is said.
    pub(crate) fn take(&mut self, name: &ProfileName) -> Result<(), CtlError> {
        self.named(name)?;
        self.list.current = Some(name.clone());
        self.save()
    }

    /// Forgets a profile, and the files of it that lie beside the list.
    pub(crate) fn remove(&mut self, name: &ProfileName) -> Result<(), CtlError> {
        let gone = self.list.profiles.remove(name).ok_or_else(|| self.unknown(name))?;
        if self.list.current.as_ref() == Some(name) {
            self.list.current = None;
        }
        self.save()?;
        let own = self.folder.join(&name.0);
        // With the file that says which box it is, beside the authority.
        let id = gone.cacert.with_file_name(BOX_ID);
        for file in [Some(gone.cacert), gone.cert, gone.key, Some(id)].into_iter().flatten() {
            let file = self.folder.join(file);
            if file.parent() == Some(own.as_path()) {
                remove_file(&file)?;
            }
        }
        // What else somebody keeps there stays.
        let _ = fs::remove_dir(&own);
        Ok(())
    }

    fn unknown(&self, name: &ProfileName) -> CtlError {
        let known: Vec<String> = self.list.profiles.keys().map(ToString::to_string).collect();
        let known = if known.is_empty() { "there is none yet".to_owned() } else { known.join(", ") };
        CtlError::Config { path: self.folder.join(LIST), reason: format!("no profile {name}: {known}") }
    }

    /// Writes the list in one step: whoever reads it has the old one or the new one.
    fn save(&self) -> Result<(), CtlError> {
        let text = toml::to_string(&self.list).map_err(|error| CtlError::System(error.to_string()))?;
        let path = self.folder.join(LIST);
        let bad = |error: io::Error| CtlError::Config { path: path.clone(), reason: error.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(bad)?;
        let new = self.folder.join(format!(".{LIST}.{}", std::process::id()));
        write_new(&new, text.as_bytes(), 0o600)?;
        fs::rename(&new, &path).map_err(bad)
    }
}

/// The files of somebody new.
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    pub(crate) id: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where the files of somebody new go, and the profile that is made of them, if one is.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    profile: Option<(Profiles, ProfileName)>,
}

impl Place {
    /// In `out`, with a profile when it has a name; without `out` beside the list, with a profile of that name or the
    /// server's.
    pub(crate) fn choose(
        out: Option<PathBuf>,
        name: Option<ProfileName>,
        server: &Server,
    ) -> Result<Self, CtlError> {
        let name = match (&out, name) {
            (_, Some(name)) => name,
            (None, None) => server_name(server)?,
            (Some(_), None) => return Ok(Self { folder: out.unwrap_or_default(), profile: None }),
        };
        let profiles = Profiles::load()?;
        let beside = profiles.folder_of(&name)?;
        let out = out.map(|out| std::path::absolute(&out).unwrap_or(out));
        Ok(Self { folder: out.unwrap_or(beside), profile: Some((profiles, name)) })
    }

    /// Where the files of somebody of this name go.
    ///
    /// # Errors
    /// [`CtlError::Usage`]: one of them is there already.
    pub(crate) fn files(&self, name: &str) -> Result<Files, CtlError> {
        let [authority, id, certificate, key] =
            ["ca.pem", BOX_ID, &format!("{name}.pem"), &format!("{name}.key")]
                .map(|file| self.folder.join(file));
        for taken in [&authority, &id, &certificate] {
            if taken.exists() {
                let why = format!("{} is there already: take another folder with --out", taken.display());
                return Err(CtlError::Usage(why));
            }
        }
        Ok(Files { authority, id, certificate, key })
    }

    /// Makes the profile of these files, if there is to be one; gives its name, and the options that name the box from now
    /// on.
    pub(crate) fn keep(
        self,
        server: Server,
        ca_sha256: Fingerprint,
        files: &Files,
        device_id: String,
    ) -> Result<(Option<ProfileName>, String), CtlError> {
        let Files { authority, certificate, key, .. } = files;
        let Some((mut profiles, name)) = self.profile else {
            let [cacert, cert, key] = [authority, certificate, key].map(|file| file.display());
            return Ok((None, format!("--server {server} --cacert {cacert} --cert {cert} --key {key}")));
        };
        let profile = Profile {
            server,
            cacert: authority.clone(),
            ca_sha256,
            cert: Some(certificate.clone()),
            key: Some(key.clone()),
            device_id: Some(device_id),
        };
        let options = format!("--profile {name}");
        profiles.add(name.clone(), profile)?;
        Ok((Some(name), options))
    }
}

/// A profile that nobody named is called as its box.
fn server_name(server: &Server) -> Result<ProfileName, CtlError> {
    let plain = server.host().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let name = plain.trim_matches(['-', '.']).parse();
    name.map_err(|_| CtlError::Missing("name the box with --profile NAME: its address makes no name"))
}

/// The SHA-256 of the authority in a file.
pub(crate) fn fingerprint(cacert: &Path) -> Result<Fingerprint, CtlError> {
    let read = CertificateDer::from_pem_file(cacert);
    let read = read.map_err(|error| CtlError::Config { path: cacert.to_owned(), reason: error.to_string() });
    Ok(Fingerprint::of(&read?))
}

fn remove_file(path: &Path) -> Result<(), CtlError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CtlError::File { path: path.to_owned(), reason: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// A key that others on this machine can read is theirs too.
fn only_ours(key: &Path) -> Result<(), CtlError> {
    let bad = |reason: String| CtlError::Config { path: key.to_owned(), reason };
    let mode = fs::metadata(key).map_err(|error| bad(error.to_string()))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(bad(format!(
        "others can read this key (mode {mode:03o}): chmod 600 it, or have the certificate replaced"
    )))
}

fn folder() -> Result<PathBuf, CtlError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    config
        .map(|config| config.join("authenteon"))
        .ok_or(CtlError::Missing("no folder for profiles: neither XDG_CONFIG_HOME nor HOME is set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_no_option() {
        for bad in ["", ".", "..", "a/b", "-x", ".hidden", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<ProfileName>().is_err(), "{bad:?}");
        }
        assert!("branch-2.example".parse::<ProfileName>().is_ok());
    }

    #[test]
    fn a_list_with_what_nobody_knows_is_refused() {
        let good = "current = \"a\"\n[profile.a]\nserver = \"https://box\"\ncacert = \"a/ca.pem\"\n";
        let good = format!("{good}ca-sha256 = \"{}\"\n", "ab".repeat(32));
        assert!(toml::from_str::<List>(&good).is_ok());
        for bad in ["[profile.a]\nserver = 3", "[profile.\"../a\"]", "insecure = true"] {
            assert!(toml::from_str::<List>(&format!("{good}{bad}")).is_err(), "{bad}");
        }
        assert!(toml::from_str::<List>(&good.replace("abab", "ab")).is_err(), "a short fingerprint");
        assert!(toml::from_str::<List>(&good.replace("https", "http")).is_err(), "in clear");
    }
}
