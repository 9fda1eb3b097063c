//! Where a box listens, and the name that its certificate must have there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The file with the box's id, beside its authority's certificate: by it a box is known at any address.
pub const BOX_ID: &str = "box-id";

/// Where the box listens: `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that its certificate must have, where that is not its host.
    pub(crate) name: Option<String>,
}

impl Server {
    /// The port registered for biolink-auth.
    const PORT: u16 = 3411;

    /// The name or address alone.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The box with this id, at whatever address it is.
    #[must_use]
    pub fn of_box(mut self, id: Option<Uuid>) -> Self {
        self.name = id.map(|id| format!("{id}.box.authenteon.invalid"));
        self
    }

    /// For the Host header and for messages; an IPv6 address stands in brackets.
    pub(crate) fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Default for Server {
    /// A box on this machine.
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: Self::PORT, name: None }
    }
}

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Server> for String {
    fn from(server: Server) -> Self {
        server.to_string()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err("the box speaks TLS only: use https://".to_owned()),
            _ => return Err("expected https://HOST:PORT".to_owned()),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("expected https://HOST:PORT without a path".to_owned());
        }
        let host = uri.host().ok_or("expected https://HOST:PORT")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(Self::PORT), name: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Result<String, String> {
        text.parse().map(|server: Server| server.authority())
    }

    #[test]
    fn the_port_is_3411_unless_given() {
        assert_eq!(authority("https://box.example"), Ok("box.example:3411".to_owned()));
        assert_eq!(authority("https://127.0.0.1:1234/"), Ok("127.0.0.1:1234".to_owned()));
        assert_eq!(authority("https://[::1]"), Ok("[::1]:3411".to_owned()));
    }

    #[test]
    fn a_url_that_is_not_the_boxs_is_refused_with_a_hint() {
        assert!(authority("http://127.0.0.1").unwrap_err().contains("TLS only"));
        for text in ["127.0.0.1:3411", "https://box/v1", "https://box?x=1", "ftp://box", ""] {
            assert!(authority(text).is_err(), "{text}");
        }
    }
}
