//! What a replay is told by: the probes that a person was last accepted with, as they are kept under that person's key.
//!
//! Only accepted probes: others are not known to be the person's, and whoever may try could push these out with them.
//! Invariant: at most so many are kept, the oldest goes first, and no bytes make the reader panic.

use std::{collections::VecDeque, sync::OnceLock};

use authenteon_matcher::{Prepared, Template, sameness};
use sha2::{Digest, Sha256};

use crate::{latest::Latest, policy::Replay, subject::SubjectId};

/// Templates kept of a person: each costs a comparison at every accept.
const PROBES: usize = 8;
/// Digests kept of a person: these cost nothing.
const DIGESTS: usize = 64;
/// Bytes of a digest that are kept.
const DIGEST: usize = 16;
/// Of this coding.
const VERSION: u8 = 1;

/// A probe as it is compared and kept.
pub(crate) struct Probe {
    pub(crate) prepared: Prepared,
    template: Template,
    digest: [u8; 32],
}

impl Probe {
    pub(crate) fn new(template: Template, digest: [u8; 32]) -> Self {
        Self { prepared: Prepared::new(&template), template, digest }
    }
}

/// The accepted probes of a person.
#[derive(Default)]
pub(crate) struct History {
    digests: VecDeque<[u8; DIGEST]>,
    /// Minutiae alone: what tells a copy.
    probes: VecDeque<Kept>,
}

/// A probe that is kept; made ready to be compared when it first is.
struct Kept {
    template: Template,
    prepared: OnceLock<Prepared>,
}

impl From<Template> for Kept {
    fn from(template: Template) -> Self {
        Self { template, prepared: OnceLock::new() }
    }
}

impl Kept {
    fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| Prepared::new(&self.template))
    }
}

impl History {
    /// What a probe repeats of it; `copies` says whether copies count, beside the same again.
    pub(crate) fn repeated(&self, of: SubjectId, probe: &Probe, copies: bool) -> Option<Replay> {
        if self.digests.contains(&keyed(of, &probe.digest)) {
            return Some(Replay::Same);
        }
        let is_copy = |kept: &Kept| sameness(&probe.prepared, kept.prepared()).is_copy();
        (copies && self.probes.iter().any(is_copy)).then_some(Replay::Probe)
    }

    /// Takes up a probe that was accepted.
    pub(crate) fn add(&mut self, of: SubjectId, probe: &Probe) {
        self.digests.push_back(keyed(of, &probe.digest));
        let bare = Template::from_minutiae(
            probe.template.width(),
            probe.template.height(),
            probe.template.minutiae().to_vec(),
        );
        // Minutiae of a template make one.
        self.probes.extend(bare.ok().map(Kept::from));
        self.bound();
    }

    /// Takes up what of another history of the same person is not here: it is later.
    pub(crate) fn join(&mut self, later: Self) {
        for digest in later.digests {
            if !self.digests.contains(&digest) {
                self.digests.push_back(digest);
            }
        }
        for probe in later.probes {
            if self.probes.iter().all(|kept| kept.template != probe.template) {
                self.probes.push_back(probe);
            }
        }
        self.bound();
    }

    fn bound(&mut self) {
        while self.digests.len() > DIGESTS {
            self.digests.pop_front();
        }
        while self.probes.len() > PROBES {
            self.probes.pop_front();
        }
    }

