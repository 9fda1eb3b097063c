//! A file of the journal, or a part of a snapshot: a head, then frames.
//!
//! Head of 84 bytes: magic, format of the store, kind, the appliance's id, the id of the chain's key, the first
//! sequence number (of a part: the snapshot's), the link before, the file's length, the part's number, checksum.
//! A file is made with its whole length, so that one that was cut is known by it.

use uuid::Uuid;

use super::frame::{self, ChainKey, Found, Head, Kind, Link, OVERHEAD};
use crate::store::crc::{Fit, checksum, mend};

/// Bytes of a file's head.
pub(in crate::store) const FILE_HEAD: usize = 84;
const MAGIC: &[u8; 8] = b"AUTHJRNL";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum FileKind {
    /// Commits, in order.
    Segment = 1,
    /// Entries of a snapshot.
    Part = 2,
}

/// What a file's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct FileHead {
    /// Of the store that wrote it.
    pub(in crate::store) format: u32,
    pub(in crate::store) kind: FileKind,
    pub(in crate::store) appliance: Uuid,
    pub(in crate::store) chain: [u8; 8],
    pub(in crate::store) first: u64,
    pub(in crate::store) before: Link,
    pub(in crate::store) length: u64,
    pub(in crate::store) part: u32,
}

impl FileHead {
    pub(in crate::store) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_HEAD);
        bytes.extend(MAGIC);
        bytes.extend(self.format.to_be_bytes());
        bytes.extend((self.kind as u32).to_be_bytes());
        bytes.extend(self.appliance.as_bytes());
        bytes.extend(self.chain);
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.before);
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.part.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(checksum(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a head, putting a single wrong bit right in the bytes; `None` when it is none.
    pub(in crate::store) fn parse(bytes: &mut [u8]) -> Option<(Self, bool)> {
        let (summed, stored) = bytes.get_mut(..FILE_HEAD)?.split_at_mut(FILE_HEAD - 4);
        let mut sum = u32::from_be_bytes(*stored.first_chunk()?);
        let fit = mend(summed, &mut sum);
        stored.copy_from_slice(&sum.to_be_bytes());
        let text: &[u8; FILE_HEAD - 4] = summed.first_chunk()?;
        let kind = match field::<4>(text, 12)? {
            [0, 0, 0, 1] => FileKind::Segment,
            [0, 0, 0, 2] => FileKind::Part,
            _ => return None,
        };
        let head = Self {
            format: u32::from_be_bytes(field(text, 8)?),
            kind,
            appliance: Uuid::from_bytes(field(text, 16)?),
            chain: field(text, 32)?,
            first: u64::from_be_bytes(field(text, 40)?),
            before: field(text, 48)?,
            length: u64::from_be_bytes(field(text, 64)?),
            part: u32::from_be_bytes(field(text, 72)?),
        };
        let ours = fit != Fit::Broken && text.starts_with(MAGIC) && text[76..] == [0; 4];
        ours.then_some((head, fit == Fit::Repaired))
    }

    /// The link of the file's first frame is over this.
    pub(in crate::store) fn link(&self, chain: &ChainKey) -> Link {
        chain.link(&self.before, &[&self.to_bytes()])
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied()
}

/// How the frames of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Ending {
    /// Another file follows.
    Sealed,
    /// The end of a snapshot, with the number of its entries.
    Snapshot(u64),
    /// With the mark of an end.
    Marked,
    /// Nothing was written after the last frame.
    Clear,
    /// Something stands there that was not finished, or is damaged.
    Torn,
}

/// What was found in a file.
#[derive(Debug)]
pub(in crate::store) struct Walked {
    /// The last sequence number; the one before the file's first when it has no frame.
    pub(in crate::store) last: u64,
    /// The link of the last frame.
    pub(in crate::store) link: Link,
    /// Where the next frame begins.
    pub(in crate::store) end: usize,
    pub(in crate::store) ending: Ending,
    /// Wrong bits were put right in the bytes.
    pub(in crate::store) repaired: bool,
}

/// Takes the sequence number and the payload of a frame.
pub(in crate::store) type Each<'a, E> = dyn FnMut(u64, &[u8]) -> Result<(), E> + 'a;

/// Walks over the frames of a file, whose head was read, and gives the sequence number and payload of each that
/// carries entries.
pub(in crate::store) fn walk<E>(
    bytes: &mut [u8],
    head: &FileHead,
    chain: &ChainKey,
    each: &mut Each<'_, E>,
) -> Result<Walked, E> {
    let is_part = head.kind == FileKind::Part;
    let mut walked = Walked {
        last: if is_part { head.first } else { head.first.saturating_sub(1) },
        link: head.link(chain),
        end: FILE_HEAD,
        ending: Ending::Torn,
        repaired: false,
    };
    loop {
        let (found, payload, link, repaired) = match frame::read(bytes, walked.end, chain, &walked.link) {
            Found::Frame { head, payload, link, repaired } => (head, payload, link, repaired),
            Found::Nothing => {
                walked.ending = Ending::Clear;
                return Ok(walked);
            }
            Found::Broken => return Ok(walked),
        };
        walked.repaired |= repaired;
        let next = walked.last + u64::from(!is_part);
        let text = bytes.get(payload.clone()).unwrap_or_default();
        match found.kind {
            Kind::Commit if !is_part && found.sequence == next => {}
            Kind::Held if is_part && found.sequence == walked.last => {}
            Kind::Mark if found.sequence == walked.last => {
                walked.ending = Ending::Marked;
                return Ok(walked);
            }
            Kind::Sealed if found.sequence == walked.last => {
                walked.link = link;
                walked.end = payload.end + frame::LINK;
                walked.ending = Ending::Sealed;
                return Ok(walked);
            }
            Kind::End if is_part && found.sequence == walked.last => {
                if let Some(count) = text.first_chunk().map(|count| u64::from_be_bytes(*count)) {
                    walked.link = link;
                    walked.end = payload.end + frame::LINK;
                    walked.ending = Ending::Snapshot(count);
                }
                return Ok(walked);
            }
            _ => return Ok(walked),
        }
        each(found.sequence, text)?;
        walked.last = found.sequence;
        walked.link = link;
        walked.end = payload.end + frame::LINK;
    }
}

/// Appends a frame of a file to bytes that will be written at its end.
pub(in crate::store) fn put(
    out: &mut Vec<u8>,
    chain: &ChainKey,
    before: &Link,
    what: Written,
    payload: &[u8],
) -> Link {
    let (kind, sequence, durable) = match what {
        Written::Commit { sequence, durable } => (Kind::Commit, sequence, durable),
        Written::Mark { sequence } => (Kind::Mark, sequence, sequence),
        Written::Sealed { sequence } => (Kind::Sealed, sequence, sequence),
        Written::Held { sequence } => (Kind::Held, sequence, sequence),
        Written::End { sequence } => (Kind::End, sequence, sequence),
    };
    // No payload is near four gigabytes: who makes them bounds them.
    let length = payload.len() as u32;
    frame::write(out, chain, before, Head { kind, length, sequence, durable }, payload)
}

/// What is appended.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Written {
    Commit { sequence: u64, durable: u64 },
    Mark { sequence: u64 },
    Sealed { sequence: u64 },
    Held { sequence: u64 },
    End { sequence: u64 },
}

