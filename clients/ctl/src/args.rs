//! The command line.

mod account;
mod at_rest;
mod audit;
mod backup;
mod db;
mod directory;
mod finger;
mod handover;
mod lockout;
mod policy;
mod profile;
mod samples;
mod sensor;
mod station;
mod subject;
mod verify;

pub(crate) use account::{AccountCommand, Login, TokenCommand};
pub(crate) use at_rest::AtRestCommand;
pub(crate) use audit::{AuditCommand, AuditFilter, AuditVerify};
pub(crate) use backup::{Backup, Restore};
pub(crate) use db::DbCommand;
pub(crate) use directory::DirectoryCommand;
pub(crate) use finger::FingerCommand;
pub(crate) use handover::{AssertionCommand, CertificateCommand, Granted, Ticket};
pub(crate) use lockout::LockoutCommand;
pub(crate) use policy::PolicyCommand;
pub(crate) use profile::ProfileCommand;
#[cfg(feature = "local")]
pub(crate) use samples::OneImage;
pub(crate) use samples::{AtReader, Prints};
pub(crate) use sensor::{OneReader, SensorCommand};
#[cfg(feature = "local")]
pub(crate) use sensor::{Place, Recording};
pub(crate) use station::{StationCommand, client_name};
pub(crate) use subject::SubjectCommand;
pub(crate) use verify::{Identify, Known, Verify};

use std::path::PathBuf;
use std::time::Duration;

use authenteon_box::{Fingerprint, Server};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use uuid::Uuid;

use crate::exit;
use crate::profile::ProfileName;

/// Command-line client of an Authenteon fingerprint appliance.
#[derive(Debug, Parser)]
#[command(name = "authenteonctl", version, after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// Print one JSON value instead of text: --output json
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// How the answer is printed
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "table",
        conflicts_with = "json"
    )]
    pub(crate) output: Form,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Table,
    /// One JSON value
    Json,
    /// A row for each of a list, with the columns named in the first line
    Csv,
}

/// Where the box is, who we are, and how long to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The box, as profile list names it; without any word about a box the one in use
    #[arg(long, global = true, value_name = "NAME", env = "AUTHENTEON_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<ProfileName>,

    /// Where the box listens [default: that of the profile, or https://127.0.0.1:3411]
    #[arg(long, global = true, value_name = "URL", env = "AUTHENTEONCTL_SERVER")]
    pub(crate) server: Option<Server>,

    /// Certificate of the box's own CA (PEM); nothing else is trusted
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_CACERT")]
    pub(crate) cacert: Option<PathBuf>,

    /// This client's certificate (PEM); without one only public routes answer
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_CERT")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of --cert (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_KEY")]
    pub(crate) key: Option<PathBuf>,

    /// A file with the token of a sign-in or of automation, instead of --cert and --key; login writes it
    #[arg(long, global = true, value_name = "FILE", env = "AUTHENTEONCTL_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// The box's id, by which it is known at any address; claim and join keep it beside --cacert, in the file box-id
    #[arg(long, global = true, value_name = "ID", env = "AUTHENTEONCTL_BOX")]
    pub(crate) box_id: Option<Uuid>,

    /// Seconds to wait for the box, for each request
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

