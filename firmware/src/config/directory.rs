//! Directories that are followed: where each is, which of its people are taken, and what may be done unasked.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{ConfigError, Loaded, first_line::first_line};
use crate::{
    clock::SystemClock,
    directory::{
        self, Attributes, DirectoryError, Kind, Mapping, Method, Password, Protection, Settings, SourceName,
        follow::{Make, Watch},
        plan::Rules,
    },
    subject::GroupName,
};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// A directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DirectorySection {
    /// What it is called here: its people are kept under it.
    pub name: String,
    /// Which directory it is.
    pub kind: Kind,
    /// How changes are found.
    #[serde(default)]
    pub method: Method,
    /// The DNS name of the domain, whose controllers are found by SRV.
    pub domain: Option<String>,
    /// Its servers, in the order in which they are tried, instead.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Who is asked for names, instead of whom the system asks.
    #[serde(default)]
    pub name_servers: Vec<IpAddr>,
    /// Another port than 636, or 389 for StartTLS.
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub protection: Protection,
    /// The authorities of the servers' certificates (PEM); no others are trusted.
    pub ca: PathBuf,
    /// Who reads.
    pub account: String,
    /// A file whose first line is the password; else it is in the store.
    pub password_file: Option<PathBuf>,
    /// Where people lie.
    pub base: Option<String>,
    /// Which of them.
    pub filter: Option<String>,
    /// The DN of a group whose members alone are taken.
    pub required_group: Option<String>,
    /// Whether members of members are members.
    #[serde(default = "yes")]
    pub nested: bool,
    /// Which attributes say what.
    #[serde(default)]
    pub attributes: AttributeNames,
    /// Groups of the box, by the DNs of groups of the directory.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupName>,
    /// DNs of groups whose members are privileged.
    #[serde(default)]
    pub privileged_groups: Vec<String>,
    /// Whether the account has the right "Replicating Directory Changes".
    #[serde(default)]
    pub replication_right: bool,
    /// Seconds between two readings.
    #[serde(default = "interval")]
    pub interval_seconds: u64,
    /// Seconds that a server may take for each answer.
    #[serde(default = "patience")]
    pub answer_seconds: u64,
    /// Seconds that a whole reading may take.
    #[serde(default = "reading")]
    pub reading_seconds: u64,
    /// The Kerberos realm of its people.
    pub realm: Option<String>,
    /// Hours without a reading after which no certificate rests on it.
    #[serde(default = "stale")]
    pub stale_hours: u64,
    /// Days for which the fingers of who is disabled are kept; 0 keeps them until he is gone.
    #[serde(default = "keep_disabled")]
    pub keep_disabled_days: u64,
    /// Days after which who is gone is erased; 0 keeps him.
    #[serde(default = "erase_gone")]
    pub erase_gone_days: u64,
    /// Of a hundred people, how many may be disabled, gone or erased at once without being asked for.
    #[serde(default = "most")]
    pub most_at_once_percent: u8,
    /// So many may always.
    #[serde(default = "few")]
    pub few_at_once: usize,
}

/// Which attributes say what; without one the kind's own does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AttributeNames {
    /// The name to log in with.
    pub login: Option<String>,
    /// What people call the person.
    pub name: Option<String>,
    /// The user principal name.
    pub upn: Option<String>,
}

fn yes() -> bool {
    true
}

fn interval() -> u64 {
    30
}

fn patience() -> u64 {
    directory::PATIENCE.as_secs()
}

fn reading() -> u64 {
    300
}

fn stale() -> u64 {
    24
}

fn keep_disabled() -> u64 {
    Rules::default().keep_disabled.unwrap_or_default() / DAY
}

fn erase_gone() -> u64 {
    Rules::default().keep_gone.unwrap_or_default() / DAY
}

fn most() -> u8 {
    Rules::default().most_percent
}

fn few() -> usize {
    Rules::default().few
}

/// What cannot be, by its key.
type Bad = (&'static str, &'static str);

