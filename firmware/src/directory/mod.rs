//! Following directories: who is in them, as the box is to know it.
//!
//! Data flows one way: a [`Source`] reads a server and says what it found ([`Reading`]); what that means for the people of the
//! box is planned by the services, which know no LDAP. Invariant: a reading is whole or an error. A server that is lost, slow or
//! lies half-way gives nothing, so nothing half done is ever planned from.

mod person;
mod settings;
mod source;

pub use person::{Entry, NotAnObjectId, ObjectId, Sid, Standing};
pub use settings::{Attributes, Kind, Method, PATIENCE, Password, Protection, Settings};
pub use source::{Asked, Cursor, DirectoryError, Reading, Rights, Source};
