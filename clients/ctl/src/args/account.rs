//! `account`, `token`, `login`: who comes in otherwise than by a certificate.

use std::path::PathBuf;

use clap::Subcommand;

use super::handover::Ticket;
use super::station::{ClientRole, client_name};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account, and print its first password
    Add {
        /// What its holder signs in as: letters, digits, '.', '_' and '-'
        #[arg(value_parser = client_name)]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "administrator")]
        role: ClientRole,
    },
    /// List all accounts (role auditor)
    List,
    /// Take its password and codes away, end its sessions, and print another first password
    Reset {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove an account: its sessions end at once
    Remove {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a program, into a file that only you can read
    Add {
        /// What it is called: letters, digits, '.', '_' and '-'
        #[arg(value_parser = client_name)]
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        role: ClientRole,
        /// Days until it ends
        #[arg(long, value_name = "DAYS", default_value = "90", value_parser = clap::value_parser!(u32).range(1..=366))]
        expires_days: u32,
        /// What of that it is good for: "GET /v1/subjects", or the beginning of paths; may be given several times
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Where the token goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the tokens (role auditor)
    List,
    /// Revoke a token: it is worth nothing at once
    Remove {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Who signs in.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// The account; with --kinit the login or principal name of a person
    pub(crate) account: String,
    /// Sign in for the first time: choose a password, and put the secret of your codes into an app
    #[arg(long)]
    pub(crate) first: bool,
    /// A file of lines, instead of questions: the password, and the code where it is no longer asked for a secret; with
    /// --first the first password and the one to be. - reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) answers_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ticket: Ticket,
}