impl Loaded {
    /// The directories that are followed.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn directories(&self) -> Result<Vec<Watch>, ConfigError> {
        let mut names = BTreeSet::new();
        let each = |(index, section): (usize, &DirectorySection)| {
            let bad = |(key, why): Bad| {
                let place = self.place_in("directory", index, key);
                // What is missing is nowhere: then it is said of whom.
                let missing = place.starts_with("directory.");
                let place = if missing {
                    format!("{} ({key} is missing)", self.place_in("directory", index, "name"))
                } else {
                    place
                };
                ConfigError::Value { place, why: why.to_owned() }
            };
            let watch = section.watch(self.config.directory.len() == 1).map_err(bad)?;
            if names.insert(watch.name.clone()) {
                Ok(watch)
            } else {
                Err(bad(("name", "another directory is called so")))
            }
        };
        self.config.directory.iter().enumerate().map(each).collect()
    }

    /// What of them is doubtful: section, key and why.
    pub(super) fn doubtful_directories(&self) -> Vec<(usize, &'static str, &'static str)> {
        let mut found = Vec::new();
        for (index, section) in self.config.directory.iter().enumerate() {
            if section.most_at_once_percent >= 100 {
                found.push((
                    index,
                    "most-at-once-percent",
                    "a directory that lies disables everybody unasked",
                ));
            }
            if section.erase_gone_days == 0 {
                found.push((
                    index,
                    "erase-gone-days",
                    "the fingers of people who have left are kept for ever",
                ));
            }
        }
        found
    }
}

impl DirectorySection {
    /// `alone`: whether no other directory is followed.
    fn watch(&self, alone: bool) -> Result<Watch, Bad> {
        let name = SourceName::try_from(self.name.clone())
            .map_err(|_| ("name", "1 to 64 letters, digits, '.', '_' and '-'"))?;
        self.check()?;
        Ok(Watch {
            name,
            kind: match self.kind {
                Kind::ActiveDirectory => "active-directory",
                Kind::Edirectory => "edirectory",
                Kind::Ldap => "ldap",
            },
            mapping: match (self.kind, &self.realm) {
                (Kind::ActiveDirectory, _) => Mapping::Sid,
                (_, None) if !alone => Mapping::Unsaid,
                (_, realm) => Mapping::Principal { realm: realm.clone() },
            },
            password_file: self.password_file.is_some(),
            rules: Rules {
                keep_disabled: Some(self.keep_disabled_days * DAY).filter(|keep| *keep > 0),
                keep_gone: Some(self.erase_gone_days * DAY).filter(|keep| *keep > 0),
                most_percent: self.most_at_once_percent,
                few: self.few_at_once,
            },
            interval: Duration::from_secs(self.interval_seconds),
            patience: Duration::from_secs(self.reading_seconds),
            stale_after: Duration::from_secs(self.stale_hours * 3600),
            make: self.make(),
        })
    }

