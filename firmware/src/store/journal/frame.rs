//! A frame of the journal: what is written and read in one piece.
//!
//! Head of 36 bytes: magic, kind, length of the payload, sequence number, the highest sequence number that was
//! durable when it was written, checksum of what follows, checksum of the head. Then the payload and sixteen
//! bytes of HMAC-SHA-256 over the frame before (its own sixteen), the head's fields and the payload. Numbers are
//! big-endian.
//!
//! Invariant: a frame that fits is what was written, after exactly the frames that were written before it.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::store::crc::{Fit, checksum, mend};

/// Bytes of a head.
pub(super) const HEAD: usize = 36;
/// Bytes of a link of the chain.
pub(super) const LINK: usize = 16;
/// What a frame has beside its payload.
pub(super) const OVERHEAD: usize = HEAD + LINK;

const MAGIC: [u8; 4] = *b"\xA7JF3";

/// What authenticates a frame and all before it.
pub(in crate::store) type Link = [u8; LINK];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes that belong together.
    Commit = 1,
    /// The journal's end so far; the next frame takes its place.
    Mark = 2,
    /// The file's end: another follows.
    Sealed = 3,
    /// Entries of a snapshot.
    Held = 4,
    /// The snapshot's end, with the number of its entries.
    End = 5,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        [Self::Commit, Self::Mark, Self::Sealed, Self::Held, Self::End]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }
}

/// The key of a chain: of this store, under its present domain key.
pub(in crate::store) struct ChainKey {
    key: hmac::Key,
    id: [u8; 8],
}

impl ChainKey {
    /// From the store's domain key.
    pub(in crate::store) fn of(domain: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, domain);
        let derived = Zeroizing::new(hmac::sign(&root, b"authenteon journal chain").as_ref().to_vec());
        let named = hmac::sign(&root, b"authenteon journal chain id");
        let mut id = [0; 8];
        id.copy_from_slice(&named.as_ref()[..8]);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &derived), id }
    }

    /// Which key it is; it tells nothing of the key.
    pub(in crate::store) fn id(&self) -> [u8; 8] {
        self.id
    }

    /// The link after `before`, over some parts.
    pub(in crate::store) fn link(&self, before: &Link, parts: &[&[u8]]) -> Link {
        let mut sum = hmac::Context::with_key(&self.key);
        sum.update(before);
        for part in parts {
            sum.update(part);
        }
        let mut link = [0; LINK];
        link.copy_from_slice(&sum.sign().as_ref()[..LINK]);
        link
    }
}

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) length: u32,
    pub(super) sequence: u64,
    pub(super) durable: u64,
}

