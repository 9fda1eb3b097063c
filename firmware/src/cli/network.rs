//! `network`: what the script that sets the box's address reads.

use std::path::PathBuf;

use super::exit::Failure;
use crate::network::{Files, Plan};

/// Where the files are.
#[derive(clap::Args)]
pub(super) struct NetworkArguments {
    /// What init copied from the card.
    #[arg(long, default_value = "/run/authenteon")]
    card: PathBuf,
    /// Where the box keeps what it was told before it was claimed.
    #[arg(long, default_value = "/data/system")]
    kept: PathBuf,
    /// The authority's folder: a box is claimed if it says so.
    #[arg(long, default_value = "/data/authenteon/pki")]
    pki: PathBuf,
}

/// Prints the plan; what is not followed goes to standard error.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(super) fn run(arguments: NetworkArguments) -> Result<bool, Failure> {
    let claimed = crate::claim::is_claimed(&arguments.pki);
    let (plan, refused) = Plan::read(&Files { card: arguments.card, kept: arguments.kept, claimed });
    for why in refused {
        eprintln!("authenteon: {why}");
        eprintln!("authenteon: correct the file on the card's first partition, and start the box again");
    }
    print!("{plan}");
    Ok(true)
}
