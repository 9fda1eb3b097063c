//! Which slot the firmware starts: `autoboot.txt` on the first partition, as the Pi reads it.
//!
//! Invariant: the file has one of two texts of equal length in one sector, and a commit overwrites
//! that sector and nothing else. A power cut leaves the old text or the new one: no directory, no
//! allocation table and no second file is ever half-written.

use super::{
    fat::{self, FatError},
    slots::{Device, Disk, Part, SECTOR, Slot},
};

/// `autoboot.txt` as FAT keeps the name.
const NAME: &[u8; 11] = b"AUTOBOOTTXT";

/// Why the boot order cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum BootloaderError {
    /// The partition cannot be read or written.
    #[error("the boot order cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// See there.
    #[error("autoboot.txt: {0}")]
    Fat(#[from] FatError),
    /// The file is there and is not one of ours.
    #[error("autoboot.txt has neither of the two texts that it may have")]
    Unknown,
    /// What was written is not what is read.
    #[error("the boot order was written and not kept: the card may be worn out")]
    NotKept,
}

/// What starts the box.
pub trait Bootloader: Send + Sync {
    /// The slot that is started when nothing else is asked for.
    ///
    /// # Errors
    /// [`BootloaderError`].
    fn committed(&self) -> Result<Slot, BootloaderError>;
    /// Makes a slot the one that is started.
    ///
    /// # Errors
    /// [`BootloaderError`].
    fn commit(&self, slot: Slot) -> Result<(), BootloaderError>;
}

/// The text for a committed slot; the other one is what a trial starts.
#[must_use]
pub fn text(committed: Slot) -> String {
    let partition = |slot| if slot == Slot::A { 2 } else { 3 };
    format!(
        "[all]\ntryboot_a_b=1\nboot_partition={}\n[tryboot]\nboot_partition={}\n",
        partition(committed),
        partition(committed.other())
    )
}

/// The Pi's `autoboot.txt`, and the same file on machines whose runner models the Pi.
pub struct Autoboot<'d>(pub &'d dyn Disk);

/// The boot order as it is on the partition.
struct Order {
    device: Box<dyn Device>,
    /// Where the file's one sector is.
    offset: u64,
    sector: [u8; SECTOR],
    /// What it says.
    slot: Slot,
}

impl Autoboot<'_> {
    fn read(&self) -> Result<Order, BootloaderError> {
        let mut device = self.0.open(Part::Autoboot)?;
        let found = fat::find(device.as_mut(), NAME)?;
        let mut sector = [0; SECTOR];
        device.read_at(found.offset, &mut sector)?;
        let says = |slot: &Slot| {
            let text = text(*slot);
            text.len() == found.size as usize && sector.starts_with(text.as_bytes())
        };
        let slot = [Slot::A, Slot::B].into_iter().find(says).ok_or(BootloaderError::Unknown)?;
        Ok(Order { device, offset: found.offset, sector, slot })
    }
}

impl Bootloader for Autoboot<'_> {
    fn committed(&self) -> Result<Slot, BootloaderError> {
        self.read().map(|order| order.slot)
    }

    fn commit(&self, slot: Slot) -> Result<(), BootloaderError> {
        let Order { mut device, offset, mut sector, slot: committed } = self.read()?;
        if committed == slot {
            return Ok(());
        }
        let text = text(slot);
        sector[..text.len()].copy_from_slice(text.as_bytes());
        device.write_at(offset, &sector)?;
        device.sync()?;
        device.forget()?;
        let mut kept = [0; SECTOR];
        device.read_at(offset, &mut kept)?;
        if kept == sector { Ok(()) } else { Err(BootloaderError::NotKept) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_texts_have_equal_length_and_fit_a_sector() {
        let (a, b) = (text(Slot::A), text(Slot::B));
        assert_eq!(a, "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n");
        assert_eq!((a.len(), a.len() < SECTOR), (b.len(), true));
        assert_ne!(a, b);
    }
}
