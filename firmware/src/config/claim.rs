//! The section `[claim]`: with it the box makes its own authority at the first start and serves nobody
//! until it is claimed. Without it the box is set up on its command line.

use std::{net::IpAddr, path::PathBuf};

use rcgen::CertificateParams;
use serde::Deserialize;

/// How the box is claimed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClaimSection {
    /// Where `provision.toml` would be.
    pub provision: Option<PathBuf>,
    /// Names and addresses in the server's certificate, instead of the ones that are found.
    pub names: Vec<String>,
    /// The device that a person looks at, instead of standard output.
    pub console: Option<PathBuf>,
}

impl ClaimSection {
    /// The names of the server's certificate on a machine that has these addresses.
    #[must_use]
    pub fn server_names(&self, addresses: &[IpAddr]) -> Vec<String> {
        if !self.names.is_empty() {
            return self.names.clone();
        }
        let always = ["authenteon.local", "localhost", "127.0.0.1"].map(str::to_owned);
        always.into_iter().chain(addresses.iter().map(ToString::to_string)).collect()
    }

    /// # Errors
    /// Why the names cannot be in a certificate.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let bad =
            self.names.iter().any(String::is_empty) || CertificateParams::new(self.names.clone()).is_err();
        if bad { Err("DNS names and addresses, without a port") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_said_stand_for_those_that_are_found() {
        let addresses = ["192.168.1.5".parse().unwrap()];
        let found = ClaimSection::default().server_names(&addresses);
        assert_eq!(found, ["authenteon.local", "localhost", "127.0.0.1", "192.168.1.5"]);
        let said = ClaimSection { names: vec!["box.example".to_owned()], ..ClaimSection::default() };
        assert_eq!((said.server_names(&addresses), said.check()), (vec!["box.example".to_owned()], Ok(())));
        for bad in ["", "bücher.example"] {
            let section = ClaimSection { names: vec![bad.to_owned()], ..ClaimSection::default() };
            assert!(section.check().is_err(), "{bad:?}");
        }
    }
}
