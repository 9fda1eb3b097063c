//! Where a file begins in a FAT file system. Nothing is written here, and nothing longer than one
//! cluster is ever asked for.
//!
//! The partition may hold anything after a fault: every number is checked before it is used, and
//! every walk has an end.

use super::slots::{Device, SECTOR};

/// Directory entries looked at before giving up.
const MOST_ENTRIES: u64 = 4096;
/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// A part of a long name.
const LONG_NAME: u8 = 0x0F;
/// Neither a volume label nor a folder.
const NOT_A_FILE: u8 = 0x08 | 0x10;

/// Why a file cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The partition cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No FAT, or one with 4096-byte sectors.
    #[error("no FAT file system with sectors of 512 bytes")]
    NotFat,
    /// It is not in the root folder.
    #[error("the file is not there")]
    Missing,
}

/// A file in the root folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where its first byte is on the partition.
    pub(super) offset: u64,
    /// Bytes of it.
    pub(super) size: u32,
}

struct Shape {
    sectors: u64,
    cluster_sectors: u64,
    fat_start: u64,
    fat_sectors: u64,
    root_start: u64,
    root_entries: u64,
    data_start: u64,
    /// FAT32 only: where the root folder begins.
    root_cluster: Option<u64>,
}

/// Finds a file by its name as FAT keeps it: eight letters and three, filled with blanks.
pub(super) fn find(device: &mut dyn Device, name: &[u8; 11]) -> Result<Found, FatError> {
    let shape = shape(device)?;
    let mut seen = 0;
    match shape.root_cluster {
        None => {
            for sector in 0..(shape.root_entries * ENTRY as u64).div_ceil(SECTOR as u64) {
                if let Some(found) = scan(device, &shape, shape.root_start + sector, name)? {
                    return found.ok_or(FatError::Missing);
                }
            }
        }
        Some(mut cluster) => {
            while seen < MOST_ENTRIES {
                let start = shape.sector_of(cluster).ok_or(FatError::NotFat)?;
                for sector in 0..shape.cluster_sectors {
                    if let Some(found) = scan(device, &shape, start + sector, name)? {
                        return found.ok_or(FatError::Missing);
                    }
                    seen += (SECTOR / ENTRY) as u64;
                }
                match shape.next(device, cluster)? {
                    Some(next) => cluster = next,
                    None => break,
                }
            }
        }
    }
    Err(FatError::Missing)
}

fn shape(device: &mut dyn Device) -> Result<Shape, FatError> {
    let mut b = [0; SECTOR];
    device.read_at(0, &mut b)?;
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([b[at], b[at + 1]]));
    let u32_at = |at: usize| u64::from(u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]));
    let either = |small: u64, large: u64| if small == 0 { large } else { small };
    let cluster_sectors = u64::from(b[13]);
    let fat_sectors = either(u16_at(22), u32_at(36));
    let root_entries = u16_at(17);
    let fat_start = u16_at(14);
    let root_start = fat_start + u64::from(b[16]) * fat_sectors;
    let data_start = root_start + (root_entries * ENTRY as u64).div_ceil(SECTOR as u64);
    let sectors = either(u16_at(19), u32_at(32));
    let sane = b[510..] == [0x55, 0xAA]
        && u16_at(11) == SECTOR as u64
        && cluster_sectors.is_power_of_two()
        && (1..=2).contains(&b[16])
        && fat_start > 0
        && fat_sectors > 0
        && root_entries <= MOST_ENTRIES
        && data_start < sectors
        && sectors * SECTOR as u64 <= device.size()?;
    if !sane {
        return Err(FatError::NotFat);
    }
    // FAT32 has no root folder of a fixed size.
    let root_cluster = (root_entries == 0).then(|| u32_at(44));
    Ok(Shape {
        sectors,
        cluster_sectors,
        fat_start,
        fat_sectors,
        root_start,
        root_entries,
        data_start,
        root_cluster,
    })
}

impl Shape {
    fn sector_of(&self, cluster: u64) -> Option<u64> {
        let sector = self.data_start + cluster.checked_sub(2)? * self.cluster_sectors;
        (sector + self.cluster_sectors <= self.sectors).then_some(sector)
    }

    /// The cluster after this one, in FAT32.
    fn next(&self, device: &mut dyn Device, cluster: u64) -> Result<Option<u64>, FatError> {
        let at = cluster * 4;
        if at / SECTOR as u64 >= self.fat_sectors {
            return Err(FatError::NotFat);
        }
        let mut entry = [0; 4];
        device.read_at(self.fat_start * SECTOR as u64 + at, &mut entry)?;
        let next = u64::from(u32::from_le_bytes(entry) & 0x0FFF_FFFF);
        Ok((2..0x0FFF_FFF8).contains(&next).then_some(next))
    }
}

/// Looks through one sector of a folder: `Some(None)` at the folder's end.
fn scan(
    device: &mut dyn Device,
    shape: &Shape,
    sector: u64,
    name: &[u8; 11],
) -> Result<Option<Option<Found>>, FatError> {
    let mut bytes = [0; SECTOR];
    device.read_at(sector * SECTOR as u64, &mut bytes)?;
    for entry in bytes.chunks_exact(ENTRY) {
        if entry[0] == 0 {
            return Ok(Some(None));
        }
        if entry[11] & LONG_NAME == LONG_NAME || entry[11] & NOT_A_FILE != 0 || entry[..11] != name[..] {
            continue;
        }
        let high = if shape.root_cluster.is_some() { u16::from_le_bytes([entry[20], entry[21]]) } else { 0 };
        let cluster = u64::from(high) << 16 | u64::from(u16::from_le_bytes([entry[26], entry[27]]));
        let size = u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]);
        let sector = shape.sector_of(cluster).ok_or(FatError::NotFat)?;
        if u64::from(size) > shape.cluster_sectors * SECTOR as u64 {
            return Err(FatError::NotFat);
        }
        return Ok(Some(Some(Found { offset: sector * SECTOR as u64, size })));
    }
    Ok(None)
}
