//! A folder of our own, for what `kinit` reads of files.
//!
//! Invariant: nobody but its owner looks in, whatever the umask is, and it goes with the value.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::LoginError;

/// The folder.
pub(crate) struct Private(PathBuf);

impl Private {
    /// Beside what else the system keeps of who runs this; or where everybody has such things, when that is somebody else's.
    pub(crate) fn make() -> Result<Self, LoginError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let made = runtime.and_then(|folder| Self::below(&folder).ok());
        made.map_or_else(|| Self::below(&std::env::temp_dir()), Ok)
    }

    fn below(folder: &Path) -> Result<Self, LoginError> {
        let folder = folder.join(format!("authenteon-{}", Uuid::new_v4()));
        let failed = |why: io::Error| LoginError::Private { path: folder.clone(), why };
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self(folder))
    }

    /// A file in it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, LoginError> {
        let path = self.0.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|why| LoginError::Private { path: path.clone(), why })?;
        Ok(path)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Nothing is to be done about one that stays: the certificate in it is over in minutes.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_its_owner_s_alone_and_gone_after() {
        let private = Private::make().unwrap();
        let file = private.write("key.pem", "secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&private.0), mode(&file)), (0o700, 0o600));
        let folder = private.0.clone();
        drop(private);
        assert!(!folder.exists());
    }
}
