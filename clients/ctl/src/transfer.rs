//! Files on their way to the box and from it: in pieces, with a bar that says how far they are.
//!
//! Invariant: a file that came from the box has its name only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::CtlError;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// A bar for so many bytes, or for bytes without a known end.
pub(crate) fn bar(what: &'static str, all: Option<u64>) -> ProgressBar {
    let bar = match all {
        Some(all) => ProgressBar::new(all).with_style(bytes_of_all()),
        None => {
            ProgressBar::new_spinner().with_style(style("{msg} {spinner} {bytes} {binary_bytes_per_sec}"))
        }
    };
    bar.set_message(what);
    bar
}

/// Says that the box works, and for how long it has.
pub(crate) fn waiting(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(style("{msg} {spinner} {elapsed}"));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// How a bar looks whose end is known.
pub(crate) fn bytes_of_all() -> ProgressStyle {
    style("{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn bad(path: &Path) -> impl Fn(io::Error) -> CtlError {
    move |error| CtlError::File { path: path.to_path_buf(), reason: error.to_string() }
}

/// A file as the body of a request.
pub(crate) struct Upload {
    file: File,
    left: u64,
    bar: ProgressBar,
}

impl Upload {
    /// Of the file at `path`.
    pub(crate) fn open(path: &Path, what: &'static str) -> Result<Self, CtlError> {
        let file = File::open(path).map_err(bad(path))?;
        let about = file.metadata().map_err(bad(path))?;
        if !about.is_file() {
            return Err(bad(path)(io::Error::other("not a file")));
        }
        Ok(Self { file, left: about.len(), bar: bar(what, Some(about.len())) })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            self.bar.finish_and_clear();
            return Poll::Ready(None);
        }
        // Nothing else runs on this thread that a disk could hold up.
        let mut piece = vec![0; PIECE.min(usize::try_from(self.left).unwrap_or(PIECE))];
        let read = self.file.read_exact(&mut piece);
        self.left -= piece.len() as u64;
        self.bar.inc(piece.len() as u64);
        Poll::Ready(Some(read.map(|()| Frame::data(Bytes::from(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A file that comes from the box.
pub(crate) struct Download {
    path: PathBuf,
    part: PathBuf,
    file: File,
    kept: bool,
}

impl Download {
    /// To `path`, which must not be there unless it may be replaced. Only its owner can read it.
    pub(crate) fn create(path: &Path, replace: bool) -> Result<Self, CtlError> {
        if !replace && path.exists() {
            let reason = "it is there already: another name, or --force".to_owned();
            return Err(CtlError::File { path: path.to_path_buf(), reason });
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = opened.map_err(bad(path))?;
        Ok(Self { path: path.to_path_buf(), part, file, kept: false })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CtlError> {
        self.file.write_all(bytes).map_err(bad(&self.path))
    }

    /// Where it lies until it is whole.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// Gives it its name, durably.
    pub(crate) fn keep(mut self) -> Result<(), CtlError> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        kept.and_then(|()| File::open(folder)?.sync_all()).map_err(bad(&self.path))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if !self.kept {
            // What is left of it is worth nothing, and says so by its name.
            let _ = fs::remove_file(&self.part);
        }
    }
}
