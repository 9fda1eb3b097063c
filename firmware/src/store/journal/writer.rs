//! The one who appends to the journal.
//!
//! Invariant: a file that follows is whole and durable before the one before it is sealed, and that is durable
//! before anything is written to the one that follows.

use std::{io, sync::Arc};

use super::{
    ChainKey, Extent, Place, SegmentFile, SnapshotFiles,
    frame::Link,
    segment::{self, FILE_HEAD, FRAME_OVERHEAD, FileHead, FileKind, Written},
};
use crate::store::{StoreError, io_error, layer::LayerFile};

/// A journal that is written.
pub(in crate::store) struct Writer {
    place: Place,
    chain: Arc<ChainKey>,
    file: Box<dyn LayerFile>,
    length: u64,
    extent: Extent,
    last: u64,
    link: Link,
    before: Link,
    /// A file was not synchronised: what the disk holds is not known.
    broken: Option<String>,
    bytes: Vec<u8>,
}

/// The file that is written next, or was written last.
pub(super) struct Open {
    pub(super) file: Box<dyn LayerFile>,
    pub(super) length: u64,
    /// The link that its head carries on.
    pub(super) before: Link,
}

/// What ends a file that another follows, and the link that the other's head carries on.
pub(super) fn seal(chain: &ChainKey, before: &Link, last: u64) -> (Vec<u8>, Link) {
    let mut bytes = Vec::with_capacity(FRAME_OVERHEAD);
    let link = segment::put(&mut bytes, chain, before, Written::Sealed { sequence: last }, &[]);
    (bytes, link)
}

/// Makes a file whose first frame will have a sequence number.
pub(super) fn create(
    place: &Place,
    chain: &ChainKey,
    first: u64,
    before: Link,
) -> io::Result<(Open, FileHead, SegmentFile)> {
    let path = place.segment(first);
    let length = place.sizes.segment;
    let head = FileHead { length, ..place.head(FileKind::Segment, chain, first, before) };
    let made = place.layer.create(&path, length).and_then(|mut file| {
        file.write_at(0, &head.to_bytes())?;
        file.sync()?;
        place.layer.sync_folder(&place.folder)?;
        Ok(file)
    });
    match made {
        Ok(file) => {
            Ok((Open { file, length, before }, head, SegmentFile { path, first, end: FILE_HEAD as u64 }))
        }
        Err(why) => {
            // Nothing was written to it that counts; what stays of it is removed at the next start.
            let _ = place.layer.remove(&path);
            Err(why)
        }
    }
}

impl Writer {
    /// The journal of a new store.
    pub(in crate::store) fn create(place: Place, chain: Arc<ChainKey>) -> Result<Self, StoreError> {
        place.layer.create_folder(&place.folder).map_err(|why| io_error(&why))?;
        let (open, head, file) = create(&place, &chain, 1, Link::default()).map_err(|why| io_error(&why))?;
        let link = head.link(&chain);
        let extent = Extent { snapshot: None, segments: vec![file] };
        Ok(Self::at(place, chain, open, extent, 0, link))
    }

    pub(super) fn at(
        place: Place,
        chain: Arc<ChainKey>,
        open: Open,
        extent: Extent,
        last: u64,
        link: Link,
    ) -> Self {
        let Open { file, length, before } = open;
        Self { place, chain, file, length, extent, last, link, before, broken: None, bytes: Vec::new() }
    }

    /// The last sequence number.
    pub(in crate::store) fn last(&self) -> u64 {
        self.last
    }

    /// The last link: it is of no other journal.
    pub(in crate::store) fn link(&self) -> Link {
        self.link
    }

    /// The link that the head of the present file carries on.
    pub(in crate::store) fn link_before(&self) -> Link {
        self.before
    }

    /// What is on the disk.
    pub(in crate::store) fn extent(&self) -> Extent {
        self.extent.clone()
    }

    fn end(&self) -> u64 {
        self.extent.segments.last().map_or(0, |segment| segment.end)
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.broken
            .as_ref()
            .map_or(Ok(()), |why| Err(StoreError::Io(format!("{why}; the daemon has to be started anew"))))
    }

    /// What cannot be synchronised may be on the disk or not: only reading it again tells.
    fn breaks(&mut self, why: &io::Error) -> StoreError {
        self.broken = Some(why.to_string());
        io_error(why)
    }

