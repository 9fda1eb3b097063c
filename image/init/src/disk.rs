//! The box's own disk, found by the signature in its master boot record.
//!
//! Invariant: a disk that can be plugged in comes after those that are soldered or slotted in, so a
//! stick with the same signature does not take the box over while its own disk is there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// At offset 440 of the first sector; what `image/src/genimage.rs` writes.
const SIGNATURE: [u8; 4] = 0x4155_5448_u32.to_le_bytes();
const SIGNATURE_AT: usize = 440;

/// Partition number to device.
pub(crate) type Partitions = BTreeMap<u32, PathBuf>;

/// Waits until the disk shows up, with at least the partitions named.
pub(crate) fn wait(wanted: &[u32], patience: Duration) -> Option<Partitions> {
    let began = Instant::now();
    loop {
        if let Ok(found) = find(Path::new("/sys/block"), Path::new("/dev"))
            && wanted.iter().all(|number| found.contains_key(number))
        {
            return Some(found);
        }
        if began.elapsed() > patience {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The partitions of the first disk with our signature.
fn find(sys: &Path, dev: &Path) -> io::Result<Partitions> {
    let mut disks: Vec<String> = fs::read_dir(sys)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !["loop", "ram", "dm-", "zram"].iter().any(|kind| name.starts_with(kind)))
        .collect();
    let pluggable = |name: &String| name.starts_with("sd");
    disks.sort_by_key(|name| (pluggable(name), name.clone()));
    for disk in disks {
        if is_ours(&dev.join(&disk)).unwrap_or(false) {
            return partitions(&sys.join(&disk), &disk, dev);
        }
    }
    Ok(Partitions::new())
}

/// The disk that a partition is on.
pub(crate) fn of(partition: &Path) -> io::Result<PathBuf> {
    let name = partition.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let place = fs::canonicalize(Path::new("/sys/class/block").join(name))?;
    let disk = place.parent().and_then(Path::file_name).ok_or(io::ErrorKind::NotFound)?;
    Ok(Path::new("/dev").join(disk))
}

fn is_ours(device: &Path) -> io::Result<bool> {
    let mut sector = [0; 512];
    File::open(device)?.read_exact(&mut sector)?;
    Ok(sector[SIGNATURE_AT..SIGNATURE_AT + 4] == SIGNATURE && sector[510..] == [0x55, 0xAA])
}

fn partitions(sys: &Path, disk: &str, dev: &Path) -> io::Result<Partitions> {
    let mut found = Partitions::new();
    for entry in fs::read_dir(sys)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Ok(number) = fs::read_to_string(entry.path().join("partition"))
            && name.starts_with(disk)
            && let Ok(number) = number.trim().parse()
        {
            found.insert(number, dev.join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_slotted_disk_comes_before_a_stick_with_the_same_signature() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, dev) = (folder.path().join("sys"), folder.path().join("dev"));
        fs::create_dir_all(&dev).unwrap();
        let mut sector = [0; 512];
        sector[440..444].copy_from_slice(&SIGNATURE);
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        for (disk, parts) in [("vda", ["vda1", "vda5"]), ("sda", ["sda1", "sda5"]), ("mmcblk1", ["x1", "x2"])]
        {
            for (part, number) in parts.iter().zip(["1\n", "5\n"]) {
                fs::create_dir_all(sys.join(disk).join(part)).unwrap();
                fs::write(sys.join(disk).join(part).join("partition"), number).unwrap();
            }
            fs::write(dev.join(disk), if disk == "mmcblk1" { [0; 512] } else { sector }).unwrap();
        }
        let found = find(&sys, &dev).unwrap();
        assert_eq!(found, Partitions::from([(1, dev.join("vda1")), (5, dev.join("vda5"))]));
    }
}
