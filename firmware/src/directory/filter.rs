//! Search filters (RFC 4515), put together so that no value can become a part of one.

use std::fmt::Write as _;

use super::DirectoryError;

/// Objects that one filter asks for.
pub(super) const AT_ONCE: usize = 100;

/// Octets as a value in a filter.
pub(super) fn octets(value: &[u8]) -> String {
    value.iter().fold(String::with_capacity(value.len() * 3), |mut text, octet| {
        // Writing into a text does not fail.
        let _ = write!(text, "\\{octet:02x}");
        text
    })
}

/// A text as a value in a filter.
pub(super) fn text(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut text, character| {
        match character {
            '*' | '(' | ')' | '\\' | '\0' => {
                let _ = write!(text, "\\{:02x}", u32::from(character));
            }
            other => text.push(other),
        }
        text
    })
}

/// Everything of these, each a whole filter or nothing.
pub(super) fn all(filters: &[&str]) -> String {
    let filters: Vec<&str> = filters.iter().copied().filter(|filter| !filter.is_empty()).collect();
    match filters.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("(&{})", many.concat()),
    }
}

/// One of these values, which are escaped.
pub(super) fn any_of(attribute: &str, values: &[String]) -> String {
    let one = |value: &String| format!("({attribute}={value})");
    format!("(|{})", values.iter().map(one).collect::<String>())
}

/// A filter of the configuration, which is one.
pub(super) fn checked(configured: Option<&str>) -> Result<String, DirectoryError> {
    let filter = configured.unwrap_or_default().trim();
    let filter = match filter.starts_with('(') {
        _ if filter.is_empty() => return Ok(String::new()),
        true => filter.to_owned(),
        false => format!("({filter})"),
    };
    match ldap3::parse_filter(&filter) {
        Ok(_) => Ok(filter),
        Err(()) => Err(DirectoryError::Configuration(format!("`filter` is no LDAP filter: {filter}"))),
    }
}

/// The attributes that a filter looks at.
pub(super) fn attributes(filter: &str) -> Vec<String> {
    let starts = filter.match_indices('(').map(|(at, _)| &filter[at + 1..]);
    let named = starts.filter_map(|rest| {
        let name = rest.split(['=', '<', '>', '~', ':', ';', ')', '(']).next().unwrap_or_default();
        let plain =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        plain.then(|| name.to_owned())
    });
    named.collect()
}

/// A distinguished name as one spelling: small letters, no spaces around what separates, escapes left alone.
pub(super) fn same_dn(dn: &str) -> String {
    let mut key = String::with_capacity(dn.len());
    let (mut escaped, mut begins) = (false, true);
    for character in dn.trim().chars() {
        if character == ' ' && begins {
            continue;
        }
        let separates = !escaped && matches!(character, ',' | '=' | '+');
        while separates && key.ends_with(' ') && !key.ends_with("\\ ") {
            key.pop();
        }
        key.extend(character.to_lowercase());
        begins = separates;
        escaped = !escaped && character == '\\';
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_value_becomes_a_part_of_a_filter(value in ".*", bytes: Vec<u8>) {
            for filter in [format!("(cn={})", text(&value)), format!("(objectGUID=a{})", octets(&bytes))] {
                prop_assert!(ldap3::parse_filter(&filter).is_ok(), "{}", filter);
                prop_assert_eq!(filter.matches('(').count(), 1);
                prop_assert!(!filter.contains('*'));
            }
        }

        #[test]
        fn a_name_in_one_spelling_stays_as_it_is(dn in "[a-zA-Z=, +\\\\]{0,40}") {
            let once = same_dn(&dn);
            prop_assert_eq!(same_dn(&once), once);
        }
    }

    #[test]
    fn a_filter_of_the_configuration_is_taken_with_and_without_parentheses() {
        assert_eq!(checked(Some("mail=*")).unwrap(), "(mail=*)");
        assert_eq!(checked(Some("(&(mail=*)(!(o=x)))")).unwrap(), "(&(mail=*)(!(o=x)))");
        assert_eq!(checked(None).unwrap(), "");
        assert!(checked(Some("(mail=*")).is_err());
        assert!(checked(Some("(a=b))(c=d)")).is_err());
    }

    #[test]
    fn the_attributes_of_a_filter_are_found() {
        let filter =
            "(&(mail=*)(!(department;lang-en~=x))(memberOf:1.2.840.113556.1.4.1941:=cn=a)(|(a<=1)(b>=2)))";
        assert_eq!(attributes(filter), ["mail", "department", "memberOf", "a", "b"]);
        assert!(attributes("").is_empty());
    }

    #[test]
    fn one_place_has_one_spelling() {
        assert_eq!(same_dn("CN=Ann Lee, OU=People ,DC=Corp"), "cn=ann lee,ou=people,dc=corp");
        assert_eq!(same_dn(r"CN=Lee\, Ann,DC=Corp"), r"cn=lee\, ann,dc=corp");
        assert_ne!(same_dn(r"CN=Lee\, Ann"), same_dn(r"CN=Lee,Ann"));
    }
}
