//! `verify` and `identify` on the command line.

use std::path::PathBuf;

use super::samples::AtReader;

/// What a person presents and knows.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The subject's id, or the login or principal name of somebody whom the box follows in a directory
    #[arg(value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// Image of the print: PNG, TIFF, BMP or WSQ; or a template. Of up to four different fingers, one each
    #[arg(value_name = "IMAGE", num_args = 1..=4)]
    #[arg(required_unless_present_any = ["sensor", "recovery_code_file", "grace"])]
    #[arg(conflicts_with_all = ["sensor", "recovery_code_file", "grace"])]
    pub(crate) files: Vec<PathBuf>,
    /// Resolution of the images
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
    #[command(flatten)]
    pub(crate) place: AtReader,
    /// How many different fingers to take at the reader
    #[arg(long, value_name = "N", default_value = "1", requires = "sensor")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=4))]
    pub(crate) fingers: u64,
    #[command(flatten)]
    pub(crate) known: Known,
    /// A file whose first line is the recovery code that an officer gave, in the place of a finger; - reads standard
    /// input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sensor", "grace"])]
    pub(crate) recovery_code_file: Option<PathBuf>,
    /// Nothing is presented: the person was accepted here a moment ago, and the policy has a grace period
    #[arg(long, conflicts_with = "sensor")]
    pub(crate) grace: bool,
    /// With an accept, print an assertion (JSON Web Token) for this audience
    #[arg(long, value_name = "URL", conflicts_with = "grace")]
    pub(crate) audience: Option<String>,
    /// After an accept show a one-time code: the person types it within a minute, once, in the place of a password, where
    /// RADIUS asks this box
    #[arg(long)]
    pub(crate) one_time_code: bool,
}

/// What a person presents and knows who says no name.
#[derive(Debug, clap::Args)]
pub(crate) struct Identify {
    /// Image of the print: PNG, TIFF, BMP or WSQ; or a template. Or of two different fingers, one each: they tell people
    /// apart among many more
    #[arg(value_name = "IMAGE", num_args = 1..=2)]
    #[arg(required_unless_present = "sensor", conflicts_with = "sensor")]
    pub(crate) files: Vec<PathBuf>,
    /// Resolution of the images
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
    #[command(flatten)]
    pub(crate) place: AtReader,
    /// How many different fingers to take at the reader
    #[arg(long, value_name = "N", default_value = "1", requires = "sensor")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=2))]
    pub(crate) fingers: u64,
    #[command(flatten)]
    pub(crate) known: Known,
    /// With an accept, print an assertion (JSON Web Token) for this audience
    #[arg(long, value_name = "URL")]
    pub(crate) audience: Option<String>,
}

/// What a person knows.
#[derive(Debug, clap::Args)]
pub(crate) struct Known {
    /// A file whose first line is the PIN; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
}
