//! Which fingers the fit may see.
//!
//! In every set that anything was fitted on, the fingers are taken in the order of their names: the
//! first, third, fifth and so on are seen, the others are held out. Of any other set nothing was seen.

use std::collections::BTreeSet;

use crate::sets::Set;

/// The sets that the fit sees the odd fingers of.
pub const FITTED_SETS: [&str; 5] =
    ["FVC2002_DB1_B", "FVC2002_DB2_B", "FVC2002_DB3_B", "FVC2002_DB4_B", "NT_CrossMatch"];

/// What the fit knows of a finger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// It was fitted on.
    Seen,
    /// It was not.
    HeldOut,
}

/// The half of the finger that is the `ordinal`-th of its set, from 0, in the order of their names.
#[must_use]
pub fn half(set: &str, ordinal: usize) -> Half {
    if FITTED_SETS.contains(&set) && ordinal.is_multiple_of(2) { Half::Seen } else { Half::HeldOut }
}

/// The set without the fingers that were seen.
#[must_use]
pub fn held_out(mut set: Set) -> Set {
    let fingers: Vec<String> =
        set.prints.iter().map(|p| p.finger.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    set.prints.retain(|print| {
        let ordinal = fingers.binary_search(&print.finger);
        ordinal.is_ok_and(|ordinal| half(&set.name, ordinal) == Half::HeldOut)
    });
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_fitted_set_every_other_finger_is_held_out() {
        let halves: Vec<Half> = (0..4).map(|i| half("FVC2002_DB1_B", i)).collect();
        assert_eq!(halves, [Half::Seen, Half::HeldOut, Half::Seen, Half::HeldOut]);
    }

    #[test]
    fn a_set_that_nobody_fitted_on_is_held_out_whole() {
        assert!((0..10).all(|i| half("FVC2004_DB1_A", i) == Half::HeldOut));
    }
}
