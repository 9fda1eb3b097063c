//! `lockout` on the command line.

use clap::Subcommand;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum LockoutCommand {
    /// List who failed, those who wait longest first (role officer)
    List,
    /// Take away what counts against somebody
    Clear {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Against whom.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// A subject, by id (role officer)
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<Uuid>,
    /// A station, by name (role administrator)
    #[arg(long, value_name = "NAME", value_parser = super::client_name)]
    pub(crate) station: Option<String>,
    /// A reader of the box (role administrator)
    #[arg(long, value_name = "READER", value_parser = reader)]
    pub(crate) sensor: Option<String>,
}

/// It becomes part of a path.
fn reader(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = !text.is_empty() && text.chars().all(plain);
    if good { Ok(text.to_owned()) } else { Err("letters, digits, '.', '_' and '-'".to_owned()) }
}
