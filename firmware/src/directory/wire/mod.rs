//! LDAP with one server: octets in, entries or an error out. Nothing here knows which directory it is.

pub(super) mod ber;
mod connection;
mod guard;
pub(super) mod refusal;
mod search;
pub(super) mod tls;

pub(super) use connection::{Connection, Target};
pub(super) use search::{Answer, Found, Question};
