//! Where partitions lie on a disk: the master boot record, and the chain of those that the extended
//! partition holds.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use crate::{
    failure::{Failure, at},
    layout::EXTENDED_PARTITION,
};

/// First byte and length of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) from: u64,
    pub(crate) length: u64,
}

/// The extent of partition `number`; logical ones are numbered from five.
pub(crate) fn extent(disk: &Path, number: u8) -> Result<Extent, Failure> {
    let mut file = File::open(disk).map_err(at(disk))?;
    find(&mut file, number)
        .map_err(at(disk))?
        .ok_or_else(|| Failure::Wrong(format!("{} has no partition {number}", disk.display())))
}

fn find(disk: &mut (impl Read + Seek), number: u8) -> io::Result<Option<Extent>> {
    if (1..=4).contains(&number) {
        let entry = entries(disk, 0)?[usize::from(number) - 1];
        return Ok((entry.length > 0).then_some(entry));
    }
    let extended = entries(disk, 0)?[EXTENDED_PARTITION - 1];
    let mut record = extended.from;
    for logical in 5..=number {
        let [here, next, ..] = entries(disk, record)?;
        if here.length == 0 {
            return Ok(None);
        }
        if logical == number {
            return Ok(Some(Extent { from: record + here.from, length: here.length }));
        }
        if next.length == 0 {
            return Ok(None);
        }
        record = extended.from + next.from;
    }
    Ok(None)
}

/// The four entries of a boot record, as they stand there.
fn entries(disk: &mut (impl Read + Seek), at: u64) -> io::Result<[Extent; 4]> {
    let mut sector = [0; 512];
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(&mut sector)?;
    let number = |at: usize| {
        let bytes = [sector[at], sector[at + 1], sector[at + 2], sector[at + 3]];
        u64::from(u32::from_le_bytes(bytes)) * 512
    };
    Ok([446, 462, 478, 494].map(|entry| Extent { from: number(entry + 8), length: number(entry + 12) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(entries: &[(u32, u32)]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        for (n, (from, length)) in entries.iter().enumerate() {
            let entry = 446 + 16 * n;
            sector[entry + 8..entry + 12].copy_from_slice(&from.to_le_bytes());
            sector[entry + 12..entry + 16].copy_from_slice(&length.to_le_bytes());
        }
        sector
    }

    #[test]
    fn the_chain_of_logical_partitions_is_followed() {
        let mut disk = vec![0; 512 * 40];
        disk[..512].copy_from_slice(&record(&[(1, 2), (3, 2), (5, 2), (8, 30)]));
        disk[8 * 512..9 * 512].copy_from_slice(&record(&[(1, 4), (10, 6)]));
        disk[18 * 512..19 * 512].copy_from_slice(&record(&[(2, 5)]));
        let mut disk = io::Cursor::new(disk);
        let sectors = |from: u64, length: u64| Some(Extent { from: from * 512, length: length * 512 });
        assert_eq!(find(&mut disk, 2).unwrap(), sectors(3, 2));
        assert_eq!(find(&mut disk, 5).unwrap(), sectors(9, 4));
        assert_eq!(find(&mut disk, 6).unwrap(), sectors(20, 5));
        assert_eq!(find(&mut disk, 7).unwrap(), None);
    }
}
