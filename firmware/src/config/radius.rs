//! `[radius]`: where RADIUS is served, and who may ask.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use authenteon_hal::discovery::ReaderId;
use serde::Deserialize;

use super::{ConfigError, Loaded, first_line::first_line};
use crate::{
    credential::stations::ClientName,
    radius::{Client, Clients, Mode, Network, RadSec, Secret, Settings},
};

/// The ports of RADIUS over UDP, and over TLS.
const PORT: u16 = 1812;
const TLS_PORT: u16 = 2083;

/// RADIUS; without this section it is not served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadiusSection {
    /// Addresses of the box, each with a port or without.
    #[serde(default)]
    pub listen: Vec<String>,
    /// The only interface that requests may come in by.
    pub interface: Option<String>,
    /// RADIUS over TLS, if it is served.
    pub radsec: Option<RadSecSection>,
    /// Who may ask.
    #[serde(default)]
    pub client: Vec<RadiusClient>,
}

/// RADIUS over TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadSecSection {
    /// Addresses of the box, each with a port or without.
    pub listen: Vec<String>,
    /// The authorities of the clients' certificates (PEM); no others are trusted.
    pub ca: PathBuf,
    /// The certificate that the box shows (PEM); without one, that of its API.
    pub certificate: Option<PathBuf>,
    /// The file of its key (PEM).
    pub key_file: Option<PathBuf>,
}

/// What a client brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RadiusMode {
    /// A one-time code in the place of a password.
    #[default]
    Code,
    /// Nothing: the person touches a reader.
    Push,
}

/// Somebody who may ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RadiusClient {
    /// What it is called in the audit, after `radius.`.
    pub name: String,
    /// Addresses and networks that it asks from over UDP.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The file whose first line is the secret that it shares with the box.
    pub secret_file: Option<PathBuf>,
    /// A DNS name in the certificate with which it asks over TLS.
    pub certificate_name: Option<String>,
    /// What it brings.
    #[serde(default)]
    pub mode: RadiusMode,
    /// The reader that is touched.
    pub sensor: Option<ReaderId>,
    /// Seconds that this may take.
    #[serde(default = "wait")]
    pub wait_seconds: u64,
}

fn wait() -> u64 {
    15
}

/// What cannot be, by its key.
type Bad = (&'static str, String);

fn bad(key: &'static str, why: impl ToString) -> Bad {
    (key, why.to_string())
}

impl Loaded {
    /// How RADIUS is served, if it is.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn radius(&self) -> Result<Option<Settings>, ConfigError> {
        let Some(section) = &self.config.radius else { return Ok(None) };
        let here = move |section: &'static str| {
            move |(key, why): Bad| ConfigError::Value { place: self.place(section, key), why }
        };
        section.check().map_err(here("radius"))?;
        let listen = addresses(&section.listen, PORT, section.interface.is_some()).map_err(here("radius"))?;
        let radsec = section.radsec.as_ref().map(|radsec| {
            let listen = addresses(&radsec.listen, TLS_PORT, section.interface.is_some())?;
            let identity = match (&radsec.certificate, &radsec.key_file) {
                (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
                (None, None) => {
                    let folder = &self.config.pki.folder;
                    (folder.join("server.pem"), folder.join("server.key"))
                }
                _ => return Err(bad("certificate", "certificate and key-file go together")),
            };
            Ok(RadSec { listen, ca: radsec.ca.clone(), identity })
        });
        let radsec = radsec.transpose().map_err(here("radius.radsec"))?;
        let (mut names, mut certificates, mut networks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut clients = Vec::new();
        for (index, client) in section.client.iter().enumerate() {
            let here = |(key, why): Bad| ConfigError::Value {
                place: self.place_in("radius.client", index, key),
                why,
            };
            let made = client.client(section).map_err(here)?;
            if !names.insert(client.name.clone()) {
                return Err(here(bad("name", "another client is called so")));
            }
            if let Some(name) = &made.certificate_name
                && !certificates.insert(name.to_ascii_lowercase())
            {
                return Err(here(bad("certificate-name", "another client has it")));
            }
            // Neither would be the smaller one.
            if let Some(twice) = made
                .plain
                .iter()
                .flat_map(|(networks, _)| networks)
                .find(|network| !networks.insert(**network))
            {
                return Err(here(bad(
                    "addresses",
                    format!("{twice} stands here twice, or is another client's"),
                )));
            }
            clients.push(made);
        }
        let (interface, clients) = (section.interface.clone(), Clients(clients));
        Ok(Some(Settings { listen, interface, radsec, clients }))
    }
}

impl RadiusSection {
    fn check(&self) -> Result<(), Bad> {
        if self.listen.is_empty() && self.radsec.is_none() {
            return Err(bad(
                "listen",
                "name an address of the box, or serve it over TLS alone: [radius.radsec]",
            ));
        }
        let fits =
            |name: &String| (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        if self.interface.as_ref().is_some_and(|name| !fits(name)) {
            return Err(bad("interface", "a network interface such as eth1"));
        }
        if self.client.is_empty() {
            return Err(bad("listen", "nobody may ask: name clients with [[radius.client]]"));
        }
        Ok(())
    }
}

/// Addresses, each with its port; all of the machine only where an interface is named.
fn addresses(texts: &[String], port: u16, any: bool) -> Result<Vec<SocketAddr>, Bad> {
    let each = texts.iter().map(|text| {
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, port));
        let address = address.or_else(|_| text.parse::<SocketAddr>());
        let address =
            address.map_err(|_| bad("listen", format!("{text:?} is no address with or without a port")))?;
        if address.ip().is_unspecified() && !any {
            return Err(bad(
                "listen",
                "name an address of the box, or the interface that requests may come in by",
            ));
        }
        Ok(address)
    });
    each.collect()
}

