//! `backup` and `restore`.

use std::path::PathBuf;

/// A backup to be taken.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// Where to write it
    pub(crate) file: PathBuf,
    /// Instead of a backup, the list of who was erased: a restore of an older backup needs it. It holds random ids only
    #[arg(long, conflicts_with_all = ["expires_days", "passphrase_file", "no_verify"])]
    pub(crate) erasures: bool,
    /// Days until it is to be destroyed: until then it may hold people who are erased meanwhile
    #[arg(long, value_name = "DAYS", default_value = "90")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) expires_days: u32,
    /// A file whose first line is the backup's own passphrase; - or no terminal reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not send it back for the box to open all of it
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Replace FILE when it is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// A backup to be restored.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    /// Only have the box read all of it and say what would be restored; it need not be empty
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The list of who was erased since, from: authenteonctl backup --erasures
    #[arg(long, value_name = "FILE", conflicts_with = "without_erasures")]
    pub(crate) erasures: Option<PathBuf>,
    /// Go on without such a list: people who were erased since come back
    #[arg(long)]
    pub(crate) without_erasures: bool,
    /// Though it should have been destroyed by now
    #[arg(long)]
    pub(crate) even_expired: bool,
    /// A file whose first line is the backup's passphrase; - or no terminal reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
