//! Following directories: who is in them, as the box is to know it.
//!
//! Data flows one way: a [`Source`] reads a server and says what it found ([`Reading`]); what that means for the people of the
//! box is planned by the services, which know no LDAP. Invariant: a reading is whole or an error. A server that is lost, slow or
//! lies half-way gives nothing, so nothing half done is ever planned from.

mod active_directory;
mod filter;
pub mod follow;
mod gather;
mod ldap;
mod link;
mod pending;
mod person;
pub mod plan;
mod principal;
mod roles;
mod servers;
mod settings;
mod source;
mod wire;

use std::sync::Arc;

pub use link::{Account, Identifier, Link, NotASourceName, SourceName, State};
pub use person::{Entry, NotAnObjectId, ObjectId, Sid, Standing};
pub(crate) use principal::is_plain;
pub use principal::{Mapping, NotAPrincipal, Principal};
pub use settings::{Attributes, Kind, Method, PATIENCE, Password, Protection, Settings};
pub use source::{Asked, Cursor, DirectoryError, Reading, Rights, Source};

use crate::clock::Clock;

/// The source that these settings describe. Nothing is asked of a server yet.
///
/// # Errors
/// [`DirectoryError::Configuration`]: what cannot be used, and why.
pub fn source(settings: Settings, clock: Arc<dyn Clock>) -> Result<Box<dyn Source>, DirectoryError> {
    match settings.kind {
        Kind::ActiveDirectory => Ok(Box::new(active_directory::ActiveDirectory::new(settings, clock)?)),
        Kind::Edirectory | Kind::Ldap => Ok(Box::new(ldap::Ldap::new(settings, clock)?)),
    }
}
