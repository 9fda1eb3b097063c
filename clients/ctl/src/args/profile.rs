//! What `profile` takes.

use clap::Subcommand;

use crate::profile::ProfileName;

/// Commands on the list of boxes.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Make a profile of --server, --cacert, --cert and --key; the files stay where they are
    Add {
        /// What the box is called here
        name: ProfileName,
    },
    /// List the boxes; * is the one in use
    List,
    /// Show a profile; without a name the one in use
    Show {
        /// What the box is called here
        name: Option<ProfileName>,
    },
    /// Take this one from now on when the command line does not say which box
    Use {
        /// What the box is called here
        name: ProfileName,
    },
    /// Forget a box, and delete the key that lies beside the list
    Remove {
        /// What the box is called here
        name: ProfileName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