impl RadiusClient {
    fn client(&self, section: &RadiusSection) -> Result<Client, Bad> {
        let name = ClientName::try_from(self.name.clone()).map_err(|why| bad("name", why))?;
        let networks = self.addresses.iter().map(|text| {
            text.parse::<Network>().map_err(|why| bad("addresses", format!("{text:?} is not {why}")))
        });
        let networks: Vec<Network> = networks.collect::<Result<_, _>>()?;
        let plain = match (networks.is_empty(), &self.secret_file) {
            (true, None) => None,
            (false, Some(file)) => Some((networks, read(file)?)),
            (false, None) => return Err(bad("addresses", "over UDP a client needs a secret-file too")),
            (true, Some(_)) => {
                return Err(bad("secret-file", "from which addresses? over TLS there is no secret"));
            }
        };
        match (&plain, &self.certificate_name) {
            (None, None) => {
                return Err(bad("name", "addresses and secret-file say who it is, or certificate-name"));
            }
            (Some(_), _) if section.listen.is_empty() => {
                return Err(bad("addresses", "no address listens for requests over UDP: [radius] listen"));
            }
            (_, Some(_)) if section.radsec.is_none() => {
                return Err(bad("certificate-name", "requests over TLS need [radius.radsec]"));
            }
            _ => {}
        }
        if !(1..=60).contains(&self.wait_seconds) {
            return Err(bad("wait-seconds", "from 1 to 60 seconds: no client waits longer"));
        }
        let mode = match (self.mode, &self.sensor) {
            (RadiusMode::Code, None) => Mode::Code,
            (RadiusMode::Push, Some(sensor)) => {
                Mode::Push { sensor: sensor.clone(), wait: Duration::from_secs(self.wait_seconds) }
            }
            (RadiusMode::Push, None) => {
                return Err(bad(
                    "mode",
                    "which reader is touched? sensor, as `authenteonctl sensor list` names it",
                ));
            }
            (RadiusMode::Code, Some(_)) => {
                return Err(bad("sensor", "a reader is touched with mode = \"push\" alone"));
            }
        };
        Ok(Client { name, plain, certificate_name: self.certificate_name.clone(), mode })
    }
}

