//! How long the audit is kept, how often its head is signed, and where it is forwarded to.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{ConfigError, Loaded};
use crate::{
    forward::{Destination, Kind},
    services::AuditSettings,
};

/// The port of syslog over TLS (RFC 5425).
const SYSLOG: u16 = 6514;
const HTTPS: u16 = 443;

/// The audit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Audit {
    /// Days after which a record is deleted; 0 keeps all.
    pub keep_days: u32,
    /// Records after which the head is signed.
    pub sign_records: u64,
    /// Minutes after which it is signed when there was any record.
    pub sign_minutes: u32,
    /// Where it is forwarded to.
    pub forward: Vec<Forward>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep_days: 730, sign_records: 1000, sign_minutes: 10, forward: Vec::new() }
    }
}

/// Where the audit is forwarded to: one of `syslog` and `webhook`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Forward {
    /// What it is called: its place in the audit is kept under it.
    pub name: String,
    /// `host:port` of a receiver of syslog over TLS; 6514 without a port.
    pub syslog: Option<String>,
    /// `https://host:port/path` that takes batches of JSON.
    pub webhook: Option<String>,
    /// The authorities of its certificate (PEM); no others are trusted.
    pub ca: PathBuf,
    /// The certificate that the box shows it (PEM).
    pub certificate: Option<PathBuf>,
    /// `file:` and the file of the key of that certificate (PEM).
    pub key: Option<String>,
    /// `file:` and the file of the secret that a webhook's bodies are signed with.
    pub secret: Option<String>,
    /// Whether a syslog connection that the receiver closes without TLS close_notify is taken as read.
    #[serde(default)]
    pub unconfirmed: bool,
}

impl Loaded {
    /// Where the audit is forwarded to.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn destinations(&self) -> Result<Vec<Destination>, ConfigError> {
        self.config.audit.destinations().map_err(|(index, key, why)| ConfigError::Value {
            place: self.place_in("audit.forward", index, key),
            why: why.to_owned(),
        })
    }
}

/// What cannot be, by its key.
type Bad = (&'static str, &'static str);

impl Audit {
    /// What of it cannot be, by its key.
    pub(super) fn check(&self) -> Result<(), Bad> {
        if self.sign_records == 0 {
            return Err(("sign-records", "at least 1"));
        }
        if !(1..=1440).contains(&self.sign_minutes) {
            return Err(("sign-minutes", "1 to 1440"));
        }
        if self.keep_days > 36_500 {
            return Err(("keep-days", "0 (all are kept) to 36500"));
        }
        Ok(())
    }

    /// Where it is forwarded to.
    ///
    /// # Errors
    /// Which of them, counted from 0, its key, and what would be right.
    fn destinations(&self) -> Result<Vec<Destination>, (usize, &'static str, &'static str)> {
        let mut names = BTreeSet::new();
        let each = |(index, forward): (usize, &Forward)| {
            let found = forward.destination().map_err(|(key, why)| (index, key, why))?;
            if names.insert(found.name.clone()) {
                Ok(found)
            } else {
                Err((index, "name", "another destination is called so"))
            }
        };
        self.forward.iter().enumerate().map(each).collect()
    }

    /// The same for the services.
    #[must_use]
    pub fn settings(&self) -> AuditSettings {
        let day = Duration::from_secs(86_400);
        AuditSettings {
            keep: Some(day * self.keep_days).filter(|keep| !keep.is_zero()),
            sign_records: self.sign_records,
            sign_after: Duration::from_secs(60 * u64::from(self.sign_minutes)),
            destinations: self.forward.iter().map(|forward| forward.name.clone()).collect(),
        }
    }
}

