//! Inputs out of valid ones. Invariant: the same seed and name give the same inputs.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sha2::{Digest as _, Sha256};

/// Inputs do not grow beyond this.
const LONGEST: usize = 300_000;
/// Bytes at which counts and lengths go wrong.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7F, 0x80, 0xEF, 0xFE, 0xFF, 0x10];

/// Makes one input after the other.
pub(crate) struct Mutator(ChaCha8Rng);

impl Mutator {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(name).finalize();
        Self(ChaCha8Rng::from_seed(digest.into()))
    }

    fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.0.next_u32()) * limit.max(1) as u64) >> 32) as usize
    }

    /// The next input: one of the corpus, changed in a few places, or noise.
    pub(crate) fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if corpus.is_empty() || self.below(50) == 0 {
            let mut noise = vec![0; self.below(600)];
            self.0.fill_bytes(&mut noise);
            return noise;
        }
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..self.below(6) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let length = input.len();
        // Most of what decides lies at the beginning.
        let at = if self.below(2) == 0 { self.below(length.min(80)) } else { self.below(length) };
        match self.below(9) {
            0 => input.truncate(at),
            1 if length > 0 => input[at] ^= 1 << self.below(8),
            2 if length > 0 => input[at] = EDGES[self.below(EDGES.len())],
            3 if length > 0 => input[at] = self.0.next_u32() as u8,
            4 if length > 0 => input[at] = input[at].wrapping_add(1),
            5 if length > 0 => {
                let end = (at + 1 + self.below(16)).min(length);
                input.drain(at..end);
            }
            6 => {
                let some: Vec<u8> = (0..=self.below(16)).map(|_| EDGES[self.below(EDGES.len())]).collect();
                input.splice(at..at, some);
            }
            7 if length > 0 => {
                let end = (at + 1 + self.below(200)).min(length);
                let twice = input[at..end].to_vec();
                input.splice(at..at, twice);
            }
            _ => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
}
