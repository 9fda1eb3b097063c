//! The box's place in the network, and who tells it the time: what the administrator says of them, or what
//! the network offers.
//!
//! Three files may speak, the first that does is followed: `network.toml` on the card, at every start;
//! `provision.toml` on the card, while nobody has claimed the box; and what an earlier `provision.toml` said,
//! kept since. Invariant: a file that is not wholly understood is not followed in part, and never keeps the
//! box off the network: the next one is asked, and at last the network itself. Nothing but parsed addresses
//! gets into a plan, so that a script may read it word by word.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    claim::provision::{self, Network, Provision, ProvisionError},
    network_time::servers::TimeServer,
};

/// Of the administrator's, at every start.
const NETWORK: &str = "network.toml";
/// Of the administrator's, before the claim.
const PROVISION: &str = "provision.toml";

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// What init copied from the card.
    pub card: PathBuf,
    /// Where the box keeps what it was told, as `network.toml`.
    pub kept: PathBuf,
    /// Whether somebody has claimed the box.
    pub claimed: bool,
}

/// What the box does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Takes this address; without one, that which the network offers.
    pub fixed: Option<Network>,
    /// Asks these for the time; without any, those that the network offers.
    pub time: Vec<TimeServer>,
}

/// A file that is not followed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{file} is not followed: {why}")]
pub struct NotFollowed {
    /// Its name.
    pub file: &'static str,
    /// Why.
    pub why: ProvisionError,
}

impl Plan {
    /// Reads the files. Keeps what `provision.toml` says for the time after the claim.
    #[must_use]
    pub fn read(files: &Files) -> (Self, Vec<NotFollowed>) {
        let mut refused = Vec::new();
        let kept = files.kept.join(NETWORK);
        if !files.claimed {
            let told = match provision::read(&files.card.join(PROVISION)) {
                Ok(told) => told.map(Self::from).unwrap_or_default(),
                Err(why) => {
                    refused.push(NotFollowed { file: PROVISION, why });
                    Self::default()
                }
            };
            if let Err(why) = keep(&kept, &told) {
                refused.push(NotFollowed { file: PROVISION, why: why.into() });
            }
        }
        for (file, path) in [(NETWORK, files.card.join(NETWORK)), ("what was kept", kept)] {
            match provision::read(&path) {
                Ok(None) => {}
                Ok(Some(Provision { code_sha256: Some(_), .. })) => {
                    let why = "a claim code belongs into provision.toml";
                    refused.push(NotFollowed { file, why: ProvisionError::Network(why) });
                }
                Ok(Some(told)) => return (told.into(), refused),
                Err(why) => refused.push(NotFollowed { file, why }),
            }
        }
        (Self::default(), refused)
    }
}

impl From<Provision> for Plan {
    fn from(told: Provision) -> Self {
        Self { fixed: told.network, time: told.time }
    }
}

/// One word and its value a line, for a script.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fixed {
            None => writeln!(f, "kind=offered")?,
            Some(network) => {
                writeln!(f, "kind=fixed\naddress={}", network.address)?;
                if let Some(gateway) = network.gateway {
                    writeln!(f, "gateway={gateway}")?;
                }
                network.dns.iter().try_for_each(|server| writeln!(f, "dns={server}"))?;
            }
        }
        self.time.iter().try_for_each(|server| writeln!(f, "time={server}"))
    }
}

/// Keeps what was told, or that nothing was.
fn keep(path: &Path, told: &Plan) -> io::Result<()> {
    if *told == Plan::default() {
        return match fs::remove_file(path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        };
    }
    let mut text = "version = 1\n".to_owned();
    if let Some(network) = &told.fixed {
        text += &format!("address = \"{}\"\n", network.address);
        if let Some(gateway) = network.gateway {
            text += &format!("gateway = \"{gateway}\"\n");
        }
        text += &format!("dns = [{}]\n", list(&network.dns));
    }
    text += &format!("time = [{}]\n", list(&told.time));
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let part = path.with_extension("part");
    fs::write(&part, text)?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, path)
}