impl Forward {
    fn destination(&self) -> Result<Destination, Bad> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(plain) {
            return Err(("name", "1 to 64 letters, digits, '.', '_' and '-'"));
        }
        let identity = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.clone(), file(key).ok_or(("key", FILE))?)),
            _ => return Err(("certificate", "certificate and key go together")),
        };
        let secret = self.secret.as_deref().map(|secret| file(secret).ok_or(("secret", FILE))).transpose()?;
        let (kind, place, port) = match (&self.syslog, &self.webhook) {
            (Some(place), None) => {
                if secret.is_some() {
                    return Err(("secret", "only a webhook has one"));
                }
                (Kind::Syslog { unconfirmed: self.unconfirmed }, place.as_str(), SYSLOG)
            }
            (None, Some(url)) => {
                let rest = url.strip_prefix("https://").ok_or(("webhook", "https://HOST:PORT/PATH"))?;
                let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
                if secret.is_none() && identity.is_none() {
                    return Err(("webhook", "it takes a secret, or a certificate with its key"));
                }
                let visible = |c: char| c.is_ascii_graphic() && c != '#';
                if self.unconfirmed || !path.chars().all(visible) {
                    return Err(("webhook", "a path without spaces; every answer confirms"));
                }
                (Kind::Webhook { path: format!("/{path}"), secret }, place, HTTPS)
            }
            _ => return Err(("name", "either syslog or webhook")),
        };
        let key = if matches!(kind, Kind::Syslog { .. }) { "syslog" } else { "webhook" };
        let (host, port) = host_and_port(place, port).ok_or((key, "a host, or HOST:PORT"))?;
        Ok(Destination { name: self.name.clone(), kind, host, port, ca: self.ca.clone(), identity })
    }
}

const FILE: &str = "file: and the path of a file; secrets do not stand in the configuration";

fn file(text: &str) -> Option<PathBuf> {
    text.strip_prefix("file:").filter(|path| path.starts_with('/')).map(PathBuf::from)
}

/// An IPv6 address stands in brackets.
fn host_and_port(text: &str, port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, port),
        Some((host, rest)) => (host, rest.strip_prefix(':')?.parse().ok()?),
        None => match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, port),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    (!host.is_empty() && port != 0 && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Audit {
        toml::from_str(text).unwrap()
    }

    fn forwarded(more: &str) -> Result<Vec<Destination>, (usize, &'static str, &'static str)> {
        parsed(&format!("[[forward]]\nname = \"siem\"\nca = \"/ca.pem\"\n{more}")).destinations()
    }

    #[test]
    fn two_years_are_kept_and_nothing_is_forwarded_unless_it_is_said() {
        let settings = parsed("").settings();
        assert_eq!(settings.keep, Some(Duration::from_secs(730 * 86_400)));
        assert_eq!(parsed("keep-days = 0").settings().keep, None);
        assert!(parsed("").destinations().unwrap().is_empty());
        for bad in ["sign-records = 0", "sign-minutes = 0", "keep-days = 40000"] {
            assert!(parsed(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_destination_is_syslog_or_a_webhook_each_with_its_own_port() {
        let siem = forwarded("syslog = \"siem.example.org\"").unwrap().remove(0);
        assert_eq!((siem.host.as_str(), siem.port), ("siem.example.org", 6514));
        let siem = forwarded("syslog = \"[::1]:77\"").unwrap().remove(0);
        assert_eq!((siem.host.as_str(), siem.port), ("::1", 77));
        let hook = "webhook = \"https://h.example.org/a/b?c=d\"\nsecret = \"file:/s\"";
        let hook = forwarded(hook).unwrap().remove(0);
        let kind = Kind::Webhook { path: "/a/b?c=d".to_owned(), secret: Some("/s".into()) };
        assert_eq!((hook.port, hook.kind), (443, kind));
    }

    #[test]
    fn what_cannot_be_forwarded_to_is_named_by_its_key() {
        for (more, key) in [
            ("", "name"),
            ("syslog = \"a\"\nwebhook = \"https://b\"", "name"),
            ("syslog = \"a:b\"", "syslog"),
            ("syslog = \"a:0\"", "syslog"),
            ("syslog = \"a\"\nsecret = \"file:/s\"", "secret"),
            ("webhook = \"http://a\"\nsecret = \"file:/s\"", "webhook"),
            ("webhook = \"https://a\"", "webhook"),
            ("webhook = \"https://a\"\nsecret = \"hunter2\"", "secret"),
            ("syslog = \"a\"\ncertificate = \"/c\"", "certificate"),
            ("syslog = \"a\"\ncertificate = \"/c\"\nkey = \"/k\"", "key"),
        ] {
            assert_eq!(forwarded(more).unwrap_err().1, key, "{more}");
        }
        let twice = "syslog = \"a\"\n[[forward]]\nname = \"siem\"\nca = \"/c\"\nsyslog = \"b\"";
        assert_eq!(forwarded(twice).unwrap_err().0, 1);
    }
}
