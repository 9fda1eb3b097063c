//! The data partition, as somebody with the card in a reader sees it.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    failure::{Failure, at, run},
    machine::extent,
};

const DATA: u8 = 7;

/// A copy of the partition, checked; [`Card::put_back`] writes it to the disk.
pub(super) struct Card {
    disk: PathBuf,
    file: PathBuf,
}

impl Card {
    /// Takes the partition out of a disk that is off.
    pub(super) fn take(disk: &Path) -> Result<Self, Failure> {
        let file = disk.with_extension("data");
        let part = extent(disk, DATA)?;
        let mut from = File::open(disk).map_err(at(disk))?;
        from.seek(SeekFrom::Start(part.from)).map_err(at(disk))?;
        let mut to = File::create(&file).map_err(at(&file))?;
        std::io::copy(&mut std::io::Read::take(from, part.length), &mut to).map_err(at(&file))?;
        // The power was cut: what the journal holds belongs to the file system.
        let mut check = Command::new("/sbin/e2fsck");
        let ended = check.args(["-fy"]).arg(&file).output().map_err(at(&file))?;
        // 1 is: errors were found and corrected.
        if !matches!(ended.status.code(), Some(0 | 1)) {
            let said = String::from_utf8_lossy(&ended.stdout).into_owned();
            return Err(Failure::Wrong(format!("e2fsck: {said}")));
        }
        Ok(Self { disk: disk.to_owned(), file })
    }

    /// Changes it by a command of debugfs; gives what it said.
    pub(super) fn debugfs(&self, command: &str) -> Result<String, Failure> {
        run(Command::new("/sbin/debugfs").args(["-w", "-R", command]).arg(&self.file))
    }

    /// Bytes that are free on it.
    pub(super) fn free(&self) -> Result<u64, Failure> {
        let said = self.debugfs("stats -h")?;
        let number = |name: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(name))?;
            line.trim_start_matches(':').trim().parse::<u64>().ok()
        };
        match (number("Free blocks"), number("Block size")) {
            (Some(blocks), Some(size)) => Ok(blocks * size),
            _ => Err(Failure::Wrong(format!("debugfs says no free blocks: {said}"))),
        }
    }

    /// Puts a file there, of the daemon's.
    pub(super) fn write(&self, file: &Path, to: &str) -> Result<(), Failure> {
        self.debugfs(&format!("write {} {to}", file.display()))?;
        for (field, value) in [("uid", "100"), ("gid", "100"), ("mode", "0100600")] {
            self.debugfs(&format!("set_inode_field {to} {field} {value}"))?;
        }
        Ok(())
    }

    /// Writes it to the disk again.
    pub(super) fn put_back(self) -> Result<(), Failure> {
        run(Command::new("/sbin/e2fsck").args(["-fn"]).arg(&self.file))?;
        let part = extent(&self.disk, DATA)?;
        let mut to = File::options().write(true).open(&self.disk).map_err(at(&self.disk))?;
        to.seek(SeekFrom::Start(part.from)).map_err(at(&self.disk))?;
        let mut from = File::open(&self.file).map_err(at(&self.file))?;
        std::io::copy(&mut from, &mut to).map_err(at(&self.disk))?;
        std::fs::remove_file(&self.file).map_err(at(&self.file))
    }
}
