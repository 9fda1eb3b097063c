//! As whom Kerberos knows somebody of a directory.
//!
//! Whoever keeps one directory is not to make people of another one's realm. Invariant: a [`Principal`] is one name in one realm,
//! and the realm is its directory's.

use std::fmt;

/// How the Kerberos of a directory finds whose certificate it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// By the SID: Active Directory.
    Sid,
    /// By the principal.
    Principal {
        /// The realm of everybody there; without one it is what the principal names end in.
        realm: Option<String>,
    },
    /// There are several directories, and nobody said of which realm the people of this one are.
    Unsaid,
}

/// A person's Kerberos principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    realm: String,
}

/// Why somebody has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPrincipal {
    /// The name is none of a person.
    #[error("the user principal name is not one name before one '@', without '/' and '\\'")]
    Name,
    /// Nothing says which realm.
    #[error(
        "the user principal name has no realm: name it in the configuration, `realm` of the [[directory]]"
    )]
    NoRealm,
    /// He would be of another directory's realm.
    #[error(
        "the user principal name does not end in the realm of its directory (`realm` of the [[directory]])"
    )]
    OtherRealm,
}

impl Principal {
    /// Of a user principal name in a directory of this realm; without one, of the realm that the name ends in.
    ///
    /// # Errors
    /// [`NotAPrincipal`].
    pub fn new(upn: &str, realm: Option<&str>) -> Result<Self, NotAPrincipal> {
        let (name, suffix) = upn.split_once('@').map_or((upn, None), |(name, suffix)| (name, Some(suffix)));
        if !is_plain(name) || !suffix.is_none_or(is_plain) {
            return Err(NotAPrincipal::Name);
        }
        let realm = match (realm, suffix) {
            (Some(realm), Some(suffix)) if !suffix.eq_ignore_ascii_case(realm) => {
                return Err(NotAPrincipal::OtherRealm);
            }
            (Some(realm), _) => realm.to_owned(),
            // Realms are written in capitals.
            (None, Some(suffix)) => suffix.to_uppercase(),
            (None, None) => return Err(NotAPrincipal::NoRealm),
        };
        Ok(Self { name: name.to_owned(), realm })
    }

    /// The name before the realm.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.realm)
    }
}

/// Whether it is one component of a name, or a realm: of what separates and escapes in principals there is nothing in it, and
/// no program takes it for an option.
pub(crate) fn is_plain(text: &str) -> bool {
    let separates = |c: char| "/@\\".contains(c) || c.is_control() || c.is_whitespace();
    !text.is_empty() && !text.starts_with('-') && !text.contains(separates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(upn: &str, realm: Option<&str>) -> Result<String, NotAPrincipal> {
        Principal::new(upn, realm).map(|principal| principal.to_string())
    }

    #[test]
    fn a_principal_is_of_the_realm_of_its_directory_and_of_no_other() {
        let corp = Some("CORP.EXAMPLE");
        assert_eq!(principal("ada@corp.example", corp).as_deref(), Ok("ada@CORP.EXAMPLE"));
        assert_eq!(principal("ada", corp).as_deref(), Ok("ada@CORP.EXAMPLE"));
        for other in ["ada@other.example", "ada@corp.example.org", "ada@x.corp.example"] {
            assert_eq!(principal(other, corp), Err(NotAPrincipal::OtherRealm), "{other}");
        }
        assert_eq!(principal("ada@corp.example", None).as_deref(), Ok("ada@CORP.EXAMPLE"));
        assert_eq!(principal("ada", None), Err(NotAPrincipal::NoRealm));
    }

    #[test]
    fn a_name_of_several_parts_is_nobody_s() {
        for bad in [
            "",
            "@corp.example",
            "ada@",
            "kadmin/admin",
            "ada/admin@corp.example",
            "ada@corp.example@corp.example",
            "ada@other.example@corp.example",
            "ada\\@corp.example",
            "ada\0@corp.example",
            "ada @corp.example",
            "-ada@corp.example",
        ] {
            assert_eq!(principal(bad, Some("CORP.EXAMPLE")), Err(NotAPrincipal::Name), "{bad:?}");
        }
    }
}
