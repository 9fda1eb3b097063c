//! The daemon's configuration: TOML, then the environment, then checked.
//!
//! Unknown keys are errors with their line. Files of the folder beside the file lie over it, and every key can be
//! overridden by a variable `AUTHENTEON_SECTION__KEY`, dashes written as underscores.

mod announce;
mod audit;
mod claim;
mod clock;
mod directory;
mod first_line;
mod handover;
mod load;
mod metrics;
mod panel;
mod policy;
mod radius;
mod sensors;
mod tpm;
mod update;
mod watchdog;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use authenteon_hal::{discovery::SerialReader, panel::Wire};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

pub use announce::Announce;
pub use audit::{Audit, Forward};
pub use claim::ClaimSection;
pub use clock::ClockSection;
pub use directory::{AttributeNames, DirectorySection};
pub use handover::HandoverSection;
pub use load::{Loaded, load};
pub use metrics::Metrics;
pub use panel::{FrontPanel, PanelPart};
pub use policy::PolicyValues;
pub use radius::RadiusSection;
pub use sensors::{Sensors, SerialModel, SerialPort};
pub use tpm::TpmSection;
pub use update::Update;
pub use watchdog::Watchdog;

use crate::policy::Policy;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The file is not a configuration.
    #[error("{path}: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
    /// A variable is not a value for its key.
    #[error("{variable}: {why}")]
    Variable {
        /// Which.
        variable: String,
        /// What is wrong.
        why: String,
    },
    /// A value cannot be used.
    #[error("{place}: {why}")]
    Value {
        /// Line and key.
        place: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Of this format: 1.
    pub version: u32,
    /// The listener.
    #[serde(default)]
    pub server: Server,
    /// How the box is claimed; without it the box is set up on its command line.
    pub claim: Option<ClaimSection>,
    /// Certificates.
    pub pki: Folder,
    /// The store.
    pub store: StoreSection,
    /// Thresholds.
    #[serde(default)]
    pub policy: PolicyValues,
    /// How long the audit is kept, and how often its head is signed.
    #[serde(default)]
    pub audit: Audit,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Readers at the box.
    #[serde(default)]
    pub sensors: Sensors,
    /// The front panel, if the box has one.
    pub panel: Option<FrontPanel>,
    /// Whether and how the box is found on the local network.
    pub announce: Option<Announce>,
    /// Updates of the whole box, if it is updated over the API.
    pub update: Option<Update>,
    /// Whether and where somebody tells how the clock is.
    pub clock: Option<ClockSection>,
    /// Where metrics are asked for, if anybody does.
    pub metrics: Option<Metrics>,
    /// Directories that are followed.
    #[serde(default)]
    pub directory: Vec<DirectorySection>,
    /// What goes with accepts.
    #[serde(default)]
    pub handover: HandoverSection,
    /// RADIUS, if it is served.
    pub radius: Option<RadiusSection>,
    /// What is fed while the daemon does not hang.
    #[serde(default)]
    pub watchdog: Watchdog,
    /// The log.
    #[serde(default)]
    pub log: Log,
}

/// The listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether HTTP/3 is served on the UDP port of the same number.
    pub http3: bool,
}

/// The port that IANA lists as `biolink-auth`.
pub const PORT: u16 = 3411;

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], PORT)), http3: true }
    }
}

/// A folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Folder {
    /// Where it is.
    pub folder: PathBuf,
}

/// The store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreSection {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether 16 MiB of the disk are kept, to be given up when it is full.
    #[serde(default)]
    pub ballast: bool,
    /// The file of the master key, when it is not to lie beside the store: on another disk, say.
    pub master_key: Option<PathBuf>,
    /// The TPM that seals the master key, once it is told to.
    #[serde(default)]
    pub tpm: TpmSection,
    /// Whether the format of an older store stays what it is, so that the version before can read it.
    #[serde(default)]
    pub hold_format: bool,
}

/// Bounds on what clients may use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Connections at a time, on TCP and again on UDP.
    pub connections: usize,
    /// Of these from one address; with IPv6 from one /64.
    pub connections_per_address: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Seconds for a TLS handshake.
    pub handshake_seconds: u64,
    /// Seconds for a request's head, and again for its body.
    pub request_seconds: u64,
    /// Seconds that a connection may stay open without a request.
    pub idle_seconds: u64,
    /// Seconds that open requests get at shutdown.
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 256,
            body_bytes: 16 << 20,
            handshake_seconds: 5,
            request_seconds: 10,
            idle_seconds: 60,
            drain_seconds: 5,
        }
    }
}

