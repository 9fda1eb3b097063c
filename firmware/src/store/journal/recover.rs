//! From the files that are found to a journal that is written on.
//!
//! What was not finished when the power went is cleared away. What is damaged is put right where a single bit is
//! wrong, and refused, with its place, where more is: never taken for something that was not finished.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use tracing::warn;

use super::{
    Chains, Extent, Place, SegmentFile, Tail, Writer, damaged,
    frame::{ChainKey, Link, proves_durable},
    live::Changes,
    number_of,
    segment::{self, Each, Ending, FILE_HEAD, FileHead, FileKind, Walked, walk},
    snapshot,
    writer::{Open, seal},
};
use crate::store::{
    StoreError, io_error,
    layer::{Layer, overwrite},
};

/// Bytes behind the last frame that must be there, and empty, to say that nothing was cut off.
const GAP: usize = 4;

/// A journal that was found.
pub(in crate::store) struct Recovered {
    /// Goes on writing it.
    pub(in crate::store) writer: Writer,
    /// What its segments say.
    pub(in crate::store) tail: Tail,
}

/// A segment whose head was read.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Of the file as it was found.
    found: usize,
    head: FileHead,
    repaired: bool,
}

impl Segment {
    /// Nothing was written to it but its head.
    fn is_empty(&self) -> bool {
        self.bytes.iter().skip(FILE_HEAD).all(|byte| *byte == 0)
    }
}

/// Reads the journal of a store that has one.
///
/// # Errors
/// [`StoreError::Damaged`] with the place; [`StoreError::Foreign`], [`StoreError::Newer`].
pub(in crate::store) fn recover(place: &Place, chains: &Chains) -> Result<Recovered, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let layer = place.layer.as_ref();
    snapshot::remove_leftovers(place)?;
    let snapshot = snapshot::newest(place, chains)?;
    let (next, link) = snapshot.as_ref().map_or((1, Link::default()), |s| (s.sequence + 1, s.link));
    let names = layer.list(&place.folder).map_err(fails)?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| number_of(name, "segment-")).collect();
    firsts.sort_unstable();
    // Those that the snapshot has taken the place of.
    let stale = firsts.iter().take_while(|first| **first < next).count();
    if firsts.len() > stale {
        for first in firsts.drain(..stale) {
            layer.remove(&place.segment(first)).map_err(fails)?;
        }
    }
    let mut found =
        Found { tail: Tail::default(), extent: Extent { snapshot, segments: Vec::new() }, open: None };
    // Reading and checking a file takes about as long as taking in what the one before says.
    thread::scope(|scope| {
        // One at a time, which the other thread holds: each is megabytes.
        let (read, ahead) = sync_channel(0);
        let files = &firsts;
        scope.spawn(move || {
            for first in files {
                if read.send(read_changes(place, chains, &place.segment(*first))).is_err() {
                    return;
                }
            }
        });
        follow(place, chains, &firsts, (next, link), &ahead, &mut found)
    })?;
    let Found { tail, extent, open } = found;
    let nothing = || damaged(&place.folder.join("segment"), 0);
    let (last, walked) = open.ok_or_else(nothing)?;
    finish(layer, &last, &walked)?;
    let file = layer.open(&last.path).map_err(fails)?;
    let open = Open { file, length: last.head.length, before: last.head.before };
    let chain = Arc::clone(chain_of(chains, &last)?);
    let mut writer = Writer::at(place.clone(), chain, open, extent, walked.last, walked.link);
    if last.head.chain != chains.current.id() {
        // Keys were being rotated.
        writer.rotate(Arc::clone(&chains.current))?;
    }
    Ok(Recovered { writer, tail })
}

/// What the segments were found to be, as far as they were read.
struct Found {
    tail: Tail,
    extent: Extent,
    /// The last one.
    open: Option<(Segment, Walked)>,
}

