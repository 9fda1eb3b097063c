//! From the evidence of a comparison to a score: what `matcher/src/params.rs` states, fitted anew.
//!
//! Invariant: the constants in force were fitted on the fingers of `split`'s seen half only, so
//! that the other half can be reported as held out.

mod evidence;
mod fit;
mod split;
mod tail;
mod together;

pub use evidence::{Pair, Pairs, gather};
pub use fit::{Weights, fit};
pub use split::{FITTED_SETS, Half, half, held_out};
pub use tail::{Tail, tail};
pub use together::{Between, TOGETHER, Together, together};
