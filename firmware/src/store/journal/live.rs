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
    Chains, Entry, Extent, Place, SegmentFile, damaged, entry,
    frame::Link,
    recover,
    segment::{Ending, FileHead, FileKind, walk},
};
use crate::store::{StoreError, Table, io_error, journal::KeyRef, layer::overwrite, value};

/// Entries that are given at a time.
const PAGE: usize = 4096;

/// A value that is true at the moment, sealed, where it was read.
#[derive(Clone, Copy)]
pub(in crate::store) struct LiveRef<'a> {
    pub(in crate::store) table: Table,
    pub(in crate::store) key: &'a [u8],
    pub(in crate::store) sealed: &'a [u8],
}

impl LiveRef<'_> {
    /// To be kept.
    pub(in crate::store) fn to_live(self) -> Live {
        Live { table: self.table, key: self.key.to_vec(), sealed: self.sealed.to_vec() }
    }
}

/// The same, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Live {
    pub(in crate::store) table: Table,
    pub(in crate::store) key: Vec<u8>,
    pub(in crate::store) sealed: Vec<u8>,
}

/// What changed a key last.
#[derive(Clone, Copy)]
struct Change {
    /// The frame.
    sequence: u64,
    /// The entry in it.
    index: u32,
    what: What,
}

/// What it did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It put a value, whose key is there, as far as the value says so.
    Put(Option<KeyRef>),
    Removed,
}

/// What a file says, in order.
#[derive(Default)]
pub(super) struct Changes {
    of_keys: Vec<(Table, Box<[u8]>, Change)>,
    forgotten: Vec<(KeyRef, u64)>,
}

impl Changes {
    /// Takes in a frame that comes after those before.
    pub(super) fn take(&mut self, file: &Path, sequence: u64, payload: &[u8]) -> Result<(), StoreError> {
        for (index, entry) in (0..).zip(entry::read(payload)) {
            let (table, key, what) = match entry.ok_or_else(|| damaged(file, 0))? {
                // What is no value does not matter before it is known that none takes its place.
                Entry::Put { table, key, value } => {
                    (table, key, What::Put(value::key_of((table, key), value).ok()))
                }
                Entry::Delete { table, key } => (table, key, What::Removed),
                Entry::Forget { key, generation } => {
                    self.forgotten.push((key, generation));
                    continue;
                }
            };
            self.of_keys.push((table, key.into(), Change { sequence, index, what }));
        }
        Ok(())
    }
}

/// What the segments say, one thing for each key: where it was last changed.
pub(in crate::store) struct Tail {
    /// By table.
    touched: [HashMap<Box<[u8]>, Change>; Table::ALL.len()],
    /// Keys that were to be destroyed, with the generations that their pages had before.
    pub(in crate::store) forgotten: Vec<(KeyRef, u64)>,
}

impl Default for Tail {
    fn default() -> Self {
        Self { touched: std::array::from_fn(|_| HashMap::new()), forgotten: Vec::new() }
    }
}

impl Tail {
    /// Takes in what the next file says.
    pub(super) fn apply(&mut self, changes: Changes) {
        for (table, key, change) in changes.of_keys {
            self.touched[table.place()].insert(key, change);
        }
        self.forgotten.extend(changes.forgotten);
    }

    fn last_change(&self, table: Table, key: &[u8]) -> Option<&Change> {
        self.touched[table.place()].get(key)
    }

    /// The values that it says are true: of which table, under which keys, and where the keys are that they are sealed with, as
    /// far as they say so.
    pub(in crate::store) fn puts(&self) -> impl Iterator<Item = (Table, &[u8], Option<KeyRef>)> {
        Table::ALL.into_iter().flat_map(|table| {
            let touched = &self.touched[table.place()];
            touched.iter().filter_map(move |(key, change)| match change.what {
                What::Put(at) => Some((table, &**key, at)),
                What::Removed => None,
            })
        })
    }

    /// The last key of a table that it says has a value.
    pub(in crate::store) fn last_put(&self, table: Table) -> Option<&[u8]> {
        let puts = self.touched[table.place()].iter().filter(|(_, change)| change.what != What::Removed);
        puts.map(|(key, _)| &**key).max()
    }
}

/// Where live values are read from.
pub(in crate::store) struct Source<'a> {
    pub(in crate::store) place: &'a Place,
    pub(in crate::store) chains: &'a Chains,
    pub(in crate::store) extent: &'a Extent,
}