impl Limits {
    /// Time for a handshake.
    #[must_use]
    pub fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds)
    }

    /// Time for a head, and for a body.
    #[must_use]
    pub fn request(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }

    /// Time without a request.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// Time to finish at shutdown.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// The log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// What is logged, as `tracing` filters it.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

/// A value that is allowed and hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line and key.
    pub place: String,
    /// Why it is doubtful.
    pub why: String,
}

impl Loaded {
    /// Checks what the types cannot: errors first, then what is allowed and doubtful.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self) -> Result<Vec<Warning>, ConfigError> {
        let c = &self.config;
        let error = |section: &str, key: &str, why: &str| {
            Err(ConfigError::Value { place: self.place(section, key), why: why.to_owned() })
        };
        if c.version != 1 {
            return error("", "version", "this program reads version 1");
        }
        self.policy()?;
        if let Err((key, why)) = c.policy.lockout.check() {
            return error("policy.lockout", key, why);
        }
        for (key, value) in [
            ("connections", c.limits.connections as u64),
            ("connections-per-address", c.limits.connections_per_address as u64),
            ("handshake-seconds", c.limits.handshake_seconds),
            ("request-seconds", c.limits.request_seconds),
            ("idle-seconds", c.limits.idle_seconds),
        ] {
            if value == 0 {
                return error("limits", key, "zero lets nobody in");
            }
        }
        if let Err(why) = EnvFilter::try_new(&c.log.filter) {
            return error("log", "filter", &why.to_string());
        }
        if !(65_536..=256 << 20).contains(&c.limits.body_bytes) {
            return error("limits", "body-bytes", "between 65536 (a small frame) and 268435456");
        }
        if let Some(Err(why)) = c.announce.as_ref().map(Announce::check) {
            return error("announce", "host", why);
        }
        if let Err((key, why)) = c.audit.check() {
            return error("audit", key, why);
        }
        if let Err(why) = c.store.tpm.check() {
            return error("store", "tpm", why);
        }
        if let Some(Err(why)) = c.metrics.as_ref().map(Metrics::check) {
            return error("metrics", "listen", why);
        }
        if let Err((key, why)) = c.watchdog.check() {
            return error("watchdog", key, why);
        }
        self.serial_readers()?;
        self.destinations()?;
        self.directories()?;
        self.radius()?;
        self.panel_lines()?;
        if let Some(Err(why)) = c.claim.as_ref().map(ClaimSection::check) {
            return error("claim", "names", why);
        }
        let doubtful = self.doubtful_directories().into_iter().map(|(index, key, why)| Warning {
            place: self.place_in("directory", index, key),
            why: why.to_owned(),
        });
        let mut warnings: Vec<Warning> = doubtful.collect();
        let mut warn = |doubtful: bool, section: &str, key: &str, why: &str| {
            if doubtful {
                warnings.push(Warning { place: self.place(section, key), why: why.to_owned() });
            }
        };
        for (section, key, why) in c.policy.doubts() {
            warn(true, section, key, why);
        }
        warn(c.server.listen.port() != PORT, "server", "listen", "clients look for port 3411");
        warn(c.server.listen.ip().is_loopback(), "server", "listen", "only this machine can connect");
        warn(
            c.limits.body_bytes < 1 << 20,
            "limits",
            "body-bytes",
            "three uncompressed frames need about a megabyte",
        );
        warn(
            c.store.folder.starts_with("/tmp"),
            "store",
            "folder",
            "what is enrolled is lost at the next start of the machine",
        );
        Ok(warnings)
    }

    /// The policy.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        self.config.policy.policy().map_err(|(key, why)| ConfigError::Value {
            place: self.place("policy", key),
            why: why.to_owned(),
        })
    }

    /// The readers at serial ports.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn serial_readers(&self) -> Result<Vec<SerialReader>, ConfigError> {
        self.config.sensors.readers().map_err(|(index, key, why)| ConfigError::Value {
            place: self.place_in("sensors.serial", index, key),
            why: why.to_owned(),
        })
    }

    /// The lines of the front panel; none without a panel.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn panel_lines(&self) -> Result<Vec<Wire>, ConfigError> {
        let Some(panel) = &self.config.panel else { return Ok(Vec::new()) };
        panel
            .lines()
            .map_err(|(key, why)| ConfigError::Value { place: self.place("panel", key), why: why.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "version = 1\n[pki]\nfolder = \"/p\"\n[store]\nfolder = \"/s\"\n";

    fn loaded(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, text).unwrap();
        load(&path, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn two_folders_are_all_that_must_be_said() {
        let loaded = loaded(GOOD, &[]).unwrap();
        assert_eq!(loaded.check().unwrap(), []);
        assert_eq!(loaded.config.server.listen.port(), 3411);
        assert_eq!(loaded.policy().unwrap(), Policy::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let why = loaded(&format!("{GOOD}[limits]\nbody-size = 5\n"), &[]).err().unwrap().to_string();
        assert!(why.contains("line 7") && why.contains("body-size"), "{why}");
    }

    #[test]
    fn a_foolish_value_is_named_with_its_line() {
        let loaded = loaded(&format!("{GOOD}[policy]\n# lax\nverify-one-in = 10\n"), &[]).unwrap();
        let warnings = loaded.check().unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].place, "line 8: verify-one-in");
    }

    #[test]
    fn an_impossible_value_is_an_error_with_its_line() {
        let loaded = loaded(&format!("{GOOD}[policy]\nverify-one-in = 0\n"), &[]).unwrap();
        assert!(loaded.check().unwrap_err().to_string().starts_with("line 7: verify-one-in"));
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let variables = [
            ("AUTHENTEON_SERVER__LISTEN", "127.0.0.1:9"),
            ("AUTHENTEON_LIMITS__BODY_BYTES", "70000"),
            ("AUTHENTEON_LONG", "no"),
        ];
        let loaded = loaded(GOOD, &variables).unwrap();
        assert_eq!(loaded.config.server.listen.port(), 9);
        assert_eq!(loaded.config.limits.body_bytes, 70_000);
        let why =
            super::tests::loaded(GOOD, &[("AUTHENTEON_LOG__JSON", "perhaps")]).err().unwrap().to_string();
        assert!(why.starts_with("AUTHENTEON_LOG__JSON"), "{why}");
    }

    #[test]
    fn readers_are_looked_for_on_usb_and_at_no_port_unless_it_is_said() {
        let quiet = loaded(GOOD, &[]).unwrap();
        assert!(quiet.config.sensors.usb);
        assert_eq!(quiet.serial_readers().unwrap().len(), 0);
        let text = "[sensors]\nusb = false\n[[sensors.serial]]\nport = \"/dev/ttyS1\"\npassword = \"0000abCD\"\n\
                    [[sensors.serial]]\nport = \"/dev/ttyS2\"\nmodel = \"r503\"\ndpi = 508\n";
        let said = loaded(&format!("{GOOD}{text}"), &[]).unwrap();
        assert!(!said.config.sensors.usb && said.check().unwrap().is_empty());
        let readers = said.serial_readers().unwrap();
        assert_eq!(readers[0].module.password, 0xABCD);
        assert_eq!((readers[1].id().as_str(), readers[1].module.dpi.get()), ("serial-ttyS2", 508));
        let variables = [
            ("AUTHENTEON_SENSORS__USB", "false"),
            ("AUTHENTEON_SENSORS__SERIAL", "[{ port = \"/dev/ttyAMA0\" }]"),
        ];
        let laid_over = loaded(GOOD, &variables).unwrap();
        assert!(!laid_over.config.sensors.usb);
        assert_eq!(laid_over.serial_readers().unwrap()[0].port, "/dev/ttyAMA0");
    }

    #[test]
    fn a_port_that_cannot_be_one_is_named_with_its_line() {
        let first = format!("{GOOD}[[sensors.serial]]\nport = \"/dev/ttyS1\"\n[[sensors.serial]]\n");
        for (second, place) in [
            ("port = \"/dev/ttyS1\"", "line 9: port"),
            ("port = \"ttyS2\"", "line 9: port"),
            ("port = \"/dev/ttyS2\"\npassword = \"123\"", "line 10: password"),
            ("port = \"/dev/ttyS2\"\npassword = \"+1234567\"", "line 10: password"),
            ("port = \"/dev/ttyS2\"\n\ndpi = 90", "line 11: dpi"),
        ] {
            let why = loaded(&format!("{first}{second}\n"), &[]).unwrap().check().unwrap_err().to_string();
            assert!(why.starts_with(place), "{second}: {why}");
        }
        let unknown = loaded(&format!("{first}port = \"/dev/ttyS2\"\nspeed = 9600\n"), &[]).err().unwrap();
        assert!(unknown.to_string().contains("line 10"), "{unknown}");
    }
}
