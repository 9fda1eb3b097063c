//! Who may ask by RADIUS: each client by the addresses that it asks from, or the name in its certificate, with a secret of its
//! own; and whether it brings codes or has the person touch a reader.
//!
//! Invariant: an address is one client's: the one whose network is the smallest.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use authenteon_hal::discovery::ReaderId;

use super::seal::Secret;
use crate::{
    credential::stations::{ClientName, OF_RADIUS},
    request::{Caller, ClientId, Role},
};

/// Addresses of a network; one alone is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address such as 192.0.2.7, or a network such as 192.0.2.0/24 whose address ends in zeros")]
pub struct NotANetwork;

/// An address as a number of 128 bits, and how many of them are its own.
fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

/// The first bits of a number.
fn first(number: u128, bits: u8) -> u128 {
    // By as many as there are, nothing would be shifted.
    number.checked_shr(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let (number, own) = number(address.to_canonical());
        let bits = bits.map_or(Ok(own), str::parse::<u8>).map_err(|_| NotANetwork)?;
        let rest = number.checked_shl(u32::from(bits)).unwrap_or(0);
        // A network of everybody is none: whoever knows the secret would be let ask from anywhere.
        if bits == 0 || bits > own || rest != 0 {
            return Err(NotANetwork);
        }
        Ok(Self { address: address.to_canonical(), bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let ((own, of), (other, its)) = (number(self.address), number(address));
        of == its && first(own, self.bits) == first(other, self.bits)
    }
}

/// What a client brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A one-time code in the place of a password.
    Code,
    /// Nothing: the person whom it names touches this reader.
    Push {
        /// Which.
        sensor: ReaderId,
        /// How long he may take.
        wait: Duration,
    },
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub struct Client {
    /// What it is called in the audit.
    pub name: ClientName,
    /// From where it asks over UDP, and what it shares with the box.
    pub plain: Option<(Vec<Network>, Secret)>,
    /// The name in the certificate by which it asks over TLS.
    pub certificate_name: Option<String>,
    /// What it brings.
    pub mode: Mode,
}

impl Client {
    /// As whom it asks, from there.
    #[must_use]
    pub fn caller(&self, from: IpAddr) -> Caller {
        let name = self.name.as_str();
        Caller::new(ClientId::of_radius(name), Role::Station, format!("{OF_RADIUS}{name}")).at(Some(from))
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Clients(pub Vec<Client>);

impl Clients {
    /// Who asks from an address, and the secret.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<(&Client, &Secret)> {
        let address = address.to_canonical();
        let networks = self.0.iter().flat_map(|client| {
            let (networks, secret) =
                client.plain.as_ref().map_or((&[][..], None), |(n, s)| (n.as_slice(), Some(s)));
            networks.iter().filter_map(move |network| Some((network, client, secret?)))
        });
        let own = networks.filter(|(network, ..)| network.contains(address));
        own.max_by_key(|(network, ..)| network.bits).map(|(_, client, secret)| (client, secret))
    }

    /// Whose certificate has one of these names.
    #[must_use]
    pub fn named(&self, names: &[String]) -> Option<&Client> {
        let is = |wanted: &String| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
        self.0.iter().find(|client| client.certificate_name.as_ref().is_some_and(is))
    }
}

/// How RADIUS is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where UDP is listened on.
    pub listen: Vec<SocketAddr>,
    /// The only interface that packets may come in by, if one is named.
    pub interface: Option<String>,
    /// And TLS.
    pub radsec: Option<RadSec>,
    /// Who may ask.
    pub clients: Clients,
}

/// RADIUS over TLS (RFC 6614).
#[derive(Clone, Debug)]
pub struct RadSec {
    /// Where.
    pub listen: Vec<SocketAddr>,
    /// The authorities of the clients' certificates (PEM).
    pub ca: PathBuf,
    /// The certificate that the box shows, and its key (PEM).
    pub identity: (PathBuf, PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn client(name: &str, networks: &[&str]) -> Client {
        let networks = networks.iter().map(|text| network(text)).collect();
        let secret = Secret::try_from("0123456789abcdef").unwrap();
        Client {
            name: ClientName::try_from(name.to_owned()).unwrap(),
            plain: Some((networks, secret)),
            certificate_name: Some(format!("{name}.example")),
            mode: Mode::Code,
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.128/25", "192.0.2.129", "192.0.2.127"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("::ffff:192.0.2.7", "192.0.2.7", "::192.0.2.7"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{text}");
            assert!(!network.contains(outside.parse().unwrap()), "{text}");
        }
        assert!(!network("192.0.2.0/24").contains("c000:2::".parse().unwrap()), "of the other kind");
        for bad in ["", "192.0.2", "192.0.2.1/24", "0.0.0.0/0", "::/0", "192.0.2.0/33", "192.0.2.0/", "a/8"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }

    #[test]
    fn an_address_is_that_of_the_client_with_the_smallest_network_around_it() {
        let clients =
            Clients(vec![client("all", &["192.0.2.0/24"]), client("one", &["192.0.2.7", "2001:db8::1"])]);
        let at =
            |text: &str| clients.at(text.parse().unwrap()).map(|(client, _)| client.name.as_str().to_owned());
        assert_eq!(at("192.0.2.7").as_deref(), Some("one"));
        assert_eq!(at("::ffff:192.0.2.7").as_deref(), Some("one"));
        assert_eq!(at("192.0.2.8").as_deref(), Some("all"));
        assert_eq!(at("198.51.100.1"), None);
    }

    #[test]
    fn a_certificate_is_that_of_the_client_whose_name_is_in_it() {
        let clients = Clients(vec![client("one", &[])]);
        assert!(clients.named(&["x.example".to_owned(), "One.Example".to_owned()]).is_some());
        assert!(clients.named(&["one.example.org".to_owned()]).is_none());
        assert!(clients.named(&[]).is_none());
    }
}
