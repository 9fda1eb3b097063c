//! What `db` takes.

use clap::Subcommand;

/// Commands of the store's upkeep. A task goes on at the box whatever becomes of the command.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Say how large it is, for each person too, and which task runs
    Stats,
    /// Read every value; damage is named with its place, and ends with exit code 1
    Verify,
    /// Make it as small as it can be; nobody is enrolled or removed at the end of it
    Compact,
    /// Give everything other keys, so that what was copied before opens nothing that is written after
    RotateKeys,
}
