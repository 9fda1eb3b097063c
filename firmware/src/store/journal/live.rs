//! What is true at a moment: the snapshot, and over it what the segments after it say.
//!
//! Read from files that do not change any more, so nobody who writes waits for it; on all cores, so in no order.

use std::{
    collections::HashMap,
    panic::resume_unwind,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, available_parallelism},
};

use super::{
    Chains, Entry, Extent, Place, damaged, entry,
    frame::Link,
    recover,
    segment::{Ending, FileHead, FileKind, walk},
};
use crate::store::{StoreError, Table, io_error, journal::KeyRef, layer::overwrite};

/// Entries that are given at a time.
const PAGE: usize = 4096;

/// A value that is true at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Live {
    pub(in crate::store) table: Table,
    pub(in crate::store) key: Vec<u8>,
    pub(in crate::store) sealed: Vec<u8>,
}

/// Which change was the last one of a key: the frame, and the entry in it.
type Change = (u64, u32);

/// What the segments say, one thing for each key: where it was last changed.
#[derive(Default)]
pub(in crate::store) struct Tail {
    touched: HashMap<(Table, Box<[u8]>), Change>,
    /// Keys that were to be destroyed, with the generations that their pages had before.
    pub(in crate::store) forgotten: Vec<(KeyRef, u64)>,
}

impl Tail {
    /// Takes in a frame that comes after those before.
    pub(super) fn take(&mut self, sequence: u64, payload: &[u8]) -> Result<(), ()> {
        for (index, entry) in (0..).zip(entry::read(payload)) {
            match entry.ok_or(())? {
                Entry::Put { table, key, .. } | Entry::Delete { table, key } => {
                    self.touched.insert((table, key.into()), (sequence, index));
                }
                Entry::Forget { key, generation } => self.forgotten.push((key, generation)),
            }
        }
        Ok(())
    }

    fn last_change(&self, table: Table, key: &[u8]) -> Option<Change> {
        // A map of owned keys is asked with one.
        self.touched.get(&(table, Box::from(key))).copied()
    }
}

/// Where live values are read from.
pub(in crate::store) struct Source<'a> {
    pub(in crate::store) place: &'a Place,
    pub(in crate::store) chains: &'a Chains,
    pub(in crate::store) extent: &'a Extent,
}

/// Takes pages of live values, from several threads.
pub(in crate::store) type Sink<'a> = &'a (dyn Fn(Vec<Live>) -> Result<(), StoreError> + Sync);

/// A page that is being filled.
struct Page<'a> {
    sink: Sink<'a>,
    values: Vec<Live>,
}

impl Page<'_> {
    fn put(&mut self, table: Table, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        self.values.push(Live { table, key: key.to_vec(), sealed: sealed.to_vec() });
        if self.values.len() < PAGE { Ok(()) } else { self.give() }
    }

    fn give(&mut self) -> Result<(), StoreError> {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() { Ok(()) } else { (self.sink)(values) }
    }
}

/// What a part of the snapshot was found to be.
struct PartEnd {
    before: Link,
    after: Link,
    ending: Ending,
    entries: u64,
}