    /// Appends frames of these payloads, durably, and gives the sequence number of the last.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them counts.
    pub(in crate::store) fn append(&mut self, payloads: &[Vec<u8>]) -> Result<u64, StoreError> {
        self.usable()?;
        let needed: usize = payloads.iter().map(|payload| payload.len() + FRAME_OVERHEAD).sum();
        if needed > self.capacity() {
            return Err(StoreError::Io(format!("{needed} bytes are too many for one change")));
        }
        // After the last frame there is always room for a mark or a seal.
        if self.end() + (needed + FRAME_OVERHEAD) as u64 > self.length {
            self.go_on_with(Arc::clone(&self.chain))?;
        }
        let (at, durable) = (self.end(), self.last);
        let (mut sequence, mut link) = (self.last, self.link);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        for payload in payloads {
            sequence += 1;
            let what = Written::Commit { sequence, durable };
            link = segment::put(&mut bytes, &self.chain, &link, what, payload);
        }
        let written = self.file.write_at(at, &bytes);
        let length = bytes.len() as u64;
        self.bytes = bytes;
        if let Err(why) = written {
            // The end that was there may be overwritten in part.
            self.mark();
            return Err(io_error(&why));
        }
        self.file.sync().map_err(|why| self.breaks(&why))?;
        (self.last, self.link) = (sequence, link);
        if let Some(segment) = self.extent.segments.last_mut() {
            segment.end = at + length;
        }
        self.mark();
        Ok(sequence)
    }

    /// Says behind the last frame that it was durable. The next frame takes its place, and nothing rests on it
    /// but that damage to the last frame is known as such.
    fn mark(&mut self) {
        let mut bytes = Vec::with_capacity(FRAME_OVERHEAD);
        let what = Written::Mark { sequence: self.last };
        segment::put(&mut bytes, &self.chain, &self.link, what, &[]);
        let _ = self.file.write_at(self.end(), &bytes);
    }

    /// Bytes of payloads, with what each frame has beside, that fit into one [`Self::append`].
    pub(in crate::store) fn capacity(&self) -> usize {
        let length = usize::try_from(self.place.sizes.segment).unwrap_or(usize::MAX);
        length.saturating_sub(FILE_HEAD + FRAME_OVERHEAD)
    }

    /// Goes on in another file, with this key. The one before ends at the sequence number that is given.
    pub(in crate::store) fn rotate(&mut self, chain: Arc<ChainKey>) -> Result<u64, StoreError> {
        if self.extent.segments.last().is_some_and(|segment| segment.first > self.last) {
            // A file without a frame would have the name of the one that follows it.
            self.append(&[Vec::new()])?;
        }
        let last = self.last;
        self.go_on_with(chain)?;
        Ok(last)
    }

    fn go_on_with(&mut self, chain: Arc<ChainKey>) -> Result<(), StoreError> {
        self.usable()?;
        // The seal is the last frame under the key before.
        let (sealing, link) = seal(&self.chain, &self.link, self.last);
        let made = create(&self.place, &chain, self.last + 1, link);
        let (open, head, next) = made.map_err(|why| io_error(&why))?;
        let at = self.end();
        if let Err(why) = self.file.write_at(at, &sealing) {
            self.mark();
            // Made again when there is room; one that stays is known by its being empty.
            let _ = self.place.layer.remove(&next.path);
            return Err(io_error(&why));
        }
        self.file.sync().map_err(|why| self.breaks(&why))?;
        if let Some(segment) = self.extent.segments.last_mut() {
            segment.end = at + sealing.len() as u64;
        }
        self.extent.segments.push(next);
        self.link = head.link(&chain);
        self.chain = chain;
        (self.file, self.length, self.before) = (open.file, open.length, open.before);
        Ok(())
    }

    /// A snapshot that is durable takes the place of what is before it.
    pub(in crate::store) fn adopt(&mut self, snapshot: SnapshotFiles) -> Result<(), StoreError> {
        let fails = |why: io::Error| io_error(&why);
        let before = self.extent.snapshot.replace(snapshot.clone());
        let layer = &self.place.layer;
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.extent.segments.drain(..).partition(|segment| segment.first <= snapshot.sequence);
        self.extent.segments = kept;
        for segment in gone {
            layer.remove(&segment.path).map_err(fails)?;
        }
        if let Some(before) = before {
            layer.remove_folder(&self.place.snapshot(before.sequence)).map_err(fails)?;
        }
        layer.sync_folder(&self.place.folder).map_err(fails)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The mark: at the next start a damaged last frame is told from one that was not finished.
        if self.broken.is_none() {
            let _ = self.file.sync();
        }
    }
}
