//! The last partition takes what the card has behind it: an image is written to cards of any size.
//!
//! Invariant: every write is of one sector, and after each of them the table is whole, with the partition as it
//! was or as it is to be. Nothing is moved, and nothing is made smaller.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::block;

const SECTOR: u64 = 512;
/// The data partition, and that which holds it.
const DATA: u32 = 7;
const EXTENDED: usize = 3;
/// The first of those that the extended partition holds.
const FIRST_LOGICAL: u32 = 5;
/// Less is not worth a change: 64 MiB.
const WORTH: u64 = 131_072;
/// Partitions end at whole mebibytes.
const ALIGNED: u64 = 2048;

/// An entry of a boot record: where it begins, from what it counts from, and how long it is, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    from: u64,
    length: u64,
}

/// A boot record of the chain.
struct Record {
    at: u64,
    sector: [u8; SECTOR as usize],
}

impl Record {
    fn read(disk: &mut (impl Read + Seek), at: u64) -> io::Result<Self> {
        let mut sector = [0; SECTOR as usize];
        disk.seek(SeekFrom::Start(at * SECTOR))?;
        disk.read_exact(&mut sector)?;
        if sector[510..] != [0x55, 0xAA] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a boot record has no mark"));
        }
        Ok(Self { at, sector })
    }

    fn entry(&self, index: usize) -> Entry {
        let number = |at: usize| {
            let bytes = &self.sector[at..at + 4];
            bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        let at = 446 + 16 * index;
        Entry { from: number(at + 8), length: number(at + 12) }
    }

    /// Writes the record with another length of an entry, durably.
    fn lengthen(&mut self, disk: &mut (impl Write + Seek), index: usize, length: u64) -> io::Result<()> {
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let at = 446 + 16 * index + 12;
        self.sector[at..at + 4].copy_from_slice(&length.to_le_bytes());
        disk.seek(SeekFrom::Start(self.at * SECTOR))?;
        disk.write_all(&self.sector)?;
        disk.flush()
    }
}

/// Where the data partition begins, and how long it is now, in sectors; nothing when there is no more room.
fn lengthen(disk: &mut (impl Read + Write + Seek), sectors: u64) -> io::Result<Option<Entry>> {
    // What a boot record can say.
    let end = sectors.min(u64::from(u32::MAX)) / ALIGNED * ALIGNED;
    let mut table = Record::read(disk, 0)?;
    let extended = table.entry(EXTENDED);
    let mut before: Option<Record> = None;
    let mut record = Record::read(disk, extended.from)?;
    for _ in FIRST_LOGICAL..DATA {
        let next = record.entry(1);
        if next.length == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no data partition"));
        }
        let next = Record::read(disk, extended.from + next.from)?;
        before = Some(std::mem::replace(&mut record, next));
    }
    let data = record.entry(0);
    let from = record.at + data.from;
    if data.length == 0 || record.entry(1).length != 0 || end < from + data.length + WORTH {
        return Ok(None);
    }
    // From the outside to the inside: what holds it is long enough before it is.
    table.lengthen(disk, EXTENDED, end - extended.from)?;
    if let Some(before) = &mut before {
        before.lengthen(disk, 1, end - record.at)?;
    }
    record.lengthen(disk, 0, end - from)?;
    Ok(Some(Entry { from, length: end - from }))
}

/// Gives the data partition the rest of the disk; says how many bytes it has now, if that is more.
pub(crate) fn partition(disk: &Path) -> io::Result<Option<u64>> {
    // Not a byte of a disk that is as it should be is written, or its cache dropped.
    let mut device = Durable(OpenOptions::new().read(true).write(true).open(disk)?);
    let sectors = device.0.seek(SeekFrom::End(0))? / SECTOR;
    let Some(data) = lengthen(&mut device, sectors)? else { return Ok(None) };
    block::resize_partition(&device.0, DATA, data.from * SECTOR, data.length * SECTOR)?;
    Ok(Some(data.length * SECTOR))
}

/// A disk whose writes are on it when they are flushed.
struct Durable(File);

