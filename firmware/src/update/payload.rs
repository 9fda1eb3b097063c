//! Files in a payload: a squashfs in which each image lies in the root folder.
//!
//! The squashfs reader is not ours and sees only bytes that the signer signed: what it would make of
//! a hostile file system is a question for whoever holds the key.

use std::io::{self, Read};

use backhand::{FilesystemReader, InnerNode};

use super::{manifest::Image, verity::Verified};

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// No squashfs.
    #[error("the payload is no squashfs that this box can read: {0}")]
    NotSquashfs(String),
    /// It is not in there.
    #[error("the payload holds no {0}")]
    Missing(String),
    /// It is larger or smaller than the manifest says.
    #[error("{0} in the payload is not of the size that the manifest says")]
    Size(String),
}

/// A payload's files.
pub struct Payload<'a>(FilesystemReader<'a>);

impl<'a> Payload<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`PayloadError::NotSquashfs`].
    pub fn open(verified: Verified<'a>) -> Result<Self, PayloadError> {
        FilesystemReader::from_reader(verified)
            .map(Self)
            .map_err(|why| PayloadError::NotSquashfs(why.to_string()))
    }

    /// An image of the size that the manifest says.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn image<'s>(&'s self, image: &Image) -> Result<impl Read + use<'s, 'a>, PayloadError> {
        let path = std::path::Path::new("/").join(&image.filename);
        let node = self.0.files().find(|node| node.fullpath == path);
        let Some(InnerNode::File(file)) = node.map(|node| &node.inner) else {
            return Err(PayloadError::Missing(image.filename.clone()));
        };
        if file.file_len() as u64 != image.size {
            return Err(PayloadError::Size(image.filename.clone()));
        }
        let reader = self.0.file(file).reader_checked();
        reader.map_err(|why| PayloadError::NotSquashfs(why.to_string()))
    }
}

/// Fills as much of `into` as there is left.
///
/// # Errors
/// What reading says.
pub(super) fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}
