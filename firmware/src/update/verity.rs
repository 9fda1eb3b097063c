//! dm-verity's hash tree, checked by us: the payload of a bundle is read through it.
//!
//! Invariant: [`Verified`] gives out no byte whose block does not hash up to the signed root. The
//! tree is checked once and its lowest level kept in memory; each block is hashed when it is read,
//! so that a file that changes under our hands is noticed too.

use std::{
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use sha2::{Digest, Sha256};

/// Bytes of a block, of data and of hashes.
pub const BLOCK: usize = 4096;
const HASH: usize = 32;
const HASHES_IN_BLOCK: u64 = (BLOCK / HASH) as u64;

/// Why a payload is refused.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// It cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Sizes do not fit each other.
    #[error("the bundle's payload and its hash tree are not of the sizes that the manifest says")]
    Size,
    /// The tree does not hash up to the root.
    #[error("the bundle's hash tree is not the one that was signed")]
    Tree,
    /// A block does not hash to what the tree says.
    #[error("block {0} of the bundle's payload is not what was signed")]
    Block(u64),
}

/// Blocks of each level of the tree over so many blocks of data, from the lowest up.
#[must_use]
pub fn levels(data_blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut below = data_blocks;
    while below > 1 || levels.is_empty() {
        below = below.div_ceil(HASHES_IN_BLOCK);
        levels.push(below);
    }
    levels
}

/// The hash of a block, salt first.
#[must_use]
pub fn hash_block(salt: &[u8; 32], block: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(block).finalize().into()
}

/// A payload that is read through its tree.
pub struct Verified<'f> {
    file: &'f File,
    salt: [u8; 32],
    /// Hashes of the data blocks, one after the other.
    leaves: Vec<u8>,
    blocks: u64,
    at: u64,
    current: Option<u64>,
    buffer: Box<[u8; BLOCK]>,
}

impl<'f> Verified<'f> {
    /// Checks the tree that follows `size` bytes of payload in `file`.
    ///
    /// # Errors
    /// [`VerityError`].
    pub fn open(
        file: &'f File,
        size: u64,
        tree_size: u64,
        salt: [u8; 32],
        root: &[u8; 32],
    ) -> Result<Self, VerityError> {
        let block = BLOCK as u64;
        if size == 0 || !size.is_multiple_of(block) {
            return Err(VerityError::Size);
        }
        let blocks = size / block;
        let levels = levels(blocks);
        if tree_size != levels.iter().sum::<u64>() * block {
            return Err(VerityError::Size);
        }
        // The highest level lies first.
        let mut offset = size;
        let mut expected = root.to_vec();
        for &count in levels.iter().rev() {
            let mut level = vec![0; usize::try_from(count).map_err(|_| VerityError::Size)? * BLOCK];
            file.read_exact_at(&mut level, offset)?;
            offset += count * block;
            for (hashes, want) in level.chunks_exact(BLOCK).zip(expected.chunks_exact(HASH)) {
                if hash_block(&salt, hashes) != want {
                    return Err(VerityError::Tree);
                }
            }
            expected = level;
        }
        Ok(Self { file, salt, leaves: expected, blocks, at: 0, current: None, buffer: Box::new([0; BLOCK]) })
    }

    /// Blocks of the payload.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Reads one block and checks it.
    ///
    /// # Errors
    /// [`VerityError`].
    pub fn check(&mut self, index: u64) -> Result<(), VerityError> {
        self.current = None;
        self.file.read_exact_at(&mut self.buffer[..], index * BLOCK as u64)?;
        let at = usize::try_from(index).map_err(|_| VerityError::Size)? * HASH;
        let want = self.leaves.get(at..at + HASH).ok_or(VerityError::Size)?;
        if hash_block(&self.salt, &self.buffer[..]) != want {
            return Err(VerityError::Block(index));
        }
        self.current = Some(index);
        Ok(())
    }
}

impl BufRead for Verified<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let index = self.at / BLOCK as u64;
        if index >= self.blocks {
            return Ok(&[]);
        }
        if self.current != Some(index) {
            self.check(index).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        }
        Ok(&self.buffer[(self.at % BLOCK as u64) as usize..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
    }
}

impl Read for Verified<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let n = have.len().min(into.len());
        into[..n].copy_from_slice(&have[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl Seek for Verified<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.blocks * BLOCK as u64;
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