impl Source<'_> {
    /// What the segments say, read again.
    pub(in crate::store) fn tail(&self) -> Result<Tail, StoreError> {
        recover::reread(self.place, self.chains, self.extent)
    }

    /// Gives every value of some tables that is true, in no order.
    ///
    /// # Errors
    /// [`StoreError`], also one of `sink`.
    pub(in crate::store) fn live(
        &self,
        tail: &Tail,
        tables: &[Table],
        sink: Sink<'_>,
    ) -> Result<(), StoreError> {
        let parts = self.extent.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.parts);
        let files = parts.len() + self.extent.segments.len();
        let ends: Mutex<Vec<Option<PartEnd>>> = Mutex::new(parts.iter().map(|_| None).collect());
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), StoreError> {
            let mut page = Page { sink, values: Vec::new() };
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if let Some(part) = parts.get(index) {
                    let end = self.part(part, index, tail, tables, &mut page)?;
                    if let Some(place) = ends.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                        *place = Some(end);
                    }
                } else if let Some(segment) = self.extent.segments.get(index - parts.len()) {
                    self.segment(segment, tail, tables, &mut page)?;
                } else {
                    return page.give();
                }
            }
        };
        let threads = available_parallelism().map_or(1, usize::from).min(files);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                let other = other.join().unwrap_or_else(|why| resume_unwind(why));
                done = done.and(other);
            }
            done
        })?;
        self.check_parts(&ends.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn segment(
        &self,
        segment: &super::SegmentFile,
        tail: &Tail,
        tables: &[Table],
        page: &mut Page<'_>,
    ) -> Result<(), StoreError> {
        recover::each(self.place, self.chains, segment, &mut |sequence, payload| {
            for (index, entry) in (0..).zip(entry::read(payload)) {
                let Some(entry) = entry else { return Err(damaged(&segment.path, 0)) };
                if let Entry::Put { table, key, value } = entry
                    && tables.contains(&table)
                    && tail.last_change(table, key) == Some((sequence, index))
                {
                    page.put(table, key, value)?;
                }
            }
            Ok(())
        })
    }

    fn part(
        &self,
        path: &Path,
        index: usize,
        tail: &Tail,
        tables: &[Table],
        page: &mut Page<'_>,
    ) -> Result<PartEnd, StoreError> {
        let mut bytes = self.place.layer.read(path).map_err(|why| io_error(&why))?;
        let length = bytes.len();
        let (head, mended) = FileHead::parse(&mut bytes).ok_or_else(|| damaged(path, 0))?;
        self.place.check_head(path, &head, FileKind::Part)?;
        let chain =
            self.chains.of(head.chain).ok_or_else(|| StoreError::Foreign { place: path.to_owned() })?;
        let here = head.length == length as u64
            && usize::try_from(head.part) == Ok(index)
            && head.first == self.extent.snapshot_at();
        if !here {
            return Err(damaged(path, length));
        }
        let mut entries = 0;
        let walked = walk(&mut bytes, &head, chain, &mut |_, payload| {
            for entry in entry::read(payload) {
                let Some(Entry::Put { table, key, value }) = entry else { return Err(damaged(path, 0)) };
                entries += 1;
                if tables.contains(&table) && tail.last_change(table, key).is_none() {
                    page.put(table, key, value)?;
                }
            }
            Ok(())
        })?;
        if !matches!(walked.ending, Ending::Sealed | Ending::Snapshot(_)) || walked.end != length {
            return Err(damaged(path, walked.end));
        }
        if mended || walked.repaired {
            tracing::warn!(file = %path.display(), "a wrong bit was found and put right");
            overwrite(self.place.layer.as_ref(), path, 0, &bytes).map_err(|why| io_error(&why))?;
        }
        Ok(PartEnd { before: head.before, after: walked.link, ending: walked.ending, entries })
    }

    /// Whether the parts are those that were written, one after the other, and all of them.
    fn check_parts(&self, ends: &[Option<PartEnd>]) -> Result<(), StoreError> {
        let Some(snapshot) = &self.extent.snapshot else { return Ok(()) };
        let (mut link, mut entries) = (snapshot.link, 0);
        for (index, (end, path)) in ends.iter().zip(&snapshot.parts).enumerate() {
            let end = end.as_ref().filter(|end| end.before == link).ok_or_else(|| damaged(path, 0))?;
            entries += end.entries;
            link = end.after;
            let ends_here = index + 1 == snapshot.parts.len();
            let right = match end.ending {
                Ending::Snapshot(count) => ends_here && count == entries,
                _ => !ends_here,
            };
            if !right {
                return Err(damaged(path, 0));
            }
        }
        Ok(())
    }
}
