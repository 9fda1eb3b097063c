//! The two slots and the partitions that they lie on; block devices on the box, files in tests.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, FileTypeExt},
    path::PathBuf,
};

use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};

use super::boot::Devices;

/// Bytes of a sector: what a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// One of the two systems on the disk. Kernel and root file system of a slot change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The one that does not run when this one does.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A partition that updates know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The FAT with `autoboot.txt`.
    Autoboot,
    /// Kernel and initramfs of a slot.
    Boot(Slot),
    /// Root file system of a slot.
    Root(Slot),
}

/// An open partition.
pub trait Device: Send {
    /// Bytes of it.
    ///
    /// # Errors
    /// What the system says; so for all that follow.
    fn size(&mut self) -> io::Result<u64>;
    /// Reads exactly so much.
    ///
    /// # Errors
    /// See [`Device::size`].
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of it; durable only after [`Device::sync`].
    ///
    /// # Errors
    /// See [`Device::size`].
    fn write_at(&mut self, at: u64, from: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// See [`Device::size`].
    fn sync(&mut self) -> io::Result<()>;
    /// Lets the next reads come from the medium and not from memory, as far as the system allows.
    ///
    /// # Errors
    /// See [`Device::size`].
    fn forget(&mut self) -> io::Result<()>;
}

/// Where partitions are opened.
pub trait Disk: Send + Sync {
    /// Opens a partition to read and write.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, part: Part) -> io::Result<Box<dyn Device>>;
}

impl Disk for Devices {
    fn open(&self, part: Part) -> io::Result<Box<dyn Device>> {
        let path: &PathBuf = match part {
            Part::Autoboot => &self.autoboot,
            Part::Boot(Slot::A) => &self.boot_a,
            Part::Boot(Slot::B) => &self.boot_b,
            Part::Root(Slot::A) => &self.rootfs_a,
            Part::Root(Slot::B) => &self.rootfs_b,
        };
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let block = file.metadata()?.file_type().is_block_device();
        Ok(Box::new(Opened { file, block }))
    }
}

struct Opened {
    file: File,
    block: bool,
}

impl Device for Opened {
    fn size(&mut self) -> io::Result<u64> {
        if !self.block {
            return Ok(self.file.metadata()?.len());
        }
        // A block device has no length in its metadata; its end is where seeking ends.
        rustix::fs::seek(&self.file, rustix::fs::SeekFrom::End(0)).map_err(Into::into)
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }

    fn write_at(&mut self, at: u64, from: &[u8]) -> io::Result<()> {
        self.file.write_all_at(from, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget(&mut self) -> io::Result<()> {
        // Clean pages only, of this file only: everybody else's stay.
        fadvise(&self.file, 0, None, Advice::DontNeed).map_err(Into::into)
    }
}
