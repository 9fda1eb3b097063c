//! The driver against recorded traffic, and against a reader in memory that can do what no
//! recording shows.

mod reader;
mod recorded;
mod recovery;
