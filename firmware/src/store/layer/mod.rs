//! The files under the journal and the key pages, as a parameter: the real ones, and in tests a disk that loses
//! power, fills up and forgets what was not synchronised.
//!
//! Invariant: nothing is durable before [`LayerFile::sync`], and no name before [`Layer::sync_folder`].

mod real;

#[cfg(test)]
pub(super) mod faulty;

pub(super) use self::real::RealLayer;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file that is written.
pub(super) trait LayerFile: Send {
    /// Writes all of `bytes` at an offset.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where files lie.
pub(super) trait Layer: Send + Sync {
    /// Names in a folder, sorted; none when it is not there.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// A whole file: those of the store are some megabytes at most.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// A new file of zeros, with room on the disk for all of it. One that is there is replaced.
    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn LayerFile>>;

    /// A file that is there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LayerFile>>;

    /// Gives a file another length; what is new is zeros.
    fn set_length(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Makes a folder unless it is there.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// Gives a file or folder another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file that need not be there.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it; it need not be there.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// Shared by all who write.
pub(super) type SharedLayer = Arc<dyn Layer>;

/// Writes over a part of a file and makes that durable.
pub(super) fn overwrite(layer: &dyn Layer, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = layer.open(path)?;
    file.write_at(offset, bytes)?;
    file.sync()
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}