impl Read for Durable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Durable {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Seek for Durable {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Grows the file system that is mounted at `mounted` to the size of its `device`, if it is smaller: also after
/// the power went between both.
pub(crate) fn file_system(device: &Path, mounted: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(device)?;
    let bytes = file.seek(SeekFrom::End(0))?;
    // The superblock (Documentation/filesystems/ext4/super.rst).
    let mut superblock = [0; 1024];
    file.seek(SeekFrom::Start(1024))?;
    file.read_exact(&mut superblock)?;
    let Some((size, blocks)) = size_of(&superblock) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no ext4"));
    };
    if bytes < blocks * size + WORTH * SECTOR {
        return Ok(None);
    }
    block::resize_ext4(&File::open(mounted)?, bytes / size)?;
    Ok(Some(bytes))
}

/// Bytes of a block, and how many there are.
fn size_of(superblock: &[u8; 1024]) -> Option<(u64, u64)> {
    let number = |at: usize| {
        superblock[at..at + 4].iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    let is_ext4 = superblock[0x38..0x3A] == [0x53, 0xEF];
    let shift = u32::try_from(number(0x18)).ok().filter(|shift| is_ext4 && *shift <= 6)?;
    // The high half counts with the feature `64bit` only.
    let high = if number(0x60) & 0x80 == 0 { 0 } else { number(0x150) };
    Some((1024 << shift, high << 32 | number(0x04)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::io::Cursor;

    use super::*;

    const MEBIBYTE: u64 = 2048;

    /// Our layout in small: three primaries, and 5, 6 and 7 in the extended one, of four mebibytes each.
    fn disk() -> Vec<u8> {
        let mut disk = vec![0; (16 * MEBIBYTE * SECTOR) as usize];
        let mut record = |at: u64, entries: &[(usize, u64, u64)]| {
            let sector = &mut disk[(at * SECTOR) as usize..][..512];
            for (index, from, length) in entries {
                let entry = 446 + 16 * index;
                sector[entry + 8..entry + 12].copy_from_slice(&(*from as u32).to_le_bytes());
                sector[entry + 12..entry + 16].copy_from_slice(&(*length as u32).to_le_bytes());
            }
            sector[510..].copy_from_slice(&[0x55, 0xAA]);
        };
        record(0, &[(0, MEBIBYTE, MEBIBYTE), (3, 2 * MEBIBYTE, 14 * MEBIBYTE)]);
        record(2 * MEBIBYTE, &[(0, MEBIBYTE, 3 * MEBIBYTE), (1, 4 * MEBIBYTE, 4 * MEBIBYTE)]);
        record(6 * MEBIBYTE, &[(0, MEBIBYTE, 3 * MEBIBYTE), (1, 8 * MEBIBYTE, 6 * MEBIBYTE)]);
        record(10 * MEBIBYTE, &[(0, MEBIBYTE, 5 * MEBIBYTE)]);
        disk
    }

    /// The lengths that stand in the table: of the extended partition, of what holds 7, and of 7.
    fn lengths(disk: &[u8]) -> [u64; 3] {
        let mut disk = Cursor::new(disk);
        let mut length = |at, index| Record::read(&mut disk, at).unwrap().entry(index).length / MEBIBYTE;
        [length(0, EXTENDED), length(6 * MEBIBYTE, 1), length(10 * MEBIBYTE, 0)]
    }

    /// A disk whose power goes after so many writes.
    struct Cut(Cursor<Vec<u8>>, usize);

    impl Read for Cut {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Seek for Cut {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    impl Write for Cut {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            assert_eq!(buffer.len(), 512, "one sector a write");
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            self.0.write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_data_partition_gets_the_rest_of_a_larger_card_once() {
        let mut disk = Cursor::new(disk());
        let grown = lengthen(&mut disk, 200 * MEBIBYTE + 77).unwrap();
        assert_eq!(grown, Some(Entry { from: 11 * MEBIBYTE, length: 189 * MEBIBYTE }));
        assert_eq!(lengths(disk.get_ref()), [198, 190, 189]);
        assert_eq!(lengthen(&mut disk, 200 * MEBIBYTE + 77).unwrap(), None);
    }

    #[test]
    fn a_card_that_is_hardly_larger_is_left_alone() {
        let mut small = Cut(Cursor::new(disk()), 0);
        for sectors in [16 * MEBIBYTE, 79 * MEBIBYTE, 0] {
            assert_eq!(lengthen(&mut small, sectors).unwrap(), None);
        }
        assert_eq!(lengths(small.0.get_ref()), [14, 6, 5]);
    }

    #[test]
    fn a_card_larger_than_a_boot_record_can_say_is_used_as_far_as_it_can() {
        let mut disk = Cursor::new(disk());
        let grown = lengthen(&mut disk, 1 << 40).unwrap().unwrap();
        assert!(grown.from + grown.length <= u64::from(u32::MAX));
    }

    #[test]
    fn whenever_the_power_goes_the_table_is_whole_and_the_next_start_finishes() {
        for writes in 0..3 {
            let mut cut = Cut(Cursor::new(disk()), writes);
            assert!(lengthen(&mut cut, 200 * MEBIBYTE).is_err());
            let [extended, holder, data] = lengths(cut.0.get_ref());
            assert!(data == 5 && holder >= 6 && extended >= 14, "{extended} {holder} {data}");
            lengthen(&mut cut.0, 200 * MEBIBYTE).unwrap().unwrap();
            assert_eq!(lengths(cut.0.get_ref()), [198, 190, 189]);
        }
    }

    #[test]
    fn a_table_that_is_not_ours_is_an_error_and_not_written() {
        for (at, byte) in [(510, 0), (10 * 1024 * 1024 + 510, 0)] {
            let mut broken = disk();
            broken[at] = byte;
            assert!(lengthen(&mut Cut(Cursor::new(broken), 0), 200 * MEBIBYTE).is_err());
        }
        assert!(lengthen(&mut Cut(Cursor::new(vec![0; 1 << 20]), 0), 200 * MEBIBYTE).is_err());
    }

    #[test]
    fn the_size_of_a_file_system_is_read_off_its_superblock() {
        let mut superblock = [0; 1024];
        assert_eq!(size_of(&superblock), None);
        superblock[0x38..0x3A].copy_from_slice(&[0x53, 0xEF]);
        superblock[0x04..0x08].copy_from_slice(&65_536_u32.to_le_bytes());
        superblock[0x18] = 2;
        assert_eq!(size_of(&superblock), Some((4096, 65_536)));
        superblock[0x150] = 1;
        assert_eq!(size_of(&superblock), Some((4096, 65_536)));
        superblock[0x60] = 0x80;
        assert_eq!(size_of(&superblock), Some((4096, (1 << 32) + 65_536)));
        superblock[0x18] = 99;
        assert_eq!(size_of(&superblock), None);
    }
}
