//! The appliance's disk: partitions, their sizes and their order, said once.
//!
//! Everything that needs a partition's name or size takes it from here: the disk that this package
//! makes, and the `genimage.cfg` of `buildroot/`. Invariant: FAT partitions that the Pi's firmware
//! reads come first as MBR primaries, and the two slots have equal sizes.

use serde::Serialize;

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    /// FAT: what the firmware reads first, and the one place that a committed update writes.
    Autoboot,
    /// FAT: kernel, initramfs and root hash of one slot.
    Boot,
    /// squashfs with an appended verity tree.
    Root,
    /// ext4: everything that outlives an update.
    Data,
}

/// One of the two systems on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Partition {
    /// Name, also the file system's label where it has one.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) content: Content,
    /// Which system it belongs to, if to one.
    pub(crate) slot: Option<Slot>,
    /// Size in MiB.
    pub(crate) mebibytes: u32,
    /// Type byte in the MBR.
    pub(crate) mbr_type: u8,
    /// Inside the extended partition rather than a primary.
    pub(crate) logical: bool,
}

/// FAT32 with logical block addresses.
const MBR_FAT32_LBA: u8 = 0x0C;
/// A Linux file system.
const MBR_LINUX: u8 = 0x83;

/// The disk, in order. MBR and not GPT: the Pi's `tryboot` on GPT fails on several boards.
pub(crate) const PARTITIONS: [Partition; 6] = [
    Partition {
        name: "AUTOBOOT",
        content: Content::Autoboot,
        slot: None,
        mebibytes: 16,
        mbr_type: MBR_FAT32_LBA,
        logical: false,
    },
    boot("BOOT-A", Slot::A),
    boot("BOOT-B", Slot::B),
    root("rootfs-a", Slot::A),
    root("rootfs-b", Slot::B),
    Partition {
        name: "data",
        content: Content::Data,
        slot: None,
        mebibytes: 256,
        mbr_type: MBR_LINUX,
        logical: true,
    },
];

const fn boot(name: &'static str, slot: Slot) -> Partition {
    Partition {
        name,
        content: Content::Boot,
        slot: Some(slot),
        mebibytes: 64,
        mbr_type: MBR_FAT32_LBA,
        logical: false,
    }
}

const fn root(name: &'static str, slot: Slot) -> Partition {
    Partition {
        name,
        content: Content::Root,
        slot: Some(slot),
        mebibytes: 64,
        mbr_type: MBR_LINUX,
        logical: true,
    }
}

/// MBR disks hold three primaries beside the extended partition.
pub(crate) const EXTENDED_PARTITION: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_are_twins() {
        let of = |slot| {
            PARTITIONS
                .iter()
                .filter(|p| p.slot == Some(slot))
                .map(|p| (p.content, p.mebibytes, p.mbr_type, p.logical))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Slot::A), of(Slot::B));
        assert_eq!(of(Slot::A).len(), 2);
    }

    #[test]
    fn what_the_firmware_reads_comes_first_and_fits_the_primaries() {
        let first_logical = PARTITIONS.iter().position(|p| p.logical);
        assert_eq!(first_logical, Some(EXTENDED_PARTITION - 1));
        for (at, p) in PARTITIONS.iter().enumerate() {
            let firmware_reads = matches!(p.content, Content::Autoboot | Content::Boot);
            assert_eq!(firmware_reads, at < EXTENDED_PARTITION - 1, "{}", p.name);
        }
    }

    #[test]
    fn fat_labels_fit_the_eleven_characters_that_fat_has() {
        for p in PARTITIONS.iter().filter(|p| p.mbr_type == MBR_FAT32_LBA) {
            assert!(p.name.len() <= 11 && p.name.to_uppercase() == p.name, "{}", p.name);
        }
    }
}
