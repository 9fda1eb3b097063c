//! Time servers by their names.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::Path,
    str::FromStr,
};

/// NTP's.
const PORT: u16 = 123;
/// More are not asked.
pub const MOST: usize = 4;
/// Bytes of a list.
const LONGEST: u64 = 4096;

/// A server: an address or a name, and its port. Nothing that a shell would take for its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeServer {
    host: String,
    port: u16,
}

/// What is no time server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time server is an address or a name: 192.168.1.1, ntp.example.com, or with a port 192.168.1.1:123"
)]
pub struct NotAServer;

impl TimeServer {
    /// Where it is: the first address that its name has.
    ///
    /// # Errors
    /// The name has none.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        (self.host.as_str(), self.port).to_socket_addrs()?.next().ok_or_else(none)
    }
}

impl FromStr for TimeServer {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let usable = |address: IpAddr| !address.is_unspecified() && !address.is_multicast();
        let of = |address: IpAddr, port| {
            let server = Self { host: address.to_string(), port };
            if usable(address) && port != 0 { Ok(server) } else { Err(NotAServer) }
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return of(address, PORT);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return of(address.ip(), address.port());
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or(NotAServer)?),
            None => (text, PORT),
        };
        if is_name(host) { Ok(Self { host: host.to_owned(), port }) } else { Err(NotAServer) }
    }
}

/// A host name (RFC 1123, section 2.1) that cannot be mistaken for an address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let letters = |last: &str| last.bytes().any(|b| b.is_ascii_alphabetic());
    text.len() <= 253 && text.split('.').all(label) && text.rsplit('.').next().is_some_and(letters)
}

impl fmt::Display for TimeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.parse::<Ipv6Addr>()) {
            (PORT, _) => write!(f, "{}", self.host),
            (port, Ok(address)) => write!(f, "[{address}]:{port}"),
            (port, Err(_)) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// Reads a list, a server a line: none without a file. What is no server is passed over.
#[must_use]
pub fn read(path: &Path) -> Vec<TimeServer> {
    let short = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
    let text = if short { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let mut servers = Vec::new();
    for server in text.lines().filter_map(|line| line.trim().parse().ok()) {
        if !servers.contains(&server) && servers.len() < MOST {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_and_names_with_or_without_a_port_are_servers() {
        for (text, shown) in [
            ("192.168.1.1", "192.168.1.1"),
            ("192.168.1.1:123", "192.168.1.1"),
            ("192.168.1.1:1123", "192.168.1.1:1123"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:1123", "[2001:db8::1]:1123"),
            ("ntp", "ntp"),
            ("ntp-1.example.com:1123", "ntp-1.example.com:1123"),
        ] {
            assert_eq!(text.parse::<TimeServer>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nonsense_and_addresses_that_no_machine_has_are_none() {
        for text in [
            "",
            " ",
            "ntp example",
            "ntp;reboot",
            "$(reboot)",
            "-ntp",
            "ntp-",
            "a..b",
            "1.2.3",
            "1.2.3.4.5",
            "0.0.0.0",
            "224.0.1.1",
            "::",
            "ntp:0",
            "ntp:70000",
            "ntp:",
            ":123",
            "10.0.0.1:0",
            "ntp\n",
            "ñtp",
        ] {
            assert_eq!(text.parse::<TimeServer>(), Err(NotAServer), "{text}");
        }
    }

    #[test]
    fn a_list_holds_its_first_four_servers_and_no_nonsense() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        assert!(read(&path).is_empty());
        std::fs::write(&path, "10.0.0.1\n\n10.0.0.1\n;;\n10.0.0.2\nb\nc\nd\ne\n").unwrap();
        let shown: Vec<String> = read(&path).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.1", "10.0.0.2", "b", "c"]);
        std::fs::write(&path, "a\n".repeat(5000)).unwrap();
        assert!(read(&path).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_the_same_server(text in "[0-9a-z.:\\[\\]-]{0,20}") {
            if let Ok(server) = text.parse::<TimeServer>() {
                prop_assert_eq!(server.to_string().parse::<TimeServer>(), Ok(server));
            }
        }
    }
}
