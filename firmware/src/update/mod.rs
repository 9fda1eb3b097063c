//! Verified A/B updates: a signed bundle becomes the other slot, is tried once, and is kept only
//! after the box has tested itself.
//!
//! Data flows one way here too: bundle -> signature -> manifest -> version and board -> verified
//! payload -> the other slot -> trial -> commit. No byte of a payload is used before the signature
//! over its root hash holds, and what is committed is never written to.
//!
//! [`agent`] is the half that runs as root and decides; [`link`] is how the daemon asks it.

pub mod agent;
pub mod boot;
pub mod bootloader;
pub mod bundle;
mod fat;
pub mod install;
pub mod ledger;
pub mod link;
pub mod machine;
pub mod manifest;
pub mod payload;
pub mod protocol;
pub mod signature;
pub mod slots;
pub mod verity;
pub mod version;
