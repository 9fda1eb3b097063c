//! What accepts are good for on the command line: assertions, certificates of people, tickets.

use std::path::PathBuf;

use clap::Subcommand;

use super::samples::AtReader;

#[derive(Debug, Subcommand)]
pub(crate) enum AssertionCommand {
    /// Print the keys by which assertions are verified (JSON Web Key Set)
    Keys,
    /// Have another key sign from now on; the one before is published for a day more (role administrator)
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Save or print the authority that directories and Kerberos servers are to trust
    Authority {
        /// Where it goes, in PEM; without it, to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make that authority: whoever has its key is everybody, so guard the box as a domain controller (role administrator)
    CreateAuthority {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a station may have beside decisions.
#[derive(Debug, clap::Args)]
pub(crate) struct Granted {
    /// It may ask for assertions for this audience; may be given several times
    #[arg(long = "audience", value_name = "URL")]
    pub(crate) audiences: Vec<String>,
    /// It may ask for certificates of people whose fingers it presents itself
    #[arg(long)]
    pub(crate) may_issue: bool,
    /// It may have nothing any more
    #[arg(long, conflicts_with_all = ["audiences", "may_issue"])]
    pub(crate) nothing: bool,
}

/// A Kerberos ticket instead of a session at the box.
#[derive(Debug, clap::Args)]
pub(crate) struct Ticket {
    /// Get a Kerberos ticket for the person of this login or principal name, by a finger (role station)
    #[arg(long)]
    pub(crate) kinit: bool,
    /// Image of the print, or a template, where no reader of the box takes it
    #[arg(long, value_name = "IMAGE", requires = "kinit", conflicts_with = "sensor")]
    pub(crate) image: Option<PathBuf>,
    /// Resolution of the image
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
    #[command(flatten)]
    pub(crate) place: AtReader,
    /// A file whose first line is the PIN; - reads standard input
    #[arg(long, value_name = "FILE", requires = "kinit")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Where the ticket goes, as kinit names caches; without it, where Kerberos looks
    #[arg(long, value_name = "CACHE", requires = "kinit")]
    pub(crate) cache: Option<String>,
    /// The Kerberos principal, where it is not the one that the box says
    #[arg(long, value_name = "PRINCIPAL", requires = "kinit")]
    pub(crate) principal: Option<String>,
    /// The authorities (PEM) that the Kerberos server's certificate is of, where krb5.conf does not say
    #[arg(long, value_name = "FILE", requires = "kinit")]
    pub(crate) anchors: Option<PathBuf>,
}
