//! Versions of images: numbers with an order, and nothing else. What has no order cannot be kept
//! from going back.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Two to four numbers: `0.1`, `1.2.3`, `2026.11.23.1`. A missing number is 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Vec<u32>);

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is two to four numbers with dots between them, as in 1.2.3")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let part = |part: &str| {
            // No sign, no leading zero: one version has one spelling.
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse::<u32>().map_err(|_| NotAVersion) } else { Err(NotAVersion) }
        };
        let parts = text.split('.').take(5).map(part).collect::<Result<Vec<u32>, _>>()?;
        if (2..=4).contains(&parts.len()) { Ok(Self(parts)) } else { Err(NotAVersion) }
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let at = |parts: &[u32], index: usize| parts.get(index).copied().unwrap_or(0);
        (0..4).map(|i| at(&self.0, i).cmp(&at(&other.0, i))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_numbers_and_not_as_text() {
        assert!(v("0.9.0") < v("0.10.0") && v("1.0") == v("1.0.0.0") && v("1.0.0.1") > v("1.0"));
        assert_eq!(v("2026.11.23").to_string(), "2026.11.23");
    }

    #[test]
    fn what_has_no_order_is_no_version() {
        for text in
            ["", "1", "1.", ".1", "1.2.3.4.5", "1.2-rc1", "1.-2", "+1.2", "01.2", "1.4294967296", "1.２"]
        {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion), "{text}");
        }
    }
}