impl Head {
    /// The fields that the link is over.
    fn fields(&self) -> [u8; 28] {
        let mut fields = [0; 28];
        fields[..4].copy_from_slice(&MAGIC);
        fields[4] = self.kind as u8;
        fields[8..12].copy_from_slice(&self.length.to_be_bytes());
        fields[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        fields[20..].copy_from_slice(&self.durable.to_be_bytes());
        fields
    }

    /// From the first bytes of a frame, whose checksum fits already.
    fn parse(fields: &[u8; 28]) -> Option<Self> {
        let number = |at: usize| fields[at..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let length = fields[8..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
        let rests = fields[5..8] == [0; 3] && fields[..4] == MAGIC;
        let kind = Kind::of(fields[4]).filter(|_| rests)?;
        Some(Self { kind, length, sequence: number(12)?, durable: number(20)? })
    }
}

/// Appends a frame and gives its link.
pub(super) fn write(out: &mut Vec<u8>, chain: &ChainKey, before: &Link, head: Head, payload: &[u8]) -> Link {
    let fields = head.fields();
    let link = chain.link(before, &[&fields, payload]);
    let mut sum = crc32fast::Hasher::new();
    sum.update(payload);
    sum.update(&link);
    let start = out.len();
    out.extend(fields);
    out.extend(sum.finalize().to_be_bytes());
    let head_sum = checksum(&out[start..]);
    out.extend(head_sum.to_be_bytes());
    out.extend(payload);
    out.extend(link);
    link
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Found {
    /// A frame.
    Frame {
        head: Head,
        /// Where its payload is.
        payload: std::ops::Range<usize>,
        link: Link,
        /// A wrong bit was put right in the bytes that were read.
        repaired: bool,
    },
    /// Nothing was written here.
    Nothing,
    /// Something else: a frame that was not finished, or is damaged.
    Broken,
}

/// The head at a place, by itself; a single wrong bit is put right.
fn head_at(bytes: &mut [u8], at: usize) -> Option<(Head, u32, bool)> {
    let window = bytes.get_mut(at..at.checked_add(HEAD)?)?;
    let (summed, stored) = window.split_at_mut(HEAD - 4);
    let mut sum = u32::from_be_bytes(*stored.first_chunk()?);
    let mut changed = [0; HEAD - 4];
    changed.copy_from_slice(summed);
    let fit = mend(&mut changed, &mut sum);
    if fit == Fit::Broken {
        return None;
    }
    let head = Head::parse(changed.first_chunk()?)?;
    let body = u32::from_be_bytes(*changed[28..].first_chunk()?);
    summed.copy_from_slice(&changed);
    stored.copy_from_slice(&sum.to_be_bytes());
    Some((head, body, fit == Fit::Repaired))
}

/// Reads what stands at a place, after a frame with the link `before`.
pub(super) fn read(bytes: &mut [u8], at: usize, chain: &ChainKey, before: &Link) -> Found {
    if bytes.get(at..at + HEAD).is_none_or(|head| head.iter().all(|byte| *byte == 0)) {
        let rest = bytes.get(at..).unwrap_or_default();
        return if rest.iter().take(HEAD).all(|byte| *byte == 0) { Found::Nothing } else { Found::Broken };
    }
    let Some((head, mut sum, mut repaired)) = head_at(bytes, at) else { return Found::Broken };
    let start = at + HEAD;
    let end = start + head.length as usize;
    let Some(body) = bytes.get_mut(start..end + LINK) else { return Found::Broken };
    match mend(body, &mut sum) {
        Fit::Whole => {}
        Fit::Repaired => repaired = true,
        Fit::Broken => return Found::Broken,
    }
    let (payload, stored) = body.split_at(head.length as usize);
    let link = chain.link(before, &[&head.fields(), payload]);
    if stored != link {
        return Found::Broken;
    }
    if repaired {
        // The sum of the body stands in the head, and is part of what the head's own sum is over.
        bytes[at + 28..at + 32].copy_from_slice(&sum.to_be_bytes());
        let head_sum = checksum(&bytes[at..at + 32]);
        bytes[at + 32..at + HEAD].copy_from_slice(&head_sum.to_be_bytes());
    }
    Found::Frame { head, payload: start..end, link, repaired }
}

/// Whether anything from a place on proves that the frame `sequence` had been made durable: a head that fits
/// and was written after that.
pub(super) fn proves_durable(bytes: &[u8], from: usize, sequence: u64) -> bool {
    let mut at = from;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        let Some(next) = rest.iter().position(|byte| *byte == MAGIC[0]) else { return false };
        at += next;
        let mut window: Vec<u8> = bytes.get(at..at + HEAD).map(<[u8]>::to_vec).unwrap_or_default();
        if window.starts_with(&MAGIC)
            && let Some((head, _, _)) = head_at(&mut window, 0)
            && head.durable >= sequence
        {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ChainKey {
        ChainKey::of(&[7; 32])
    }

    fn commit(sequence: u64, length: usize) -> Head {
        Head { kind: Kind::Commit, length: length as u32, sequence, durable: sequence - 1 }
    }

    #[test]
    fn a_frame_is_read_back_and_any_single_wrong_bit_of_it_is_put_right() {
        let mut good = Vec::new();
        let link = write(&mut good, &key(), &[1; LINK], commit(5, 7), b"changes");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match read(&mut bytes, 0, &key(), &[1; LINK]) {
                Found::Frame { head, payload, link: found, repaired } => {
                    assert_eq!(
                        (head, &bytes[payload], found, repaired),
                        (commit(5, 7), &b"changes"[..], link, true)
                    );
                }
                other => panic!("bit {bit}: {other:?}"),
            }
            assert_eq!(bytes, good, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_after_another_one_or_of_another_store_does_not_fit() {
        let mut bytes = Vec::new();
        write(&mut bytes, &key(), &[1; LINK], commit(5, 7), b"changes");
        assert!(matches!(read(&mut bytes, 0, &key(), &[2; LINK]), Found::Broken));
        assert!(matches!(read(&mut bytes, 0, &ChainKey::of(&[8; 32]), &[1; LINK]), Found::Broken));
        assert!(matches!(read(&mut bytes, 0, &key(), &[1; LINK]), Found::Frame { .. }));
    }

    #[test]
    fn what_was_never_written_is_nothing_and_a_cut_frame_is_broken() {
        let mut bytes = Vec::new();
        write(&mut bytes, &key(), &[1; LINK], commit(5, 7), b"changes");
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            let found = read(&mut cut, 0, &key(), &[1; LINK]);
            assert_eq!(matches!(found, Found::Nothing), length == 0, "{length}: {found:?}");
            cut.resize(500, 0);
            let found = read(&mut cut, 0, &key(), &[1; LINK]);
            assert_eq!(matches!(found, Found::Nothing), length == 0, "{length}: {found:?}");
        }
    }

    #[test]
    fn a_later_head_proves_that_what_is_before_it_was_durable() {
        let mut bytes = vec![0xA7; 50];
        let head = Head { kind: Kind::Mark, length: 0, sequence: 9, durable: 9 };
        write(&mut bytes, &key(), &[1; LINK], head, b"");
        assert!(proves_durable(&bytes, 0, 9) && proves_durable(&bytes, 50, 9));
        assert!(!proves_durable(&bytes, 0, 10) && !proves_durable(&bytes, 51, 9));
    }
}
