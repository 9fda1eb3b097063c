//! The section `[announce]`: the name under which the box is found on the local network.

use serde::Deserialize;

/// How the box says where it is. Without the section it does not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Announce {
    /// Name of the host, without `.local`.
    pub host: String,
    /// Interfaces to be found on; empty for all.
    pub interfaces: Vec<String>,
}

impl Default for Announce {
    fn default() -> Self {
        Self { host: "authenteon".to_owned(), interfaces: Vec::new() }
    }
}

impl Announce {
    /// # Errors
    /// Why the name cannot be one of a host (RFC 1123, section 2.1).
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let good = (1..=63).contains(&self.host.len())
            && self.host.bytes().all(plain)
            && !self.host.starts_with('-')
            && !self.host.ends_with('-');
        if good { Ok(()) } else { Err("a host's name has letters, digits and dashes, 63 at most") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_hosts_are_announced() {
        let named = |host: &str| Announce { host: host.to_owned(), interfaces: Vec::new() }.check();
        assert!(named("authenteon").is_ok());
        assert!(named("door-7").is_ok());
        for bad in ["", "-a", "a-", "a.b", "a b", &"a".repeat(64)] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
