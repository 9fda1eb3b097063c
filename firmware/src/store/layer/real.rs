//! The files of the machine.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FallocateFlags, fallocate};

use super::{Layer, LayerFile};

/// The file system.
pub(in crate::store) struct RealLayer;

impl LayerFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

fn absent_is_none<T: Default>(done: io::Result<T>) -> io::Result<T> {
    match done {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        done => done,
    }
}

impl Layer for RealLayer {
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let names = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = absent_is_none(names)?;
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn LayerFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, length) {
            Ok(()) => {}
            // A file system that promises no room.
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(length)?,
            Err(why) => {
                // What is there of it is worth nothing.
                let _ = fs::remove_file(path);
                return Err(why.into());
            }
        }
        file.sync_all()?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LayerFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn set_length(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_file(path))
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_dir_all(folder))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
