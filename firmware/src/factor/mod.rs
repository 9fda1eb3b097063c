//! What somebody proves himself with beside a finger: a PIN, or once a code that an officer gave.
//!
//! Invariant: the box keeps neither, only what tells a right one; and neither is ever shown.

mod pin;
mod recovery;

pub(crate) use self::{pin::PinHash, recovery::Issued};
pub use self::{
    pin::{NotAPin, Pin},
    recovery::{NotARecoveryCode, RecoveryCode},
};