impl Connection {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Whether it says anything of a box or of us, but for a profile.
    pub(crate) fn says_where(&self) -> bool {
        self.server.is_some() || self.cacert.is_some() || self.cert.is_some() || self.key.is_some()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the box how it is: ends with 0 if it does its work, 3 if it is locked or unclaimed, else 1
    Health,
    /// Look at every part of the box, and say what to do about what is wrong (role administrator)
    Diagnose,
    /// Save what somebody far away needs to find out what is wrong: no names, no fingerprints, no secrets (role administrator)
    SupportBundle {
        /// Where it goes; a tar.gz
        file: PathBuf,
    },
    /// Make a box that starts for the first time yours: get its administrator's certificate
    Claim(Claim),
    /// Stations, officers, auditors, administrators: who holds a certificate of the box, and who may come
    #[command(subcommand)]
    Station(StationCommand),
    /// People who sign in with a password and a code (role administrator)
    #[command(subcommand)]
    Account(AccountCommand),
    /// Sign in with a password and a code; the session's token goes to --token-file. With --kinit: a Kerberos ticket by a finger
    Login(Login),
    /// End the session of --token-file
    Logout,
    /// Programs that come in without a certificate (role administrator)
    #[command(subcommand)]
    Token(TokenCommand),
    /// People whose fingers the box knows (role officer)
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Fingers of a subject (role officer)
    #[command(subcommand)]
    Finger(FingerCommand),
    /// Is this the finger of that subject? (role station)
    Verify(Verify),
    /// Whose finger is this, or whose are these two? (role station)
    Identify(Identify),
    /// What services are told of an accept
    #[command(subcommand)]
    Assertion(AssertionCommand),
    /// Certificates of people, with which Kerberos lets them in
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// What was decided and changed, by whom and why: read it, verify it, take it away (role auditor or administrator)
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What a decision needs: rates, hours, waits; for everybody and for some (role administrator)
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Who failed too often, and has to wait
    #[command(subcommand)]
    Lockout(LockoutCommand),
    /// Directories whose people the box follows (role administrator)
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// Fingerprint readers: the box's, or this machine's
    #[command(subcommand)]
    Sensor(SensorCommand),
    /// Give the passphrase to a box that waits for it since its last start (role administrator)
    Unlock {
        /// A file whose first line is the passphrase; - or no terminal reads standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Who can read what the box stores when its disk is taken (role administrator)
    #[command(subcommand)]
    AtRest(AtRestCommand),
    /// Take a backup of what the box stores, encrypted, while it serves (role backup)
    Backup(Backup),
    /// Restore a backup into a box where nobody is enrolled (role administrator)
    Restore(Restore),
    /// What the box stores: how large it is, whether it is whole, other keys (role administrator)
    #[command(subcommand)]
    Db(DbCommand),
    /// The box's own software (role administrator)
    #[command(subcommand)]
    Update(UpdateCommand),
    /// Look into the extraction of a print: every step as a picture
    #[cfg(feature = "local")]
    Inspect {
        #[command(flatten)]
        image: OneImage,
        /// Folder for the pictures (PNG)
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Turn a picture or a template into another format
    #[cfg(feature = "local")]
    Convert(Conversion),
    /// Boxes by name: where each is, and who we are there
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Print the API's description (OpenAPI 3.1)
    Openapi,
    /// Write the manual pages, one for each command
    #[command(hide = true)]
    Man {
        /// Folder for them
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Seconds that the box may take to answer, whatever is said otherwise: a person comes before it, or a slow line.
    pub(crate) fn patience(&self) -> u64 {
        /// A bundle, or a piece of a backup, on its way over a slow line.
        const UPLOAD: u64 = 600;
        /// A whole directory, read and done.
        const READING: u64 = 900;
        match self {
            Self::Sensor(command) => command.patience(),
            Self::Login(asked) => asked.ticket.place.patience(1),
            Self::Verify(asked) => asked.place.patience(asked.fingers),
            Self::Identify(asked) => asked.place.patience(asked.fingers),
            Self::Finger(FingerCommand::Enrol { prints, .. }) => prints.place.patience(prints.impressions),
            Self::Directory(_) => READING,
            Self::Update(_) | Self::Backup(_) | Self::Restore(_) => UPLOAD,
            _ => 0,
        }
    }
}

/// What the console of an unclaimed box shows.
#[derive(Debug, clap::Args)]
pub(crate) struct Claim {
    /// Where the box listens; --server does as well
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Server>,
    /// SHA-256 of the box's CA: nothing is sent to a box of another
    #[arg(long, value_name = "HEX")]
    pub(crate) ca_sha256: Fingerprint,
    /// The claim code; - or nothing reads it from standard input
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) code: Option<String>,
    /// Folder for ca.pem, administrator.pem and administrator.key, instead of one beside the list of profiles. With
    /// --out a profile is made only when --profile names it
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpdateCommand {
    /// Send a bundle, install it into the slot that does not run, and restart into a trial of it
    Apply {
        /// The bundle
        file: PathBuf,
        /// Leave it waiting; the box goes on as it is
        #[arg(long, conflicts_with = "wait")]
        no_reboot: bool,
        /// Stay until the new version is kept or rolled back
        #[arg(long)]
        wait: bool,
    },
    /// Which version runs, which waits, and how far an installation is
    Status,
    /// Restart into a trial of the version that waits
    Trial,
    /// Give up the version that waits
    Discard,
}

/// What to read, and what to write.
#[cfg(feature = "local")]
#[derive(Debug, clap::Args)]
pub(crate) struct Conversion {
    /// A picture of a print, or a template
    #[arg(value_name = "IN")]
    pub(crate) file: PathBuf,
    /// Where to write; its extension tells the format: png, autm (native), iso, iso2011, ansi, ansi2009,
    /// card
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Format of IN, when it cannot be told from its content
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) from: Option<FileFormat>,
    /// Format of OUT, when its name does not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: Option<FileFormat>,
    /// Resolution of a picture that does not tell its own
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
    /// Replace OUT when it is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// A format of pictures or templates.
#[cfg(feature = "local")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Picture: PNG to write; PNG, TIFF, BMP or WSQ to read
    Png,
    /// Authenteon's own template
    Native,
    /// ISO/IEC 19794-2:2005
    #[value(name = "iso-2005")]
    Iso2005,
    /// ISO/IEC 19794-2:2011
    #[value(name = "iso-2011")]
    Iso2011,
    /// ANSI/INCITS 378-2004
    #[value(name = "ansi-2004")]
    Ansi2004,
    /// ANSI/INCITS 378-2009
    #[value(name = "ansi-2009")]
    Ansi2009,
    /// ISO/IEC 19794-2:2005 compact card format
    Compact,
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
