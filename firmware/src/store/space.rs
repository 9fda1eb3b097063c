//! Room on the disk: what is refused before the disk is full, and what is given up to go on.
//!
//! sled does not survive a disk that is full under its feet. Invariant: nothing is written when less is left
//! than what is in flight; and long before, nothing new is taken in, so that what is enrolled goes on working.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tracing::warn;

/// A file that is there to be removed. sled writes half a megabyte at a time.
const BALLAST: u64 = 16 << 20;
/// Below it nothing new is taken in: decisions and their audit go on for tens of thousands of fingers.
const LOW: u64 = 24 << 20;
/// Below it nothing is written any more.
const LEAST: u64 = 4 << 20;

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// For nothing: without an audit record there is no decision.
    Nothing,
    /// For decisions, and for what makes room.
    Decisions,
    /// For people.
    Everything,
}

fn room(free: u64) -> Room {
    match free {
        LOW.. => Room::Everything,
        LEAST..LOW => Room::Decisions,
        _ => Room::Nothing,
    }
}

/// The disk that a store lies on.
pub(super) struct Space {
    folder: PathBuf,
}

impl Space {
    /// Of the store in `folder`. With `ballast`, some of the disk is kept to be given up when it is full.
    pub(super) fn open(folder: &Path, ballast: bool) -> io::Result<Self> {
        let space = Self { folder: folder.to_owned() };
        let free = space.free()?;
        if free < LOW {
            space.give_up_ballast(free)?;
        } else if ballast && free >= LOW + BALLAST && !space.ballast().exists() {
            space.keep_ballast()?;
        }
        Ok(space)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Bytes that are free to us.
    pub(super) fn free(&self) -> io::Result<u64> {
        let found = statvfs(&self.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// What there is room for; gives up the ballast before it is nothing.
    pub(super) fn room(&self) -> io::Result<Room> {
        let free = self.free()?;
        if room(free) > Room::Nothing || !self.give_up_ballast(free)? {
            return Ok(room(free));
        }
        Ok(room(self.free()?))
    }

    fn keep_ballast(&self) -> io::Result<()> {
        let file = File::create(self.ballast())?;
        match fallocate(&file, FallocateFlags::empty(), 0, BALLAST) {
            Ok(()) => file.sync_all(),
            // A file system that promises no room: ballast would be a file of holes.
            Err(rustix::io::Errno::OPNOTSUPP) => fs::remove_file(self.ballast()),
            Err(why) => {
                fs::remove_file(self.ballast())?;
                Err(why.into())
            }
        }
    }

    /// Whether there was any.
    fn give_up_ballast(&self, free: u64) -> io::Result<bool> {
        match fs::remove_file(self.ballast()) {
            Ok(()) => {
                warn!(free, "the disk is almost full: nobody new is enrolled until there is room");
                Ok(true)
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_refused_before_decisions_and_decisions_before_the_disk_is_full() {
        for (free, expected) in [
            (0, Room::Nothing),
            (LEAST - 1, Room::Nothing),
            (LEAST, Room::Decisions),
            (LOW - 1, Room::Decisions),
            (LOW, Room::Everything),
            (u64::MAX, Room::Everything),
        ] {
            assert_eq!(room(free), expected, "{free}");
        }
    }

    #[test]
    fn ballast_takes_room_and_is_made_only_when_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::open(folder.path(), false).unwrap();
        assert!(!space.ballast().exists());
        let space = Space::open(folder.path(), true).unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(space.ballast()).unwrap());
        assert!(blocks * 512 >= BALLAST);
        assert!(space.give_up_ballast(0).unwrap() && !space.give_up_ballast(0).unwrap());
    }
}
