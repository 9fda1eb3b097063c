//! The agent's configuration: `/etc/authenteon/agent.toml`.
//!
//! Invariant: a file that is not wholly understood is not used; a key that others can read is not used.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authenteon_agent_protocol::{Login, PATIENCE, SOCKET};
use authenteon_box::tls::{Identity, identity};
use authenteon_box::{BOX_ID, BoxError, Fingerprint, Server};
use serde::Deserialize;
use uuid::Uuid;

use crate::error::AgentError;
use crate::ticket::Tickets;

/// No configuration is larger.
const LARGEST: u64 = 1 << 20;

/// How the agent works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Of this format.
    version: u32,
    /// Where the box listens.
    server: Server,
    /// Its authority (PEM).
    cacert: PathBuf,
    /// What the authority must be.
    #[serde(default)]
    ca_sha256: Option<Fingerprint>,
    /// The machine's certificate (PEM), of the role `station`.
    cert: PathBuf,
    /// Its key (PEM).
    key: PathBuf,
    /// The reader at the box that is asked.
    pub(crate) sensor: String,
    /// Where local programs ask.
    #[serde(default = "socket")]
    pub(crate) socket: PathBuf,
    /// Seconds for which the reader waits for a finger, at most.
    #[serde(default = "touch_seconds")]
    touch_seconds: u32,
    /// Accounts below this number are the system's: no finger opens them, unless they are among `users`.
    #[serde(default = "lowest_uid")]
    pub(crate) lowest_uid: u32,
    /// How Kerberos tickets are got; nobody is given one without it.
    #[serde(default)]
    pub(crate) ticket: Option<Tickets>,
    /// Who is in no directory that the box follows: by login, which subject of the box he is.
    #[serde(default)]
    pub(crate) users: BTreeMap<Login, Uuid>,
}

fn socket() -> PathBuf {
    PathBuf::from(SOCKET)
}

fn touch_seconds() -> u32 {
    25
}

fn lowest_uid() -> u32 {
    1000
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// [`AgentError::Config`].
    pub(crate) fn read(path: &Path) -> Result<Self, AgentError> {
        let bad = |why: String| AgentError::Config { path: path.to_owned(), why };
        let size = fs::metadata(path).map_err(|why| bad(why.to_string()))?.len();
        if size > LARGEST {
            return Err(bad("too large for a configuration".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(|why| bad(why.to_string()))?;
        Self::parse(&text).map_err(bad)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|why| why.to_string())?;
        if read.version != 1 {
            return Err(format!("version {} is not known: this is 1", read.version));
        }
        if !(1..=PATIENCE).contains(&read.touch_seconds) {
            return Err(format!("touch-seconds is 1 to {PATIENCE}"));
        }
        if let Some(tickets) = &read.ticket {
            tickets.check().map_err(|why| format!("[ticket]: {why}"))?;
        }
        for (name, path) in
            [("socket", &read.socket), ("cacert", &read.cacert), ("cert", &read.cert), ("key", &read.key)]
        {
            if !path.is_absolute() {
                return Err(format!("{name} is no path from the root"));
            }
        }
        Ok(read)
    }

    /// For how long the reader waits, at most.
    pub(crate) fn touch(&self) -> Duration {
        Duration::from_secs(self.touch_seconds.into())
    }

    /// The box, by its id where that lies beside its authority, as `authenteonctl station join` leaves it.
    pub(crate) fn server(&self) -> Server {
        let kept = fs::read_to_string(self.cacert.with_file_name(BOX_ID)).ok();
        self.server.clone().of_box(kept.and_then(|id| id.trim().parse().ok()))
    }

    /// Who we are: read each time, so that a certificate that was renewed is used.
    ///
    /// # Errors
    /// [`BoxError::Config`].
    pub(crate) fn identity(&self) -> Result<Identity, BoxError> {
        let bad = |reason: String| BoxError::Config { path: self.key.clone(), reason };
        let mode = fs::metadata(&self.key).map_err(|why| bad(why.to_string()))?.mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(bad(format!("others can read this key (mode {mode:03o}): chmod o= it")));
        }
        identity(&self.cacert, self.ca_sha256, Some((&self.cert, &self.key)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SHIPPED: &str = include_str!("../packaging/agent.toml");
    const LEAST: &str = "version = 1\nserver = \"https://box.example.org\"\ncacert = \"/a/ca.pem\"\n\
                         cert = \"/a/pc.pem\"\nkey = \"/a/pc.key\"\nsensor = \"usb-1\"\n";

    #[test]
    fn what_has_to_be_said_is_enough_and_the_rest_has_a_sense() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!((config.socket.to_str(), config.lowest_uid), (Some(SOCKET), 1000));
        assert_eq!(config.touch(), Duration::from_secs(25));
        assert!(config.users.is_empty());
    }

    #[test]
    fn the_shipped_file_shows_every_key_with_its_default() {
        // What is a comment in it is the default, or an example.
        let all: String = SHIPPED
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|l| l.contains(" = ") || l.starts_with('['))
                    .unwrap_or(line)
                    .to_owned()
                    + "\n"
            })
            .collect();
        let (shipped, all) = (Config::parse(SHIPPED).unwrap(), Config::parse(&all).unwrap());
        assert_eq!(
            (all.touch(), &all.socket, all.lowest_uid),
            (shipped.touch(), &shipped.socket, shipped.lowest_uid)
        );
        assert_eq!(all.users.len(), 1);
        let tickets = all.ticket.unwrap();
        assert_eq!((tickets.seconds, tickets.realm.as_deref()), (8, Some("CORP.EXAMPLE")));
        assert!(shipped.ticket.is_none() && tickets.anchors.is_some());
        assert!(all.ca_sha256.is_some());
    }

    #[test]
    fn a_file_with_what_nobody_knows_is_refused_and_named() {
        for (bad, said) in [
            ("insecure = true", "insecure"),
            ("touch-seconds = 0", "touch-seconds"),
            ("touch-seconds = 301", "touch-seconds"),
            ("socket = \"agent.sock\"", "socket"),
            ("[users]\nalice = \"alice\"", "alice"),
            ("[users]\n\"-alice\" = \"01900000-0000-7000-8000-000000000000\"", "login"),
            ("version = 1", "version"),
            ("[ticket]\nseconds = 0", "[ticket]: seconds"),
            ("[ticket]\nkinit = \"/bin/sh\"", "kinit"),
        ] {
            let why = Config::parse(&format!("{LEAST}{bad}")).unwrap_err();
            assert!(why.contains(said), "{bad}: {why}");
        }
        for (from, to) in
            [("version = 1", "version = 2"), ("https", "http"), ("sensor", "reader"), ("/a/pc.key", "pc.key")]
        {
            assert!(Config::parse(&LEAST.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("pc.key");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let config = Config { key, ..Config::parse(LEAST).unwrap() };
        let why = config.identity().unwrap_err().to_string();
        assert!(why.contains("others can read this key"), "{why}");
    }
}
