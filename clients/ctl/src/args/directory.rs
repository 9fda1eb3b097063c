//! `directory` on the command line.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// How each is followed: when it was last read, whom it has, what waits (role officer)
    Status {
        /// Only this one, with all there is to know of it
        #[arg(value_parser = super::client_name)]
        name: Option<String>,
    },
    /// Try whether a directory can be read, and say which rights are missing; nothing is changed
    Test {
        /// As the configuration calls it
        #[arg(value_parser = super::client_name)]
        name: String,
    },
    /// Have a directory read now, and wait until what it says is done
    Sync {
        /// As the configuration calls it
        #[arg(value_parser = super::client_name)]
        name: String,
        /// Change nothing: say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Read everybody in a directory and say what is other here; nothing is changed
    Diff {
        /// As the configuration calls it
        #[arg(value_parser = super::client_name)]
        name: String,
    },
    /// Show what waits because it would disable or erase many, and have it done
    Confirm {
        /// As the configuration calls it
        #[arg(value_parser = super::client_name)]
        name: String,
        /// Only if it is this, as status shows it; else it is shown and asked for
        #[arg(long, value_name = "DIGITS")]
        plan: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give the box the password of the account that a directory is read with
    Password {
        /// As the configuration calls it
        #[arg(value_parser = super::client_name)]
        name: String,
        /// A file whose first line is the password; - or no terminal reads standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}
