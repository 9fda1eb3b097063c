//! The journal: the record of every durable fact, in the order in which they became so.
//!
//! Segments are files of a fixed length, filled frame after frame (`frame`, `segment`), each frame chained to all
//! before it. A snapshot takes the place of the segments before a sequence number. What is true is the snapshot,
//! and over it what the segments after it say (`live`).
//!
//! Invariant: what [`Writer::append`] has returned is found again by [`recover`], or its loss is; a frame that
//! was not finished is not taken for one, and one that is damaged is not taken for unfinished.

pub(super) mod entry;
mod frame;
mod live;
mod recover;
mod segment;
mod snapshot;
mod writer;

pub(super) use self::{
    entry::{Entry, KeyRef},
    frame::ChainKey,
    live::{Live, LiveRef, Source, Tail},
    recover::{Recovered, give_up_behind_damage, recover},
    snapshot::take_snapshot,
    writer::Writer,
};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

pub(super) use self::segment::FRAME_OVERHEAD;

use self::{
    frame::Link,
    segment::{FileHead, FileKind},
};
use super::{StoreError, layer::SharedLayer};

/// The store's format since it has a journal.
pub(super) const FORMAT: u32 = 3;

/// How large files are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of a segment.
    pub(super) segment: u64,
    /// Bytes of a part of a snapshot, about.
    pub(super) part: usize,
    /// Bytes of segments that make a snapshot worth while.
    pub(super) snapshot: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment: 8 << 20, part: 16 << 20, snapshot: 32 << 20 }
    }
}

/// The keys of the chains: what is written now, and, while keys are rotated, what was written before.
#[derive(Clone)]
pub(super) struct Chains {
    pub(super) current: Arc<ChainKey>,
    pub(super) earlier: Option<Arc<ChainKey>>,
}

impl Chains {
    fn of(&self, id: [u8; 8]) -> Option<&Arc<ChainKey>> {
        [Some(&self.current), self.earlier.as_ref()].into_iter().flatten().find(|chain| chain.id() == id)
    }
}

/// Where a journal is, and whose.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) layer: SharedLayer,
    pub(super) folder: PathBuf,
    pub(super) appliance: Uuid,
    pub(super) sizes: Sizes,
}

impl Place {
    fn segment(&self, first: u64) -> PathBuf {
        self.folder.join(format!("segment-{first:016x}"))
    }

    fn snapshot(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("snapshot-{sequence:016x}"))
    }

    fn head(&self, kind: FileKind, chain: &ChainKey, first: u64, before: Link) -> FileHead {
        FileHead {
            format: FORMAT,
            kind,
            appliance: self.appliance,
            chain: chain.id(),
            first,
            before,
            length: 0,
            part: 0,
        }
    }

    /// Reads the head of a file, and whether it is ours to read.
    fn check_head(&self, path: &Path, head: &FileHead, kind: FileKind) -> Result<(), StoreError> {
        if head.format > FORMAT {
            return Err(StoreError::Newer { version: head.format });
        }
        if head.appliance != self.appliance {
            return Err(StoreError::Foreign { place: path.to_owned() });
        }
        if head.kind == kind { Ok(()) } else { Err(damaged(path, 0)) }
    }
}

/// The number in a name of ours.
fn number_of(name: &std::ffi::OsStr, prefix: &str) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix(prefix)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn damaged(path: &Path, at: usize) -> StoreError {
    StoreError::Damaged { place: format!("{}, byte {at}", path.display()) }
}

/// The format that the files of a journal say, whatever else is lost; `None` without one.
pub(super) fn format_of(folder: &Path, layer: &SharedLayer) -> Option<u32> {
    let files = layer.list(folder).ok()?;
    let segments = files.iter().filter(|name| number_of(name, "segment-").is_some());
    let formats = segments.filter_map(|name| {
        let mut bytes = layer.read(&folder.join(name)).ok()?;
        FileHead::parse(&mut bytes).map(|(head, _)| head.format)
    });
    formats.max()
}

/// Whether something was written to a journal, readable or not.
pub(super) fn was_begun(folder: &Path, layer: &SharedLayer) -> bool {
    let files = layer.list(folder).unwrap_or_default();
    files.iter().any(|name| {
        let bytes = layer.read(&folder.join(name)).unwrap_or_default();
        number_of(name, "snapshot-").is_some() || bytes.iter().take(segment::FILE_HEAD).any(|byte| *byte != 0)
    })
}

/// A snapshot on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotFiles {
    sequence: u64,
    parts: Vec<PathBuf>,
    bytes: u64,
    /// The link of the frame whose sequence number it has.
    link: Link,
}

/// A segment on the disk, as far as it is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    path: PathBuf,
    first: u64,
    end: u64,
}

/// What is on the disk at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    snapshot: Option<SnapshotFiles>,
    segments: Vec<SegmentFile>,
}

impl Extent {
    /// Bytes of the snapshot, and of what came after it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let tail = self.segments.iter().map(|segment| segment.end).sum();
        (self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes), tail)
    }

    /// The snapshot alone.
    pub(super) fn without_segments(&self) -> Self {
        Self { snapshot: self.snapshot.clone(), segments: Vec::new() }
    }

    /// Sequence number of the snapshot.
    pub(super) fn snapshot_at(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence)
    }
}
