//! What accepts are good for: assertions and certificates.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::{ConfigError, Loaded};
use crate::{credential::assertion, services::HandoverSettings, subject::GroupName};

/// The longest life of a certificate: what cannot be revoked in practice has to end by itself.
const LONGEST: u64 = 60;

/// What goes with accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HandoverSection {
    /// What the box calls itself in assertions.
    pub issuer: Option<String>,
    /// How long an assertion is good.
    pub assertion_seconds: u64,
    /// How long a certificate of a person is good.
    pub certificate_minutes: u64,
    /// Whose people may get certificates.
    pub certificate_groups: Option<BTreeSet<String>>,
    /// Certificates that a station may have in a minute, and all together.
    pub station_certificates_a_minute: usize,
    /// The same of the box.
    pub certificates_a_minute: usize,
    /// Where the list of revoked certificates is fetched.
    pub revocation_list: Option<String>,
    /// Where the box serves it itself, in clear: address and port.
    pub revocation_listen: Option<SocketAddr>,
}

impl Default for HandoverSection {
    fn default() -> Self {
        Self {
            issuer: None,
            assertion_seconds: assertion::LONGEST.as_secs(),
            certificate_minutes: 5,
            certificate_groups: None,
            station_certificates_a_minute: 30,
            certificates_a_minute: 300,
            revocation_list: None,
            revocation_listen: None,
        }
    }
}

impl Loaded {
    /// What is configured; without an issuer the box is called as nobody in particular.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn handover(&self) -> Result<HandoverSettings, ConfigError> {
        let section = &self.config.handover;
        let wrong = |key: &str, why: String| ConfigError::Value { place: self.place("handover", key), why };
        let longest = assertion::LONGEST.as_secs();
        if !(1..=longest).contains(&section.assertion_seconds) {
            return Err(wrong(
                "assertion-seconds",
                format!("an assertion is good for 1 to {longest} seconds"),
            ));
        }
        if !(1..=LONGEST).contains(&section.certificate_minutes) {
            return Err(wrong(
                "certificate-minutes",
                format!("a certificate is good for 1 to {LONGEST} minutes"),
            ));
        }
        for (key, url) in [("issuer", &section.issuer), ("revocation-list", &section.revocation_list)] {
            if url.as_ref().is_some_and(|url| url.is_empty() || !url.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(wrong(key, "it is a URL, such as https://finger.corp.example:3411".into()));
            }
        }
        let groups = section.certificate_groups.as_ref().map(|groups| {
            let groups = groups.iter().cloned().map(GroupName::try_from);
            groups.collect::<Result<BTreeSet<_>, _>>()
        });
        let groups = groups.transpose().map_err(|why| wrong("certificate-groups", why.to_string()))?;
        Ok(HandoverSettings {
            issuer: section.issuer.clone().unwrap_or_else(|| HandoverSettings::default().issuer),
            assertion: Duration::from_secs(section.assertion_seconds),
            certificate: Duration::from_secs(section.certificate_minutes * 60),
            groups,
            most_a_minute: (section.station_certificates_a_minute, section.certificates_a_minute),
            list: section.revocation_list.clone(),
        })
    }
}
