//! What `sensor` takes: the box's readers, or with `--local` this machine's.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum SensorCommand {
    /// List the readers
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take the next finger that is laid on a reader, and write the frame
    Capture {
        #[command(flatten)]
        reader: OneReader,
        /// Where to write the frame (PNG)
        #[arg(long, value_name = "FRAME.png")]
        out: PathBuf,
        /// Seconds to wait for the finger and its frame
        #[arg(long, value_name = "SECONDS", default_value = "10")]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=120))]
        wait: u64,
    },
    /// Test a reader: does it answer, see nothing where nothing is, take a frame (role officer)
    Test {
        #[command(flatten)]
        reader: OneReader,
        /// Ask for a finger too, and wait this many seconds for it
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "15")]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=120))]
        finger: Option<u64>,
    },
    /// Use a reader from now on: only adopted readers are (role administrator)
    Adopt {
        /// The reader, as list names it; may be left out when there is only one
        #[arg(value_name = "READER")]
        sensor: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Use a reader no longer (role administrator)
    Release {
        /// The reader, as list names it
        #[arg(value_name = "READER")]
        sensor: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Use a reader again that was suspended when the case was opened (role administrator)
    Resume {
        /// The reader, as list names it
        #[arg(value_name = "READER")]
        sensor: String,
    },
    /// Play recorded USB traffic through the reader's driver and write the frame
    #[cfg(feature = "local")]
    Replay(Recording),
}

impl SensorCommand {
    /// Seconds that the box may take to answer: a person comes before it.
    pub(crate) fn patience(&self) -> u64 {
        /// More than the box takes for everything but the person.
        const BOX: u64 = 10;
        /// More than all steps of a test take but the wait for the finger.
        const STEPS: u64 = 110;
        match self {
            Self::Capture { wait, .. } => wait + BOX,
            Self::Test { finger, .. } => finger.unwrap_or_default() + STEPS,
            _ => 0,
        }
    }
}

/// Whose readers.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// This machine's readers instead of the box's
    #[cfg(feature = "local")]
    #[arg(long)]
    pub(crate) local: bool,
    /// With --local, also try the module at this serial port; may be given several times
    #[cfg(feature = "local")]
    #[arg(long = "port", value_name = "DEVICE", requires = "local")]
    pub(crate) ports: Vec<String>,
    /// A file whose first line is the modules' password, eight hexadecimal digits; - reads standard input
    #[cfg(feature = "local")]
    #[arg(long, value_name = "FILE", requires = "ports")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneReader {
    /// The reader, as list names it; may be left out when there is only one
    #[arg(value_name = "READER")]
    pub(crate) sensor: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Recorded traffic of a reader.
#[cfg(feature = "local")]
#[derive(Debug, clap::Args)]
pub(crate) struct Recording {
    /// Description of the device, as umockdev-record writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) device: PathBuf,
    /// The traffic: pcapng of usbmon, or a umockdev ioctl recording
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: PathBuf,
    /// Where to write the frame (PNG)
    #[arg(long, value_name = "FRAME.png")]
    pub(crate) out: PathBuf,
    /// Resolution, for readers that do not tell theirs
    #[arg(long, value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: Option<u32>,
}