/// Looks at a live value, sealed, on one of several threads, each of which has a state of its own.
pub(in crate::store) type Look<'a, S> = &'a (dyn Fn(&mut S, LiveRef<'_>) -> Result<(), StoreError> + Sync);

/// Takes pages of live values, from several threads.
pub(in crate::store) type Sink<'a> = &'a (dyn Fn(Vec<Live>) -> Result<(), StoreError> + Sync);

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

    /// The value that the segments say a key has; none when they do not say so.
    pub(in crate::store) fn of_segments(
        &self,
        tail: &Tail,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Live>, StoreError> {
        let Some(change) = tail.last_change(table, key) else { return Ok(None) };
        let after = self.extent.segments.partition_point(|segment| segment.first <= change.sequence);
        let Some(segment) = self.extent.segments[..after].last() else { return Ok(None) };
        let mut found = None;
        self.segment(segment, (tail, &[table]), &mut |live| {
            if live.key == key {
                found = Some(live.to_live());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Gives every value of some tables that is true, in pages, in no order.
    ///
    /// # Errors
    /// [`StoreError`], also one of `sink`.
    pub(in crate::store) fn live(
        &self,
        tail: &Tail,
        tables: &[Table],
        sink: Sink<'_>,
    ) -> Result<(), StoreError> {
        let rest = self.look_at_all(tail, tables, &|page: &mut Vec<Live>, live| {
            page.push(live.to_live());
            if page.len() < PAGE { Ok(()) } else { sink(std::mem::take(page)) }
        })?;
        rest.into_iter().filter(|page| !page.is_empty()).try_for_each(sink)
    }

    /// Looks at every value of some tables that is true, in no order. Gives the states of the threads.
    ///
    /// # Errors
    /// [`StoreError`], also one of `look`.
    pub(in crate::store) fn look_at_all<S: Default + Send>(
        &self,
        tail: &Tail,
        tables: &[Table],
        look: Look<'_, S>,
    ) -> Result<Vec<S>, StoreError> {
        let segments = &self.extent.segments;
        let parts = self.extent.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.parts);
        let files = parts.len() + segments.len();
        let ends: Mutex<Vec<Option<PartEnd>>> = Mutex::new(parts.iter().map(|_| None).collect());
        let next = AtomicUsize::new(0);
        let work = || -> Result<S, StoreError> {
            let mut state = S::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if let Some(part) = parts.get(index) {
                    let end = self.part(part, index, &mut |live| {
                        let wanted =
                            tables.contains(&live.table) && tail.last_change(live.table, live.key).is_none();
                        if wanted { look(&mut state, live) } else { Ok(()) }
                    })?;
                    if let Some(place) = ends.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                        *place = Some(end);
                    }
                } else if let Some(segment) = segments.get(index - parts.len()) {
                    self.segment(segment, (tail, tables), &mut |live| look(&mut state, live))?;
                } else {
                    return Ok(state);
                }
            }
        };
        let threads = available_parallelism().map_or(1, usize::from).min(files);
        let states = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut states = vec![work()];
            states.extend(
                others.into_iter().map(|other| other.join().unwrap_or_else(|why| resume_unwind(why))),
            );
            states.into_iter().collect::<Result<Vec<S>, StoreError>>()
        })?;
        self.check_parts(&ends.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        Ok(states)
    }

    fn segment(
        &self,
        segment: &SegmentFile,
        (tail, tables): (&Tail, &[Table]),
        look: &mut dyn FnMut(LiveRef<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        recover::each(self.place, self.chains, segment, &mut |sequence, payload| {
            for (index, entry) in (0..).zip(entry::read(payload)) {
                let Some(entry) = entry else { return Err(damaged(&segment.path, 0)) };
                if let Entry::Put { table, key, value: sealed } = entry
                    && tables.contains(&table)
                    && let Some(last) = tail.last_change(table, key)
                    && (last.sequence, last.index) == (sequence, index)
                {
                    look(LiveRef { table, key, sealed })?;
                }
            }
            Ok(())
        })
    }

    fn part(
        &self,
        path: &Path,
        index: usize,
        look: &mut dyn FnMut(LiveRef<'_>) -> Result<(), StoreError>,
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
                let Some(Entry::Put { table, key, value: sealed }) = entry else {
                    return Err(damaged(path, 0));
                };
                entries += 1;
                look(LiveRef { table, key, sealed })?;
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
