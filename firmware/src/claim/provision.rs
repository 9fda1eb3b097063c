//! `provision.toml`: what an administrator wishes of a box without a screen, on a partition that anybody
//! with the card can write.
//!
//! Invariant: the file is hostile until it is parsed, and what is not understood to the last word is not
//! used at all. It can neither weaken a claimed box, which does not read it, nor make an unclaimed one
//! fail to start.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::Path,
    str::FromStr,
};

use serde::Deserialize;

use crate::network_time::servers::{MOST as MOST_TIME_SERVERS, TimeServer};

/// Bytes of the file.
const MOST: u64 = 64 << 10;
/// Name servers: resolvers look at no more.
const MOST_SERVERS: usize = 3;

/// Why the file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// It is a folder or a device.
    #[error("it is no plain file")]
    NotAFile,
    /// It is too large.
    #[error("it has more than {MOST} bytes")]
    TooLarge,
    /// It is not UTF-8.
    #[error("it is no text in UTF-8")]
    NotText,
    /// It is not the TOML that is expected.
    #[error("{0}")]
    Syntax(String),
    /// It is of another version.
    #[error("version is {0}; this box reads version 1")]
    Version(u32),
    /// The network cannot be as it says.
    #[error("{0}")]
    Network(&'static str),
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// A fixed place in the network, instead of the one that is offered there.
    pub network: Option<Network>,
    /// Who knows the time, instead of those that the network offers.
    pub time: Vec<TimeServer>,
    /// SHA-256 of the claim code that the administrator chose.
    pub code_sha256: Option<[u8; 32]>,
}

/// A fixed place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The box's address and how much of it names the network.
    pub address: Prefixed,
    /// The way out.
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// An address with the length of its network's prefix: `192.168.1.5/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixed {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

impl Prefixed {
    /// Whether an address is in the same network.
    #[must_use]
    pub fn reaches(&self, other: IpAddr) -> bool {
        let (ours, theirs, bits): (u128, u128, u32) = match (self.address, other) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (u32::from(ours).into(), u32::from(theirs).into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.into(), theirs.into(), 128),
            _ => return false,
        };
        let host = bits - u32::from(self.prefix);
        (ours ^ theirs).checked_shr(host).unwrap_or(0) == 0
    }
}

impl FromStr for Prefixed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "address has the form 192.168.1.5/24 or 2001:db8::5/64";
        let (address, prefix) = text.split_once('/').ok_or(FORM)?;
        let address: IpAddr = address.parse().map_err(|_| FORM)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.parse().map_err(|_| FORM)?;
        if !(1..=most).contains(&prefix) {
            return Err(FORM);
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err("address must be one that a machine can have");
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The file, word by word.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    version: u32,
    address: Option<String>,
    gateway: Option<IpAddr>,
    #[serde(default)]
    dns: Vec<IpAddr>,
    #[serde(default)]
    time: Vec<String>,
    code_sha256: Option<String>,
}

/// Reads the file; without one there is nothing to say.
///
/// # Errors
/// [`ProvisionError`].
pub fn read(path: &Path) -> Result<Option<Provision>, ProvisionError> {
    // Asked before it is opened: to open a pipe is to wait for its other end.
    match std::fs::metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why.into()),
        Ok(found) if !found.is_file() => return Err(ProvisionError::NotAFile),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    parse(&bytes).map(Some)
}

/// Parses what the file holds.
///
/// # Errors
/// [`ProvisionError`].
pub fn parse(bytes: &[u8]) -> Result<Provision, ProvisionError> {
    if bytes.len() as u64 > MOST {
        return Err(ProvisionError::TooLarge);
    }
    // Editors of other systems put a mark before the text.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| ProvisionError::NotText)?;
    let written: Written = toml::from_str(text).map_err(|why| {
        let before = why.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ProvisionError::Syntax(format!("line {}: {}", before.matches('\n').count() + 1, why.message()))
    })?;
    if written.version != 1 {
        return Err(ProvisionError::Version(written.version));
    }
    let network = network(&written)?;
    let digest = |text: &String| {
        from_hex(text)
            .ok_or_else(|| ProvisionError::Syntax("code-sha256 has 64 hexadecimal digits".to_owned()))
    };
    let code_sha256 = written.code_sha256.as_ref().map(digest).transpose()?;
    if written.time.len() > MOST_TIME_SERVERS {
        return Err(ProvisionError::Network("time has at most four servers"));
    }
    let server = |text: &String| {
        text.parse::<TimeServer>().map_err(|why| ProvisionError::Syntax(format!("time: {why}")))
    };
    let time = written.time.iter().map(server).collect::<Result<_, _>>()?;
    Ok(Provision { network, time, code_sha256 })
}