/// Follows the chain from segment to segment, whose files are read `ahead`, after the change before `next`, which had the
/// `link`.
fn follow(
    place: &Place,
    chains: &Chains,
    firsts: &[u64],
    (mut next, mut link): (u64, Link),
    ahead: &Receiver<Result<Option<Read>, StoreError>>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let layer = place.layer.as_ref();
    let Found { tail, extent, open } = found;
    for (index, first) in firsts.iter().enumerate() {
        let is_last = index + 1 == firsts.len();
        let path = place.segment(*first);
        // Whoever reads gives one for each.
        let Ok(read) = ahead.recv() else { return Err(damaged(&path, 0)) };
        let Some(Read { segment, walked, changes }) = read? else {
            // It was being made when the power went, and nothing was written to it: the one before is not sealed.
            let unused = open.as_ref().is_some_and(|(_, walked)| walked.ending != Ending::Sealed);
            if is_last && unused {
                layer.remove(&path).map_err(fails)?;
                layer.sync_folder(&place.folder).map_err(fails)?;
                break;
            }
            return Err(damaged(&path, 0));
        };
        if let Some((before, walked)) = open.take() {
            // A file that follows, and the seal that was not written any more.
            if walked.ending != Ending::Sealed {
                let chain = chain_of(chains, &before)?;
                let (sealing, sealed) = seal(chain, &walked.link, walked.last);
                let unused = is_last && segment.head.first <= walked.last + 1 && segment.is_empty();
                let follows = segment.head.first == walked.last + 1 && segment.head.before == sealed;
                if unused && !follows {
                    // It was made and given up, and the one before was written on.
                    layer.remove(&segment.path).map_err(fails)?;
                    layer.sync_folder(&place.folder).map_err(fails)?;
                    *open = Some((before, walked));
                    break;
                }
                if !unused {
                    return Err(damaged(&before.path, walked.end));
                }
                overwrite(layer, &before.path, walked.end as u64, &sealing).map_err(fails)?;
                link = sealed;
                if let Some(file) = extent.segments.last_mut() {
                    file.end += sealing.len() as u64;
                }
            }
        }
        if segment.head.first != next || segment.head.before != link {
            return Err(damaged(&segment.path, 0));
        }
        tail.apply(changes);
        if segment.repaired || walked.repaired {
            heal(layer, &segment)?;
        }
        next = walked.last + 1;
        link = walked.link;
        extent.segments.push(SegmentFile { path, first: *first, end: walked.end as u64 });
        *open = Some((segment, walked));
    }
    Ok(())
}

/// A segment that was read to its end.
struct Read {
    segment: Segment,
    walked: Walked,
    changes: Changes,
}

/// Reads a segment and what it says; `None` when it has no head that can be read.
fn read_changes(place: &Place, chains: &Chains, path: &Path) -> Result<Option<Read>, StoreError> {
    let Some(mut segment) = read(place, chains, path)? else { return Ok(None) };
    let chain = chain_of(chains, &segment)?;
    let mut changes = Changes::default();
    let Segment { bytes, head, .. } = &mut segment;
    let walked = walk(bytes, head, chain, &mut |sequence, payload| changes.take(path, sequence, payload))?;
    Ok(Some(Read { segment, walked, changes }))
}

/// Reads a segment and its head; `None` when it has no head that can be read.
fn read(place: &Place, chains: &Chains, path: &Path) -> Result<Option<Segment>, StoreError> {
    let mut bytes = place.layer.read(path).map_err(|why| io_error(&why))?;
    let found = bytes.len();
    let Some((head, repaired)) = FileHead::parse(&mut bytes) else { return Ok(None) };
    place.check_head(path, &head, FileKind::Segment)?;
    // The last frame has always room for a mark behind it, and a head says no length that was not there once.
    let length = usize::try_from(head.length).ok().filter(|length| *length >= found && *length < 1 << 30);
    bytes.resize(length.ok_or_else(|| damaged(path, found))?, 0);
    chains.of(head.chain).ok_or_else(|| StoreError::Foreign { place: path.to_owned() })?;
    Ok(Some(Segment { path: path.to_owned(), bytes, found, head, repaired }))
}

fn chain_of<'a>(chains: &'a Chains, segment: &Segment) -> Result<&'a Arc<ChainKey>, StoreError> {
    chains.of(segment.head.chain).ok_or_else(|| StoreError::Foreign { place: segment.path.clone() })
}

/// Writes back what was put right.
fn heal(layer: &dyn Layer, segment: &Segment) -> Result<(), StoreError> {
    warn!(file = %segment.path.display(), "a wrong bit was found and put right");
    let there = segment.bytes.get(..segment.found).unwrap_or_default();
    overwrite(layer, &segment.path, 0, there).map_err(|why| io_error(&why))
}

/// Looks at what is behind the last frame of the last file, and clears it away.
fn finish(layer: &dyn Layer, last: &Segment, walked: &Walked) -> Result<(), StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let lost = || Err(damaged(&last.path, walked.end));
    if walked.ending == Ending::Sealed {
        // The file after it is missing.
        return lost();
    }
    if proves_durable(&last.bytes, walked.end, walked.last + 1) {
        return lost();
    }
    let behind = last.bytes.get(walked.end..).unwrap_or_default();
    if last.found < last.bytes.len() {
        let there = last.found.saturating_sub(walked.end);
        let empty = there >= GAP && behind.iter().take(there).all(|byte| *byte == 0);
        if walked.ending != Ending::Marked && !empty {
            return lost();
        }
        warn!(file = %last.path.display(), "a file of the journal was cut behind its last frame, and is whole again");
        layer.set_length(&last.path, last.head.length).map_err(fails)?;
    }
    if walked.ending == Ending::Torn
        && let Some(end) = behind.iter().rposition(|byte| *byte != 0)
    {
        overwrite(layer, &last.path, walked.end as u64, &vec![0; end + 1]).map_err(fails)?;
    }
    Ok(())
}

