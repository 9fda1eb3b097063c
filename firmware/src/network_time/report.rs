//! What the box knows of the time: written by the part that sets the clock, read by the daemon for health.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Bytes of a report.
const LONGEST: u64 = 16 << 10;

/// Whether the clock can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It follows servers.
    Synchronised,
    /// It shows what the box remembers, or has run by itself for more than a day.
    Unsynchronised,
}

/// What is told. Unknown fields are passed over: after a rollback an older daemon may meet a newer report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the clock can be relied on.
    pub standing: Standing,
    /// When a server was last followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How far the clock was behind it then, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<i64>,
    /// Why no server is followed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Report {
    /// Nothing is known.
    #[must_use]
    pub fn unsynchronised(why: impl Into<String>) -> Self {
        Self {
            standing: Standing::Unsynchronised,
            at: None,
            server: None,
            offset_ms: None,
            why: Some(why.into()),
        }
    }

    /// Reads what was last written.
    ///
    /// # Errors
    /// There is none, or it is no report.
    pub fn read(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
    }

    /// Writes it, so that whoever reads finds this one or the one before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let part = path.with_extension("part");
        fs::write(&part, serde_json::to_vec(self).map_err(io::Error::from)?)?;
        fs::rename(&part, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock.json");
        assert_eq!(Report::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let report = Report {
            standing: Standing::Synchronised,
            at: Some(Timestamp::from_millis(1_795_000_000_000)),
            server: Some("10.0.0.1".to_owned()),
            offset_ms: Some(-12),
            why: None,
        };
        report.write(&path).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
        for damage in ["", "{", "{\"standing\":\"perhaps\"}"] {
            fs::write(&path, damage).unwrap();
            assert!(Report::read(&path).is_err(), "{damage}");
        }
        fs::write(&path, " ".repeat(20_000)).unwrap();
        assert!(Report::read(&path).is_err());
    }
}
