//! What the boot folder says: the kernel's command line, and on a Pi what its firmware adds in the
//! device tree. Invariant: a slot is booted only with a complete description of its root.

use std::{collections::BTreeMap, fs, path::Path, str::FromStr};

use serde::Serialize;

/// Why the description cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    /// A key is not there.
    #[error("the command line has no authenteon.{0}")]
    Missing(&'static str),
    /// A value is not one for its key.
    #[error("authenteon.{key}={value}: {wanted}")]
    Value {
        /// Which.
        key: &'static str,
        /// What was there.
        value: String,
        /// What would be right.
        wanted: &'static str,
    },
}

/// One of the two systems on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    /// Boot partition 2, root partition 5.
    A,
    /// Boot partition 3, root partition 6.
    B,
}

impl Slot {
    /// Number of the partition that holds its root.
    pub(crate) const fn root_partition(self) -> u32 {
        match self {
            Self::A => 5,
            Self::B => 6,
        }
    }
}

/// A digest or salt in hexadecimal, 32 bytes: nothing else may enter a table of the device mapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex32(String);

impl Hex32 {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hex32 {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(plain)).then(|| Self(text.to_owned())).ok_or(())
    }
}

/// Everything that a boot is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// What the image was made for.
    pub(crate) board: String,
    /// Which system.
    pub(crate) slot: Slot,
    /// It is tried once: unless it is committed, the next start takes the other one.
    pub(crate) trial: bool,
    /// Root of the tree of hashes.
    pub(crate) root_hash: Hex32,
    /// Salt of the tree.
    pub(crate) salt: Hex32,
    /// Blocks of 4096 bytes before the tree.
    pub(crate) blocks: u32,
}

impl Parameters {
    /// From the command line, and from the folder of the firmware's own words where there is one.
    pub(crate) fn read(command_line: &str, firmware: &Path) -> Result<Self, ParameterError> {
        let given: BTreeMap<&str, &str> = command_line
            .split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix("authenteon.")?.split_once('='))
            .collect();
        let text = |key| given.get(key).copied().ok_or(ParameterError::Missing(key));
        // Big-endian cells of the device tree win: nobody edits them.
        let cell = |name: &str| {
            let bytes = fs::read(firmware.join(name)).ok()?;
            bytes.try_into().ok().map(u32::from_be_bytes)
        };
        let partition = match cell("partition") {
            Some(number) => number.to_string(),
            None => text("partition")?.to_owned(),
        };
        let slot = match partition.as_str() {
            "2" => Slot::A,
            "3" => Slot::B,
            _ => return Err(wrong("partition", &partition, "2 or 3")),
        };
        let trial = match cell("tryboot") {
            Some(flag) => flag != 0,
            None => given.get("tryboot").is_some_and(|flag| *flag == "1"),
        };
        let digest = |key| {
            let value = text(key)?;
            value.parse().map_err(|()| wrong(key, value, "64 hexadecimal digits"))
        };
        let blocks = text("blocks")?;
        Ok(Self {
            board: text("board")?.to_owned(),
            slot,
            trial,
            root_hash: digest("roothash")?,
            salt: digest("salt")?,
            blocks: blocks
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| wrong("blocks", blocks, "a number of blocks"))?,
        })
    }
}

fn wrong(key: &'static str, value: &str, wanted: &'static str) -> ParameterError {
    ParameterError::Value { key, value: value.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn line(more: &str) -> String {
        let hex = "0123456789abcdef".repeat(4);
        format!(
            "console=ttyAMA0 authenteon.board=qemu authenteon.roothash={hex} authenteon.salt={hex} authenteon.blocks=99 {more}\n"
        )
    }

    #[test]
    fn the_runner_says_the_partition_on_the_command_line() {
        let nowhere = Path::new("/nonexistent");
        let read = |more| Parameters::read(&line(more), nowhere).unwrap();
        let first = read("authenteon.partition=2");
        assert_eq!((first.slot, first.trial, first.blocks), (Slot::A, false, 99));
        let second = read("authenteon.partition=3 authenteon.tryboot=1");
        assert_eq!((second.slot, second.trial, second.board.as_str()), (Slot::B, true, "qemu"));
    }

    #[test]
    fn the_firmware_of_a_pi_says_it_in_the_device_tree() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("partition"), 3_u32.to_be_bytes()).unwrap();
        fs::write(folder.path().join("tryboot"), 1_u32.to_be_bytes()).unwrap();
        let read = Parameters::read(&line("authenteon.partition=2"), folder.path()).unwrap();
        assert_eq!((read.slot, read.trial), (Slot::B, true));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(Parameters::read(&line(""), nowhere), Err(ParameterError::Missing("partition")));
        let bad = line("authenteon.partition=4");
        assert!(matches!(
            Parameters::read(&bad, nowhere),
            Err(ParameterError::Value { key: "partition", .. })
        ));
        let bad = line("authenteon.partition=2").replace("0123", "012 ");
        assert!(matches!(Parameters::read(&bad, nowhere), Err(ParameterError::Value { .. })));
    }
}
