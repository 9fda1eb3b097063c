//! `subject` on the command line.

use std::path::PathBuf;

use clap::Subcommand;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// Create a subject and print its id
    Create {
        /// A name for people to read
        name: String,
        /// A group whose restrictions hold; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Give a subject another name
    Rename {
        /// The subject's id
        subject: Uuid,
        /// The name
        name: String,
    },
    /// Put a subject into these groups and no others
    Groups {
        /// The subject's id
        subject: Uuid,
        /// The groups; without any it is in none
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// List all subjects
    List,
    /// Show one subject with its fingers
    Show {
        /// The subject's id
        subject: Uuid,
    },
    /// Delete a subject and all its fingers
    Delete {
        /// The subject's id
        subject: Uuid,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give a subject a PIN, in the place of the one of before
    Pin {
        /// The subject's id
        subject: Uuid,
        /// A file whose first line is the PIN; - or no terminal reads standard input
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        file: Option<PathBuf>,
        /// Take the PIN away
        #[arg(long)]
        remove: bool,
    },
    /// Give a code that is good once in the place of a finger that is hurt, and print it
    RecoveryCode {
        /// The subject's id
        subject: Uuid,
        /// For how long it is good
        #[arg(long, value_name = "HOURS", default_value = "24")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=168))]
        valid_hours: u32,
        /// Take back the one that was given
        #[arg(long)]
        revoke: bool,
    },
    /// Take away what counts against a subject who failed too often
    Unlock {
        /// The subject's id
        subject: Uuid,
    },
    /// Write all that the box keeps about a subject to a file (role administrator)
    Export {
        /// The subject's id
        subject: Uuid,
        /// Where to write it
        file: PathBuf,
        /// The templates too (ISO/IEC 19794-2): keep the file as you would a password that cannot be changed
        #[arg(long)]
        templates: bool,
        /// Replace FILE when it is there
        #[arg(long)]
        force: bool,
    },
    /// Delete a subject as delete does, and write the proof of it that the box signs
    Erase {
        /// The subject's id
        subject: Uuid,
        /// Where to write the proof; authenteonctl audit verify --proof checks it
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Replace FILE when it is there
        #[arg(long)]
        force: bool,
    },
}
