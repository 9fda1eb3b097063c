//! The time from the network: which servers are asked, whether they are believed, and what is told of it.
//!
//! SNTP is not signed. Invariant: what servers say moves the clock within the bounds of [`discipline`] and no
//! further, so that who forges their answers can neither take the box out of the life of its certificates at
//! will nor back before what it has seen; and the box says when it does not know the time.

pub mod discipline;
pub mod keeper;
pub mod measure;
pub mod report;
pub mod servers;
