//! The evidence of all pairs of a set.

use std::collections::BTreeMap;

use authenteon_matcher::{
    Prepared,
    compare::{TERMS, evidence, terms},
};

use crate::{
    accuracy::{Progress, all_pairs, in_parallel, prepare},
    sets::{Set, SetError},
};

/// The evidence of one comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Whether both are of one finger.
    pub genuine: bool,
    /// Ordinal of the probe's finger in its set, in the order of names.
    pub probe: usize,
    /// Ordinal of the reference's finger.
    pub reference: usize,
    /// What the fusion weighs.
    pub terms: [f64; TERMS],
}

/// All comparisons of a set that have evidence.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// Name of the set.
    pub set: String,
    /// Fingers in it.
    pub fingers: usize,
    /// Whose each finger is, by ordinals, where their names say it: `PERSON_FINGER`.
    pub persons: Option<Vec<usize>>,
    /// The comparisons.
    pub pairs: Vec<Pair>,
}

/// Extracts every print of a set and compares all pairs. Prints without a template are left out.
///
/// # Errors
/// [`SetError`] when an image cannot be read.
pub fn gather(set: &Set, progress: &dyn Progress) -> Result<Pairs, SetError> {
    let prepared = prepare(set, progress)?.prints;
    let mut ordinals = BTreeMap::new();
    for print in &set.prints {
        ordinals.entry(print.finger.as_str()).or_insert(0);
    }
    for (number, ordinal) in ordinals.values_mut().enumerate() {
        *ordinal = number;
    }
    let persons = persons(ordinals.keys());
    let finger = |at: usize| ordinals.get(set.prints[at].finger.as_str()).copied().unwrap_or_default();
    let whole: Vec<(usize, usize)> = all_pairs(set.prints.len())
        .into_iter()
        .filter(|&(i, j)| prepared[i].is_some() && prepared[j].is_some())
        .collect();
    progress.begin(&format!("{}: comparing", set.name), whole.len());
    let found = in_parallel(&whole, progress, |&(i, j)| weighed(&prepared[i], &prepared[j]));
    let pairs = whole.iter().zip(found).map(|(&(i, j), terms)| {
        let (probe, reference) = (finger(i), finger(j));
        Pair { genuine: probe == reference, probe, reference, terms }
    });
    Ok(Pairs { set: set.name.clone(), fingers: ordinals.len(), persons, pairs: pairs.collect() })
}

/// Whose fingers of these names are.
fn persons<'a>(fingers: impl Iterator<Item = &'a &'a str>) -> Option<Vec<usize>> {
    let mut known = BTreeMap::new();
    fingers
        .map(|finger| {
            let (person, _) = finger.split_once('_')?;
            let next = known.len();
            Some(*known.entry(person).or_insert(next))
        })
        .collect()
}

fn weighed(probe: &Option<Prepared>, reference: &Option<Prepared>) -> [f64; TERMS] {
    match (probe, reference) {
        (Some(probe), Some(reference)) => terms(&evidence(probe, reference)),
        // Such pairs were filtered out.
        _ => [0.0; TERMS],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fingers_are_is_known_where_all_their_names_say_it() {
        assert_eq!(persons(["012_3", "012_4", "013_3"].iter()), Some(vec![0, 0, 1]));
        assert_eq!(persons(["101", "102"].iter()), None);
        assert_eq!(persons(["012_3", "13"].iter()), None);
    }
}