/// As TOML has it: neither addresses nor names hold anything that would have to be escaped.
fn list(of: &[impl fmt::Display]) -> String {
    of.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "version = 1\naddress = \"10.0.2.77/24\"\ngateway = \"10.0.2.2\"\n";

    fn files(folder: &Path, claimed: bool) -> Files {
        let (card, kept) = (folder.join("card"), folder.join("kept"));
        for folder in [&card, &kept] {
            fs::create_dir_all(folder).unwrap();
        }
        Files { card, kept, claimed }
    }

    fn put(files: &Files, name: &str, text: &str) {
        fs::write(files.card.join(name), text).unwrap();
    }

    fn plan(files: &Files) -> (String, usize) {
        let (plan, refused) = Plan::read(files);
        (plan.to_string(), refused.len())
    }

    #[test]
    fn without_a_file_the_network_offers_the_address() {
        let folder = tempfile::tempdir().unwrap();
        for claimed in [false, true] {
            assert_eq!(plan(&files(folder.path(), claimed)), ("kind=offered\n".to_owned(), 0));
        }
    }

    #[test]
    fn what_was_told_before_the_claim_holds_after_it_and_changes_with_the_file_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let unclaimed = files(folder.path(), false);
        let text = format!("{ADDRESS}dns = [\"10.0.2.3\"]\ncode-sha256 = \"{}\"\n", "ab".repeat(32));
        put(&unclaimed, PROVISION, &text);
        let fixed = "kind=fixed\naddress=10.0.2.77/24\ngateway=10.0.2.2\ndns=10.0.2.3\n".to_owned();
        assert_eq!(plan(&unclaimed), (fixed.clone(), 0));
        fs::remove_file(unclaimed.card.join(PROVISION)).unwrap();
        let claimed = files(folder.path(), true);
        assert_eq!(plan(&claimed), (fixed.clone(), 0), "the card may be empty by now");
        put(&claimed, PROVISION, &ADDRESS.replace("77", "78"));
        assert_eq!(plan(&claimed), (fixed, 0), "a claimed box does not read it");
        assert_eq!(plan(&unclaimed).0.lines().nth(1), Some("address=10.0.2.78/24"));
        fs::remove_file(unclaimed.card.join(PROVISION)).unwrap();
        assert_eq!(plan(&unclaimed), ("kind=offered\n".to_owned(), 0));
        assert_eq!(plan(&claimed), ("kind=offered\n".to_owned(), 0));
    }

    #[test]
    fn time_servers_are_told_with_or_without_an_address_and_kept_after_the_claim() {
        let folder = tempfile::tempdir().unwrap();
        let unclaimed = files(folder.path(), false);
        let time = "time = [\"ntp.example.com\", \"10.0.2.4:1123\"]\n";
        for (text, address) in [(format!("version = 1\n{time}"), false), (format!("{ADDRESS}{time}"), true)] {
            put(&unclaimed, PROVISION, &text);
            for files in [&unclaimed, &files(folder.path(), true)] {
                let (plan, refused) = plan(files);
                assert!(plan.ends_with("time=ntp.example.com\ntime=10.0.2.4:1123\n"), "{plan}");
                assert_eq!((plan.contains("address=10.0.2.77/24"), refused), (address, 0));
            }
        }
    }

    #[test]
    fn the_cards_network_file_comes_first_and_may_say_that_the_network_offers() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), false);
        put(&files, PROVISION, ADDRESS);
        put(&files, NETWORK, &ADDRESS.replace("77", "99"));
        assert_eq!(plan(&files).0.lines().nth(1), Some("address=10.0.2.99/24"));
        put(&files, NETWORK, "version = 1\n");
        assert_eq!(plan(&files), ("kind=offered\n".to_owned(), 0));
    }

    #[test]
    fn a_file_that_is_not_understood_is_named_and_the_next_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), false);
        put(&files, PROVISION, ADDRESS);
        let code = format!("{ADDRESS}code-sha256 = \"{}\"\n", "ab".repeat(32));
        for bad in ["address = ", "version = 1\naddress = \"10.0.2.77/24; reboot\"\n", &code] {
            put(&files, NETWORK, bad);
            let (plan, refused) = Plan::read(&files);
            assert!(plan.fixed.is_some(), "{bad}");
            assert_eq!(refused.len(), 1);
            assert!(refused[0].to_string().starts_with("network.toml is not followed: "), "{}", refused[0]);
        }
        put(&files, PROVISION, "nonsense");
        assert_eq!(plan(&files), ("kind=offered\n".to_owned(), 2));
    }
}
