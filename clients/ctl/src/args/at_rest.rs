//! The command line of `at-rest`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum AtRestCommand {
    /// Say how it is
    Show,
    /// Keep the key in a file on the box: it starts by itself, and whoever takes it has the key too
    KeyFile {
        /// A file whose first line is the present passphrase, where there is one
        #[arg(long = "current-file", value_name = "FILE")]
        current: Option<PathBuf>,
    },
    /// Have the machine's TPM seal the key: it starts by itself, and its disk is worth nothing elsewhere
    Tpm {
        /// A file whose first line is the present passphrase, where there is one
        #[arg(long = "current-file", value_name = "FILE")]
        current: Option<PathBuf>,
    },
    /// Choose a passphrase that is asked for after every start; without it nobody can read what is stored
    Passphrase {
        /// A file whose first line is the new passphrase; - or no terminal reads standard input
        #[arg(long = "new-file", value_name = "FILE")]
        new: Option<PathBuf>,
        /// A file whose first line is the present passphrase, where there is one
        #[arg(long = "current-file", value_name = "FILE")]
        current: Option<PathBuf>,
    },
}