    /// How many digests of probes it holds, and how many of the probes themselves.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.digests.len(), self.probes.len())
    }

    /// As it is kept: a version, the number of digests, the digests, and the templates with their lengths in two bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.digests.len() as u8];
        bytes.extend(self.digests.iter().flatten());
        for probe in &self.probes {
            let probe = probe.template.to_bytes();
            // At most 128 minutiae of six bytes each and a header.
            bytes.extend((probe.len() as u16).to_be_bytes());
            bytes.extend(probe);
        }
        bytes
    }

    /// Reads it; none when it is not what this version keeps.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, digests], rest) = bytes.split_first_chunk::<2>()?;
        let digests = usize::from(digests);
        if version != VERSION || digests > DIGESTS {
            return None;
        }
        let (kept, mut rest) = rest.split_at_checked(digests * DIGEST)?;
        let mut history =
            Self { digests: kept.as_chunks().0.iter().copied().collect(), probes: VecDeque::new() };
        while !rest.is_empty() {
            let (length, more) = rest.split_first_chunk::<2>()?;
            let (probe, more) = more.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            history.probes.push_back(Template::from_bytes(probe).ok()?.into());
            rest = more;
        }
        (history.probes.len() <= PROBES).then_some(history)
    }
}

/// The histories of who was accepted last, ready to be compared: to make a history ready takes longer than the rest of a
/// verification. Each is with the bytes that the store keeps, or soon will, and good for those alone.
pub(crate) type Ready = Latest<SubjectId, (Vec<u8>, History)>;

/// A digest under its person's id, so that the same sample of two people is not seen to be one.
fn keyed(of: SubjectId, digest: &[u8; 32]) -> [u8; DIGEST] {
    let whole: [u8; 32] = Sha256::new().chain_update(of.as_bytes()).chain_update(digest).finalize().into();
    std::array::from_fn(|at| whole[at])
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::{Minutia, MinutiaKind};
    use proptest::prelude::*;

    use super::*;

    fn probe(seed: u32) -> Probe {
        let minutia = |n: u32| {
            let spread = |step: u32, range: u32| ((n + 1) * step * (seed * 2 + 3) % range) as u16;
            let (x, y, angle) = (500 + spread(977, 2800), 500 + spread(1409, 3000), spread(89, 256) as u8);
            Minutia { x, y, angle, kind: MinutiaKind::Ending, quality: 80 }
        };
        let template = Template::from_minutiae(400, 400, (0..40).map(minutia).collect()).unwrap();
        Probe::new(template, Sha256::digest(seed.to_be_bytes()).into())
    }

    #[test]
    fn the_same_again_and_copies_are_told_and_only_the_last_are_kept() {
        let (ada, bob) = (SubjectId::random(), SubjectId::random());
        let mut history = History::default();
        for seed in 0..20 {
            assert_eq!(history.repeated(ada, &probe(seed), true), None);
            history.add(ada, &probe(seed));
        }
        let again = |seed, digest: [u8; 32]| Probe { digest, ..probe(seed) };
        assert_eq!(history.repeated(ada, &probe(0), false), Some(Replay::Same));
        assert_eq!(history.repeated(ada, &again(19, [7; 32]), true), Some(Replay::Probe));
        assert_eq!(history.repeated(ada, &again(19, [7; 32]), false), None, "copies do not count");
        assert_eq!(history.repeated(ada, &again(0, [7; 32]), true), None, "the oldest went");
        assert_eq!(history.repeated(bob, &probe(0), false), None, "digests are of their person");
        for seed in 20..200 {
            history.add(ada, &probe(seed));
        }
        assert_eq!(history.repeated(ada, &probe(0), false), None);
        assert_eq!((history.digests.len(), history.probes.len()), (DIGESTS, PROBES));
        assert!(history.encode().len() < 4096, "{} bytes at every accept", history.encode().len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_kept_is_read_back_and_a_part_of_it_is_not(
            seeds in proptest::collection::vec(0_u32..1000, 0..80), at in any::<proptest::sample::Index>(),
        ) {
            let (of, mut history) = (SubjectId::random(), History::default());
            seeds.into_iter().for_each(|seed| history.add(of, &probe(seed)));
            let bytes = history.encode();
            let cut = History::decode(&bytes[..at.index(bytes.len())]);
            prop_assert!(cut.is_none_or(|part| part.encode() != bytes));
            prop_assert_eq!(History::decode(&bytes).map(|whole| whole.encode()), Some(bytes));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = History::decode(&bytes);
        }
    }
}
