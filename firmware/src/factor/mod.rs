//! What somebody proves himself with beside a finger: a PIN, or once a code that an officer gave, or his finger a moment ago.
//!
//! Invariant: the box keeps no PIN and no officer's code, only what tells a right one, and the other codes in memory for a
//! minute; none is ever shown again.

mod one_time;
mod pin;
mod recovery;

pub use self::{
    one_time::{NotAOneTimeCode, OneTimeCode},
    pin::{NotAPin, Pin},
    recovery::{NotARecoveryCode, RecoveryCode},
};
pub(crate) use self::{pin::PinHash, recovery::Issued};
