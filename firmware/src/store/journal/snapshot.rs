//! Snapshots: every value that is true after a sequence number, in parts of some megabytes.
//!
//! Invariant: a folder with a snapshot's name holds a whole one. It is made under another name, beside those who
//! write, from files that do not change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Chains, Entry, Extent, Place, SnapshotFiles, Source, Tail, damaged, entry,
    frame::{ChainKey, Link},
    number_of,
    segment::{self, FILE_HEAD, FileHead, FileKind, Written},
};
use crate::store::{StoreError, Table, io_error};

/// Bytes of a frame's payload, about.
const FRAME: usize = 64 << 10;
/// What a snapshot is called while it is made.
const UNFINISHED: &str = ".part";

/// Removes what was not finished.
pub(super) fn remove_leftovers(place: &Place) -> Result<(), StoreError> {
    let fails = |why: io::Error| io_error(&why);
    for name in place.layer.list(&place.folder).map_err(fails)? {
        if name.to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
            place.layer.remove_folder(&place.folder.join(name)).map_err(fails)?;
        }
    }
    Ok(())
}

/// The newest snapshot; those before it are removed.
pub(super) fn newest(place: &Place, chains: &Chains) -> Result<Option<SnapshotFiles>, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let names = place.layer.list(&place.folder).map_err(fails)?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| number_of(name, "snapshot-")).collect();
    sequences.sort_unstable();
    let Some(sequence) = sequences.pop() else { return Ok(None) };
    for before in sequences {
        place.layer.remove_folder(&place.snapshot(before)).map_err(fails)?;
    }
    let folder = place.snapshot(sequence);
    let parts = place.layer.list(&folder).map_err(fails)?;
    let parts: Vec<PathBuf> = parts.iter().map(|name| folder.join(name)).collect();
    let first = parts.first().ok_or_else(|| damaged(&folder, 0))?;
    let mut bytes = place.layer.read(first).map_err(fails)?;
    let (head, _) = FileHead::parse(&mut bytes).ok_or_else(|| damaged(first, 0))?;
    place.check_head(first, &head, FileKind::Part)?;
    chains.of(head.chain).ok_or_else(|| StoreError::Foreign { place: first.clone() })?;
    if head.first != sequence {
        return Err(damaged(first, 0));
    }
    // About: parts are of one size, and the last is smaller.
    let bytes = bytes.len() as u64 * parts.len() as u64;
    Ok(Some(SnapshotFiles { sequence, parts, bytes, link: head.before }))
}

/// Writes what is true after the last segment of an extent, all of whose files are sealed. `told` is told how many
/// values were written.
///
/// # Errors
/// [`StoreError`]; then there is no snapshot.
pub(in crate::store) fn take_snapshot(
    source: &Source<'_>,
    chain: &Arc<ChainKey>,
    sequence: u64,
    before: Link,
    told: &(dyn Fn(u64) + Sync),
) -> Result<SnapshotFiles, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let place = source.place;
    let folder = place.folder.join(format!("snapshot-{sequence:016x}{UNFINISHED}"));
    place.layer.remove_folder(&folder).map_err(fails)?;
    place.layer.create_folder(&folder).map_err(fails)?;
    let tail: Tail = source.tail()?;
    let parts = Mutex::new(Parts::new(place, chain, folder.clone(), sequence, before));
    let written = source.live(&tail, &Table::ALL, &|page| {
        let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
        for live in &page {
            parts.put(live.table, &live.key, &live.sealed)?;
        }
        told(parts.entries);
        Ok(())
    });
    let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let finished = written.and_then(|()| parts.finish(sequence));
    let named = finished.and_then(|(count, bytes)| {
        let name = place.snapshot(sequence);
        place.layer.sync_folder(&folder).map_err(fails)?;
        place.layer.rename(&folder, &name).map_err(fails)?;
        place.layer.sync_folder(&place.folder).map_err(fails)?;
        let parts = (0..count).map(|part| part_path(&name, part)).collect();
        Ok(SnapshotFiles { sequence, parts, bytes, link: before })
    });
    if named.is_err() {
        // It takes room, and is worth nothing.
        let _ = place.layer.remove_folder(&folder);
    }
    named
}

fn part_path(folder: &Path, part: u32) -> PathBuf {
    folder.join(format!("part-{part:08x}"))
}

/// The parts while they are written.
struct Parts<'a> {
    place: &'a Place,
    chain: &'a ChainKey,
    folder: PathBuf,
    sequence: u64,
    link: Link,
    part: u32,
    entries: u64,
    written: u64,
    /// Frames of this part.
    bytes: Vec<u8>,
    /// The payload of the next frame.
    payload: Vec<u8>,
    /// A part's head says its length, which is known at its end: frames are chained to it then.
    frames: Vec<Vec<u8>>,
}

impl<'a> Parts<'a> {
    fn new(place: &'a Place, chain: &'a ChainKey, folder: PathBuf, sequence: u64, before: Link) -> Self {
        Self {
            place,
            chain,
            folder,
            sequence,
            link: before,
            part: 0,
            entries: 0,
            written: 0,
            bytes: Vec::new(),
            payload: Vec::new(),
            frames: Vec::new(),
        }
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let written = entry::write(&mut self.payload, &Entry::Put { table, key, value });
        written.map_err(|_| StoreError::Io("a key is too long".to_owned()))?;
        self.entries += 1;
        if self.payload.len() >= FRAME.min(self.place.sizes.part) {
            self.frames.push(std::mem::take(&mut self.payload));
            if self.length() >= self.place.sizes.part {
                self.end_part(Written::Sealed { sequence: self.sequence }, &[])?;
            }
        }
        Ok(())
    }

    /// Bytes of the frames so far.
    fn length(&self) -> usize {
        self.frames.iter().map(|payload| payload.len() + segment::FRAME_OVERHEAD).sum()
    }

    fn end_part(&mut self, ending: Written, last: &[u8]) -> Result<(), StoreError> {
        let length = FILE_HEAD + self.length() + segment::FRAME_OVERHEAD + last.len();
        let head = FileHead {
            length: length as u64,
            part: self.part,
            ..self.place.head(FileKind::Part, self.chain, self.sequence, self.link)
        };
        self.bytes.clear();
        self.bytes.extend(head.to_bytes());
        let mut link = head.link(self.chain);
        for payload in self.frames.drain(..) {
            let what = Written::Held { sequence: self.sequence };
            link = segment::put(&mut self.bytes, self.chain, &link, what, &payload);
        }
        self.link = segment::put(&mut self.bytes, self.chain, &link, ending, last);
        let path = part_path(&self.folder, self.part);
        let written = self.place.layer.create(&path, length as u64).and_then(|mut file| {
            file.write_at(0, &self.bytes)?;
            file.sync()
        });
        written.map_err(|why| io_error(&why))?;
        self.written += length as u64;
        self.part += 1;
        Ok(())
    }

    /// Ends the last part. Gives the number of parts, and their bytes.
    fn finish(mut self, sequence: u64) -> Result<(u32, u64), StoreError> {
        if !self.payload.is_empty() {
            self.frames.push(std::mem::take(&mut self.payload));
        }
        let entries = self.entries.to_be_bytes();
        self.end_part(Written::End { sequence }, &entries)?;
        Ok((self.part, self.written))
    }
}

impl Extent {
    /// Those files of it that are sealed: all but the last.
    pub(in crate::store) fn sealed(mut self) -> Self {
        self.segments.pop();
        self
    }
}