    fn check(&self) -> Result<(), Bad> {
        let active_directory = self.kind == Kind::ActiveDirectory;
        match self.method {
            Method::Dirsync | Method::Usn if !active_directory => {
                return Err((
                    "method",
                    "dirsync and usn are Active Directory's: \"auto\", \"syncrepl\" or \"sweep\"",
                ));
            }
            Method::Syncrepl | Method::Sweep if active_directory => {
                return Err(("method", "Active Directory has \"auto\", \"dirsync\" and \"usn\""));
            }
            _ => {}
        }
        if self.servers.is_empty() && self.domain.is_none() {
            return Err(("servers", "name its servers, or the domain whose controllers DNS knows"));
        }
        let host = |text: &String| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c))
        };
        if !self.servers.iter().all(host) {
            return Err(("servers", "host names or addresses, without ldaps:// and without a port"));
        }
        if !self.domain.iter().all(host) {
            return Err(("domain", "a DNS name: corp.example"));
        }
        if self.port == Some(0) {
            return Err(("port", "1 to 65535"));
        }
        if !active_directory && self.base.is_none() {
            return Err(("base", "where people lie: \"ou=people,o=example\""));
        }
        match &self.realm {
            Some(_) if active_directory => {
                return Err(("realm", "Active Directory knows its people by SID: leave it out"));
            }
            Some(realm) if !directory::is_plain(realm) => {
                return Err(("realm", "a Kerberos realm: CORP.EXAMPLE"));
            }
            _ => {}
        }
        if self.account.trim().is_empty() {
            return Err(("account", "who reads the directory: nobody is let in without a name"));
        }
        for (key, path) in [("ca", Some(&self.ca)), ("password-file", self.password_file.as_ref())] {
            if path.is_some_and(|path| !path.is_absolute()) {
                return Err((key, "the whole path of a file"));
            }
        }
        let bounds = [
            ("interval-seconds", self.interval_seconds, 5..=86_400, "5 to 86400"),
            ("answer-seconds", self.answer_seconds, 1..=300, "1 to 300"),
            ("reading-seconds", self.reading_seconds, 5..=3600, "5 to 3600"),
            ("stale-hours", self.stale_hours, 1..=8760, "1 to 8760"),
            ("keep-disabled-days", self.keep_disabled_days, 0..=36_500, "0 (while he is there) to 36500"),
            ("erase-gone-days", self.erase_gone_days, 0..=36_500, "0 (never) to 36500"),
            ("most-at-once-percent", self.most_at_once_percent.into(), 0..=100, "0 to 100"),
        ];
        for (key, value, range, why) in bounds {
            if !range.contains(&value) {
                return Err((key, why));
            }
        }
        Ok(())
    }

    /// Makes its source, each time from what the files hold then.
    fn make(&self) -> Arc<Make> {
        let section = self.clone();
        Arc::new(move |kept: Option<Zeroizing<String>>| {
            let password = match &section.password_file {
                Some(path) => first_line(path).map_err(|why| {
                    DirectoryError::Configuration(format!("password-file {}: {why}", path.display()))
                })?,
                None => kept.ok_or_else(|| {
                    DirectoryError::Configuration(format!(
                        "the account has no password yet: authenteonctl directory password {}",
                        section.name
                    ))
                })?,
            };
            directory::source(section.settings(Password::new(password)), Arc::new(SystemClock))
        })
    }

    fn settings(&self, password: Password) -> Settings {
        let of = self.clone();
        let AttributeNames { login, name, upn } = of.attributes;
        Settings {
            name: of.name,
            kind: of.kind,
            method: of.method,
            domain: of.domain,
            servers: of.servers,
            name_servers: of.name_servers,
            port: of.port,
            protection: of.protection,
            ca: of.ca,
            account: of.account,
            password,
            base: of.base,
            filter: of.filter,
            required_group: of.required_group,
            nested: of.nested,
            attributes: Attributes { login, name, upn },
            groups: of.groups,
            privileged_groups: of.privileged_groups,
            replication_right: of.replication_right,
            patience: Duration::from_secs(of.answer_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "name = \"corp\"\nkind = \"active-directory\"\ndomain = \"corp.example\"\nca = \"/ca.pem\"\n\
                        account = \"svc@corp.example\"\n";

    fn parsed(more: &str) -> DirectorySection {
        toml::from_str(&format!("{GOOD}{more}")).unwrap()
    }

    #[test]
    fn five_keys_are_all_that_must_be_said_of_active_directory() {
        let watch = parsed("").watch(true).unwrap();
        assert_eq!(
            (watch.name.as_ref(), watch.kind, watch.password_file),
            ("corp", "active-directory", false)
        );
        assert_eq!((watch.interval.as_secs(), watch.stale_after.as_secs()), (30, 86_400));
        assert_eq!(watch.rules, Rules::default());
        let kept = parsed("keep-disabled-days = 0\nerase-gone-days = 1\n").watch(true).unwrap().rules;
        assert_eq!((kept.keep_disabled, kept.keep_gone), (None, Some(DAY)));
    }

    #[test]
    fn a_mapping_is_taken_as_it_is_written() {
        let text = "base = \"OU=Staff,DC=corp,DC=example\"\nrequired-group = \"CN=Fingers,DC=corp,DC=example\"\n\
                    nested = false\nattributes = { name = \"cn\" }\nprivileged-groups = [\"CN=Root\"]\n\
                    [groups]\n\"CN=Night,DC=corp,DC=example\" = \"night-shift\"\n";
        let settings = parsed(text).settings(Password::new(Zeroizing::new("secret".to_owned())));
        assert_eq!(settings.groups["CN=Night,DC=corp,DC=example"].as_ref(), "night-shift");
        assert_eq!((settings.nested, settings.attributes.name.as_deref()), (false, Some("cn")));
        assert!(!format!("{settings:?}").contains("secret"));
        assert!(
            toml::from_str::<DirectorySection>(&format!("{GOOD}[groups]\n\"CN=x\" = \"Night\"\n")).is_err()
        );
        assert!(toml::from_str::<DirectorySection>(&format!("{GOOD}password = \"secret\"\n")).is_err());
    }

    #[test]
    fn a_realm_is_that_of_one_directory_and_of_several_each_has_to_say_its_own() {
        let ldap = GOOD.replace("active-directory", "ldap") + "base = \"o=x\"\n";
        let mapping = |text: &str, alone| {
            toml::from_str::<DirectorySection>(text).unwrap().watch(alone).unwrap().mapping
        };
        let named = format!("{ldap}realm = \"MIT.EXAMPLE\"\n");
        for alone in [true, false] {
            assert_eq!(mapping(GOOD, alone), Mapping::Sid);
            assert_eq!(mapping(&named, alone), Mapping::Principal { realm: Some("MIT.EXAMPLE".into()) });
        }
        assert_eq!(mapping(&ldap, true), Mapping::Principal { realm: None });
        assert_eq!(mapping(&ldap, false), Mapping::Unsaid);
    }

    #[test]
    fn what_cannot_be_followed_is_named_by_its_key() {
        for (more, key) in [
            ("method = \"syncrepl\"", "method"),
            ("servers = [\"ldaps://dc1.corp.example\"]", "servers"),
            ("port = 0", "port"),
            ("password-file = \"secret\"", "password-file"),
            ("interval-seconds = 1", "interval-seconds"),
            ("stale-hours = 0", "stale-hours"),
            ("most-at-once-percent = 101", "most-at-once-percent"),
            ("reading-seconds = 4000", "reading-seconds"),
            ("realm = \"CORP.EXAMPLE\"", "realm"),
        ] {
            assert_eq!(parsed(more).watch(true).err().unwrap().0, key, "{more}");
        }
        let other =
            |text: &str| toml::from_str::<DirectorySection>(text).unwrap().watch(true).err().unwrap().0;
        let ldap = GOOD.replace("active-directory", "ldap");
        assert_eq!(other(&ldap), "base");
        assert_eq!(other(&format!("{ldap}base = \"o=x\"\nmethod = \"usn\"\n")), "method");
        assert_eq!(other(&format!("{ldap}base = \"o=x\"\nrealm = \"a/b\"\n")), "realm");
        assert_eq!(other(&GOOD.replace("domain = \"corp.example\"\n", "")), "servers");
        assert_eq!(other(&GOOD.replace("svc@corp.example", " ")), "account");
        assert_eq!(other(&GOOD.replace("\"corp\"", "\"co/rp\"")), "name");
    }

    #[test]
    fn a_password_is_read_when_it_is_needed_and_where_there_is_none_it_says_how_to_give_one() {
        let make = parsed("").make();
        let why = make(None).err().unwrap().to_string();
        assert!(why.contains("authenteonctl directory password corp"), "{why}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let make = parsed(&format!("password-file = {path:?}\n")).make();
        let why = make(Some(Zeroizing::new("of the store".to_owned()))).err().unwrap().to_string();
        assert!(why.contains("password-file"), "{why}");
        fs::write(&path, "\n").unwrap();
        assert!(make(None).err().unwrap().to_string().contains("empty"));
    }
}
