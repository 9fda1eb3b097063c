//! `finger` on the command line.

use clap::Subcommand;
use uuid::Uuid;

use super::{Position, Prints};

#[derive(Debug, Subcommand)]
pub(crate) enum FingerCommand {
    /// Enrol a finger from several impressions, at least three
    Enrol {
        /// The subject's id
        subject: Uuid,
        /// Which finger
        position: Position,
        #[command(flatten)]
        prints: Prints,
    },
    /// Say that a finger is the one for duress: it is accepted as any other, and raises a silent alarm
    Duress {
        /// The subject's id
        subject: Uuid,
        /// Which finger
        position: Position,
        /// It is not any more
        #[arg(long)]
        off: bool,
    },
    /// List a subject's fingers
    List {
        /// The subject's id
        subject: Uuid,
    },
    /// Delete one finger of a subject
    Delete {
        /// The subject's id
        subject: Uuid,
        /// Which finger
        position: Position,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