/// The secret in a file.
fn read(file: &Path) -> Result<Secret, Bad> {
    let line = first_line(file).map_err(|why| bad("secret-file", format!("{}: {why}", file.display())))?;
    Secret::try_from(line.as_str()).map_err(|why| bad("secret-file", why))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::load;

    const GOOD: &str = "version = 1\n[pki]\nfolder = \"/p\"\n[store]\nfolder = \"/s\"\n";

    /// What a configuration with these lines says of RADIUS; `SECRET` in them is a file with one.
    fn said(lines: &str) -> Result<Option<Settings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "0123456789abcdef0123\n").unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, format!("{GOOD}{}", lines.replace("SECRET", &secret.display().to_string())))
            .unwrap();
        let loaded = load(&path, std::iter::empty()).map_err(|why| why.to_string())?;
        assert!(!loaded.shown().contains("0123456789abcdef"), "what is shown has no secret");
        loaded.radius().map_err(|why| why.to_string())
    }

    const CLIENT: &str =
        "[[radius.client]]\nname = \"vpn\"\naddresses = [\"192.0.2.20\"]\nsecret-file = \"SECRET\"\n";

    #[test]
    fn nothing_is_served_unless_it_is_said() {
        assert!(said("").unwrap().is_none());
        let settings =
            said(&format!("[radius]\nlisten = [\"192.0.2.5\", \"[::1]:1645\"]\n{CLIENT}")).unwrap().unwrap();
        let listen: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["192.0.2.5:1812", "[::1]:1645"]);
        let (client, _) = settings.clients.at("192.0.2.20".parse().unwrap()).unwrap();
        assert_eq!((client.name.as_str(), &client.mode), ("vpn", &Mode::Code));
        assert_eq!(client.caller("192.0.2.20".parse().unwrap()).name, "radius.vpn");
    }

    #[test]
    fn a_client_over_tls_is_known_by_its_certificate_and_the_box_shows_its_own() {
        let lines = "[radius.radsec]\nlisten = [\"192.0.2.5\"]\nca = \"/ca.pem\"\n[[radius.client]]\nname = \"vpn\"\n\
                     certificate-name = \"vpn.example\"\nmode = \"push\"\nsensor = \"serial-ttyS1\"\nwait-seconds = 20\n";
        let settings = said(lines).unwrap().unwrap();
        let radsec = settings.radsec.unwrap();
        assert_eq!(radsec.listen[0].to_string(), "192.0.2.5:2083");
        assert_eq!(radsec.identity, ("/p/server.pem".into(), "/p/server.key".into()));
        let client = settings.clients.named(&["vpn.example".to_owned()]).unwrap();
        let Mode::Push { sensor, wait } = &client.mode else { unreachable!("{client:?}") };
        assert_eq!((sensor.as_str(), wait.as_secs()), ("serial-ttyS1", 20));
    }

    #[test]
    fn what_cannot_be_is_named_with_its_line_and_what_to_do() {
        let radius = "[radius]\nlisten = [\"192.0.2.5\"]\n";
        let tls = "[radius.radsec]\nlisten = [\"192.0.2.5\"]\nca = \"/ca.pem\"\n";
        for (lines, say) in [
            ("[radius]\n".to_owned() + CLIENT, "[radius.radsec]"),
            (radius.to_owned(), "[[radius.client]]"),
            (format!("[radius]\nlisten = [\"0.0.0.0\"]\n{CLIENT}"), "line 7: listen: name an address"),
            (format!("[radius]\nlisten = [\"box\"]\n{CLIENT}"), "\"box\" is no address"),
            (format!("{radius}interface = \"a b\"\n{CLIENT}"), "such as eth1"),
            (format!("{radius}{CLIENT}{CLIENT}"), "another client is called so"),
            (
                format!("{radius}{CLIENT}{}", CLIENT.replace("vpn", "other")),
                "192.0.2.20/32 stands here twice",
            ),
            (format!("{radius}{}", CLIENT.replace("vpn", "radius.vpn")), "clients of RADIUS"),
            (format!("{radius}{CLIENT}sensor = \"a\"\n"), "mode = \"push\""),
            (format!("{radius}{CLIENT}mode = \"push\"\n"), "which reader"),
            (format!("{radius}{CLIENT}mode = \"push\"\nsensor = \"a\"\nwait-seconds = 61\n"), "from 1 to 60"),
            (format!("{radius}{CLIENT}certificate-name = \"a\"\n"), "need [radius.radsec]"),
            (format!("{tls}{CLIENT}"), "no address listens"),
            (format!("{radius}[[radius.client]]\nname = \"a\"\n"), "say who it is"),
            (format!("{radius}[[radius.client]]\nname = \"a b\"\n"), "a client's name"),
            (format!("{radius}{}", CLIENT.replace("SECRET", "/nowhere")), "/nowhere"),
            (format!("{radius}{}", CLIENT.replace("192.0.2.20", "192.0.2.20/24")), "ends in zeros"),
            (format!("{radius}{}", CLIENT.replace("secret-file = \"SECRET\"", "")), "secret-file too"),
            (format!("{radius}{}", CLIENT.replace("secret-file", "secret")), "unknown field"),
            (format!("{tls}certificate = \"/c.pem\"\n{radius}{CLIENT}"), "go together"),
        ] {
            let why = said(&lines).err().unwrap_or_default();
            assert!(why.contains(say), "{lines}: {why}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_with_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "testing123\n").unwrap();
        let (key, why) = read(&file).unwrap_err();
        assert_eq!(key, "secret-file");
        assert!(why.contains("openssl rand"), "{why}");
    }
}
