//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use uuid::Uuid;

use crate::client::Server;
use crate::exit;

/// Command-line client of an Authenteon fingerprint appliance.
#[derive(Debug, Parser)]
#[command(name = "authenteonctl", version, after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the box is, who we are, and how long to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// Where the box listens
    #[arg(long, global = true, value_name = "URL", env = "AUTHENTEONCTL_SERVER")]
    #[arg(default_value = "https://127.0.0.1:3411")]
    pub(crate) server: Server,

    /// Certificate of the box's own CA (PEM); nothing else is trusted
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_CACERT")]
    pub(crate) cacert: Option<PathBuf>,

    /// This client's certificate (PEM); without one only public routes answer
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_CERT")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of --cert (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_KEY")]
    pub(crate) key: Option<PathBuf>,

    /// Seconds to wait for the box, for each request
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

impl Connection {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the box how it is
    Health,
    /// People whose fingers the box knows (role officer)
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Fingers of a subject (role officer)
    #[command(subcommand)]
    Finger(FingerCommand),
    /// Is this the finger of that subject? (role station)
    Verify {
        /// The subject's id
        subject: Uuid,
        #[command(flatten)]
        image: OneImage,
    },
    /// Whose finger is this? (role station)
    Identify {
        #[command(flatten)]
        image: OneImage,
    },
    /// Fingerprint readers on this machine
    #[cfg(feature = "local")]
    #[command(subcommand)]
    Sensor(SensorCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// Create a subject and print its id
    Create {
        /// A name for people to read
        name: String,
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum FingerCommand {
    /// Enrol a finger from several impressions, at least three
    Enrol {
        /// The subject's id
        subject: Uuid,
        /// Which finger
        position: Position,
        #[command(flatten)]
        images: Images,
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

#[cfg(feature = "local")]
#[derive(Debug, Subcommand)]
pub(crate) enum SensorCommand {
    /// Play recorded USB traffic through the reader's driver and write the frame
    Replay {
        /// Description of the device, as umockdev-record writes it
        #[arg(long, value_name = "FILE")]
        device: PathBuf,
        /// The traffic: pcapng of usbmon, or a umockdev ioctl recording
        #[arg(long, value_name = "FILE")]
        capture: PathBuf,
        /// Where to write the frame (PNG)
        #[arg(long, value_name = "FRAME.png")]
        out: PathBuf,
        /// Resolution, for readers that do not tell theirs
        #[arg(long, value_parser = clap::value_parser!(u32).range(125..=2000))]
        dpi: Option<u32>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneImage {
    /// Image of the print: PNG, TIFF, BMP or WSQ
    #[arg(value_name = "IMAGE")]
    pub(crate) file: PathBuf,
    /// Resolution of the image
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Images {
    /// Images of the print, one for each impression: PNG, TIFF, BMP or WSQ
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Resolution of the images
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
}

/// Which finger, by its name in the API.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Position {
    RightThumb,
    RightIndex,
    RightMiddle,
    RightRing,
    RightLittle,
    LeftThumb,
    LeftIndex,
    LeftMiddle,
    LeftRing,
    LeftLittle,
}

impl Position {
    /// The name in the API, which is the one on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn positions_have_the_names_of_the_api() {
        assert_eq!(Position::RightIndex.name(), "right-index");
        assert_eq!(Position::LeftLittle.name(), "left-little");
    }
}