/// Reads again what segments say that were read before, as far as they are filled.
pub(super) fn reread(place: &Place, chains: &Chains, extent: &Extent) -> Result<Tail, StoreError> {
    let mut tail = Tail::default();
    for segment in &extent.segments {
        let mut changes = Changes::default();
        each(place, chains, segment, &mut |sequence, payload| {
            changes.take(&segment.path, sequence, payload)
        })?;
        tail.apply(changes);
    }
    Ok(tail)
}

/// Gives the frames of a segment that was read before.
pub(super) fn each(
    place: &Place,
    chains: &Chains,
    segment: &SegmentFile,
    frame: &mut Each<'_, StoreError>,
) -> Result<(), StoreError> {
    let path = &segment.path;
    let mut read = read(place, chains, path)?.ok_or_else(|| damaged(path, 0))?;
    let end = usize::try_from(segment.end).unwrap_or(usize::MAX);
    // What was appended since, and the mark, are not part of it.
    read.bytes.truncate(end);
    let chain = chain_of(chains, &read)?;
    let walked = walk(&mut read.bytes, &read.head, chain, frame)?;
    if walked.end == end.max(FILE_HEAD) { Ok(()) } else { Err(damaged(path, walked.end)) }
}

/// What is behind a damaged place is given up: the file as it is goes aside, and ends before it from now on.
/// Files that follow go aside too.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Damaged`] when it is a snapshot, of which nothing can be given up.
pub(in crate::store) fn give_up_behind_damage(
    place: &Place,
    chains: &Chains,
) -> Result<Vec<PathBuf>, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let layer = place.layer.as_ref();
    let snapshot = snapshot::newest(place, chains)?;
    let (mut next, mut link) = snapshot.as_ref().map_or((1, Link::default()), |s| (s.sequence + 1, s.link));
    let names = layer.list(&place.folder).map_err(fails)?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| number_of(name, "segment-")).collect();
    firsts.sort_unstable();
    firsts.retain(|first| *first >= next);
    let mut aside = Vec::new();
    let set_aside = |path: &Path, bytes: &[u8], aside: &mut Vec<PathBuf>| -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let copy = path.with_file_name(format!("damaged-{name}"));
        layer.create(&copy, bytes.len() as u64).and_then(|mut file| {
            file.write_at(0, bytes)?;
            file.sync()
        })?;
        aside.push(copy);
        Ok(())
    };
    let mut goes_on = true;
    for first in firsts {
        let path = place.segment(first);
        let original = layer.read(&path).map_err(fails)?;
        let found = read(place, chains, &path).ok().flatten();
        let fitting = found.filter(|found| goes_on && found.head.first == next && found.head.before == link);
        let Some(mut segment) = fitting else {
            set_aside(&path, &original, &mut aside).map_err(fails)?;
            layer.remove(&path).map_err(fails)?;
            goes_on = false;
            continue;
        };
        let chain = chain_of(chains, &segment)?;
        let walked = walk(&mut segment.bytes, &segment.head, chain, &mut |_, _| Ok::<_, StoreError>(()))?;
        (next, link) = (walked.last + 1, walked.link);
        let sound = segment.found == segment.bytes.len() && walked.ending != Ending::Torn;
        if !sound {
            set_aside(&path, &original, &mut aside).map_err(fails)?;
            layer.set_length(&path, segment.head.length).map_err(fails)?;
            let rest = segment.bytes.len().saturating_sub(walked.end);
            overwrite(layer, &path, walked.end as u64, &vec![0; rest]).map_err(fails)?;
        }
        goes_on = walked.ending == Ending::Sealed;
        if !goes_on {
            link = seal(chain, &walked.link, walked.last).1;
        }
    }
    unseal_last(place, chains)?;
    layer.sync_folder(&place.folder).map_err(fails)?;
    Ok(aside)
}

/// A last file that is sealed goes on: its follower was given up, or is missing.
fn unseal_last(place: &Place, chains: &Chains) -> Result<(), StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let layer = place.layer.as_ref();
    let names = layer.list(&place.folder).map_err(fails)?;
    let Some(last) = names.iter().filter_map(|name| number_of(name, "segment-")).max() else {
        return Ok(());
    };
    let path = place.segment(last);
    let Some(mut segment) = read(place, chains, &path)? else { return Ok(()) };
    let chain = chain_of(chains, &segment)?;
    let walked = walk(&mut segment.bytes, &segment.head, chain, &mut |_, _| Ok::<_, StoreError>(()))?;
    if walked.ending == Ending::Sealed {
        let seal_at = walked.end.saturating_sub(segment::FRAME_OVERHEAD);
        overwrite(layer, &path, seal_at as u64, &[0; segment::FRAME_OVERHEAD]).map_err(fails)?;
    }
    Ok(())
}
