//! `station`: who holds a certificate of the box, and who may come to get one.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::handover::Granted;

#[derive(Debug, Subcommand)]
pub(crate) enum StationCommand {
    /// Make a code that gets one machine one certificate, for a key that it makes itself (role administrator)
    Invite {
        /// What the machine or person is called: letters, digits, '.', '_' and '-'
        #[arg(value_parser = client_name)]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "station")]
        role: ClientRole,
        /// How long the code is good: a number with m, h or d, up to 30d
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = minutes)]
        expires: u32,
    },
    /// List the codes that were made and are not over (role administrator)
    Invitations,
    /// Take a code back; whoever came with it stays (role administrator)
    Withdraw {
        /// What the invitation is called, as invite and invitations show it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Come in with a code: make a key, get a certificate for it, and try them
    Join {
        /// A file whose first line is the code, as invite shows it; - or no terminal reads standard input
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
        /// Folder for NAME.pem, NAME.key and ca.pem, and no profile unless --profile names it; without it they lie beside the
        /// profiles, with one of the name of --profile or of the box's address
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Get another certificate for the one of --cert, with a new key, and put both in the place of the old ones
    Renew,
    /// Make a key here and get a certificate for it, to be carried to the machine (role administrator)
    Add {
        /// What it is called: letters, digits, '.', '_' and '-'
        #[arg(value_parser = client_name)]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "station")]
        role: ClientRole,
        /// Folder for NAME.pem, NAME.key and ca.pem
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// List everybody (role auditor)
    List,
    /// Call it otherwise; its certificate stays (role administrator)
    Rename {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        /// What it is to be called
        #[arg(value_parser = client_name)]
        to: String,
    },
    /// Show or say what it may have beside decisions: assertions, certificates of people (role administrator)
    Grant {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        #[command(flatten)]
        granted: Granted,
    },
    /// Take a certificate back: it is worth nothing at once (role administrator)
    Remove {
        /// What it is called
        #[arg(value_parser = client_name)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientRole {
    /// Verify and identify
    Station,
    /// Keep subjects and enrol
    Officer,
    /// Read the audit
    Auditor,
    /// Take backups
    Backup,
    /// Everything but verify and identify
    Administrator,
}

impl ClientRole {
    /// As the API has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Station => "station",
            Self::Officer => "officer",
            Self::Auditor => "auditor",
            Self::Backup => "backup",
            Self::Administrator => "administrator",
        }
    }
}

/// It names files here and a path there.
pub(crate) fn client_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain);
    if good { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits, '.', '_' and '-'".to_owned()) }
}

/// A time such as `30m`, `24h` or `7d`, in minutes.
fn minutes(text: &str) -> Result<u32, String> {
    let bad = || "a number with m, h or d, up to 30d".to_owned();
    let unit = match text.chars().last().ok_or_else(bad)? {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(bad()),
    };
    let number: u32 = text.get(..text.len() - 1).and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
    number.checked_mul(unit).filter(|minutes| (1..=30 * 24 * 60).contains(minutes)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        for (text, expected) in [("30m", 30), ("24h", 1440), ("30d", 43_200)] {
            assert_eq!(minutes(text), Ok(expected));
        }
        for bad in ["", "h", "0m", "31d", "24", "-1h", "1w", "99999999999d", "1\u{e9}"] {
            assert!(minutes(bad).is_err(), "{bad}");
        }
    }
}