fn network(written: &Written) -> Result<Option<Network>, ProvisionError> {
    let Some(address) = &written.address else {
        if written.gateway.is_some() || !written.dns.is_empty() {
            return Err(ProvisionError::Network("gateway and dns are for a box with an address"));
        }
        return Ok(None);
    };
    let address: Prefixed = address.parse().map_err(ProvisionError::Network)?;
    let fits = |gateway: IpAddr| address.reaches(gateway) && gateway != address.address;
    if !written.gateway.is_none_or(fits) {
        return Err(ProvisionError::Network("gateway is another address of the same network"));
    }
    if written.dns.len() > MOST_SERVERS {
        return Err(ProvisionError::Network("dns has at most three addresses"));
    }
    if written.dns.iter().any(|server| server.is_unspecified() || server.is_multicast()) {
        return Err(ProvisionError::Network("dns must be addresses that a machine can have"));
    }
    Ok(Some(Network { address, gateway: written.gateway, dns: written.dns.clone() }))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "version = 1\naddress = \"192.168.1.5/24\"\ngateway = \"192.168.1.1\"\n\
        dns = [\"192.168.1.1\", \"2001:db8::53\"]\ntime = [\"ntp.example.com\"]\n\
        code-sha256 = \"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\"\n";

    fn why(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_becomes_types() {
        let parsed = parse(WHOLE.as_bytes()).unwrap();
        let network = parsed.network.clone().unwrap();
        assert_eq!(network.address.to_string(), "192.168.1.5/24");
        assert_eq!((network.gateway.unwrap().to_string(), network.dns.len()), ("192.168.1.1".to_owned(), 2));
        assert_eq!(parsed.time[0].to_string(), "ntp.example.com");
        assert_eq!(parsed.code_sha256.unwrap()[..3], [0x00, 0x11, 0x22]);
        let marked = [b"\xEF\xBB\xBF", WHOLE.replace('\n', "\r\n").as_bytes()].concat();
        assert_eq!(parse(&marked).unwrap(), parsed, "as another system's editor writes it");
        assert_eq!(
            parse(b"version = 1").unwrap(),
            Provision { network: None, time: Vec::new(), code_sha256: None }
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_reason() {
        for (text, word) in [
            ("", "version"),
            ("version = 2", "version is 2"),
            ("version = 1\npassword = \"x\"", "line 2"),
            ("version = 1\ncode-sha256 = \"0011\"", "64"),
            ("version = 1\ncode-sha256 = 5", "line 2"),
            (&format!("version = 1\ncode-sha256 = \"{}\"", "g".repeat(64)), "64"),
            (&format!("version = 1\ncode-sha256 = \"+{}\"", "0".repeat(63)), "64"),
            ("version = 1\ngateway = \"10.0.0.1\"", "with an address"),
            ("version = 1\ndns = [\"10.0.0.1\"]", "with an address"),
            ("version = 1\naddress = \"10.0.0.5\"", "form"),
            ("version = 1\naddress = \"10.0.0.5/33\"", "form"),
            ("version = 1\naddress = \"10.0.0.5/0\"", "form"),
            ("version = 1\naddress = \"2001:db8::1/129\"", "form"),
            ("version = 1\naddress = \"127.0.0.1/8\"", "can have"),
            ("version = 1\naddress = \"10.0.0.5/24\"\ngateway = \"10.0.1.1\"", "same network"),
            ("version = 1\naddress = \"10.0.0.5/24\"\ngateway = \"10.0.0.5\"", "another address"),
            ("version = 1\naddress = \"10.0.0.5/24\"\ngateway = \"2001:db8::1\"", "same network"),
            ("version = 1\naddress = \"10.0.0.5/24\"\ndns = [\"0.0.0.0\"]", "dns"),
            ("version = 1\ntime = [\"$(reboot)\"]", "ntp.example.com"),
            ("version = 1\ntime = [\"a\", \"b\", \"c\", \"d\", \"e\"]", "four"),
        ] {
            let said = why(text);
            assert!(said.contains(word), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_file_is_read_only_when_it_is_one_and_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("provision.toml");
        assert!(read(&path).unwrap().is_none());
        assert!(matches!(read(folder.path()), Err(ProvisionError::NotAFile)));
        assert!(matches!(read(Path::new("/dev/zero")), Err(ProvisionError::NotAFile)));
        std::fs::write(&path, WHOLE).unwrap();
        assert!(read(&path).unwrap().is_some());
        std::fs::write(&path, format!("{WHOLE}#{}", "x".repeat(64 << 10))).unwrap();
        assert!(matches!(read(&path), Err(ProvisionError::TooLarge)));
        std::fs::write(&path, b"version = 1 # \xFF").unwrap();
        assert!(matches!(read(&path), Err(ProvisionError::NotText)));
    }

    #[test]
    fn a_file_nested_without_end_is_refused_and_ends_nothing() {
        assert!(parse(format!("version = {}", "[".repeat(60_000)).as_bytes()).is_err());
        assert!(parse(format!("version = {}1", "{a=".repeat(20_000)).as_bytes()).is_err());
        assert!(parse("a.".repeat(30_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_good_file_with_any_bytes_in_it_is_never_half_understood(
            place in 0..WHOLE.len(),
            cut in 0_usize..20,
            bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut file = WHOLE.as_bytes().to_vec();
            let end = (place + cut).min(file.len());
            file.splice(place..end, bytes);
            if let Ok(Provision { network: Some(network), .. }) = parse(&file) {
                let bits = if network.address.address.is_ipv4() { 32 } else { 128 };
                prop_assert!((1..=bits).contains(&network.address.prefix));
                prop_assert!(network.gateway.is_none_or(|gateway| network.address.reaches(gateway)));
                prop_assert!(network.dns.len() <= MOST_SERVERS);
            }
        }
    }
}