/// What a frame takes beside its payload.
pub(in crate::store) const FRAME_OVERHEAD: usize = OVERHEAD;

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> FileHead {
        FileHead {
            format: 3,
            kind: FileKind::Segment,
            appliance: Uuid::from_bytes([9; 16]),
            chain: [1; 8],
            first: 41,
            before: [5; 16],
            length: 4096,
            part: 0,
        }
    }

    #[test]
    fn a_head_is_read_back_with_any_single_wrong_bit() {
        let good = head().to_bytes();
        assert_eq!(good.len(), FILE_HEAD);
        assert_eq!(FileHead::parse(&mut good.clone()), Some((head(), false)));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHead::parse(&mut bytes), Some((head(), true)), "bit {bit}");
            assert_eq!(bytes, good);
        }
        assert_eq!(FileHead::parse(&mut good[..50].to_vec()), None);
        assert_eq!(FileHead::parse(&mut [0; 100]), None);
    }

    #[test]
    fn a_walk_ends_at_the_mark_at_the_seal_and_at_what_was_never_written() {
        let chain = ChainKey::of(&[3; 32]);
        let mut good = head().to_bytes();
        let mut link = head().link(&chain);
        for sequence in 41..44 {
            let what = Written::Commit { sequence, durable: 40 };
            link = put(&mut good, &chain, &link, what, &[sequence as u8; 30]);
        }
        let end = good.len();
        let mut seen = Vec::new();
        let mut walk_over = |mut bytes: Vec<u8>| {
            seen.clear();
            let walked = walk::<()>(&mut bytes, &head(), &chain, &mut |sequence, payload| {
                assert_eq!(payload, [sequence as u8; 30]);
                seen.push(sequence);
                Ok(())
            })
            .unwrap();
            assert_eq!((walked.last, walked.link, &seen[..]), (43, link, &[41, 42, 43][..]));
            (walked.end, walked.ending)
        };
        let zeros = [good.clone(), vec![0; 500]].concat();
        assert_eq!(walk_over(zeros), (end, Ending::Clear));
        let mut torn = [good.clone(), vec![0; 500]].concat();
        torn[end + 10] = 4;
        assert_eq!(walk_over(torn), (end, Ending::Torn));
        let mut marked = good.clone();
        put(&mut marked, &chain, &link, Written::Mark { sequence: 43 }, &[]);
        assert_eq!(walk_over([marked, vec![0; 500]].concat()), (end, Ending::Marked));
    }
}
