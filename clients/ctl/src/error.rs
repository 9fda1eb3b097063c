//! Every way a command can fail, its exit code, and what a person can do about it.

use std::path::PathBuf;

use authenteon_box::{BoxError, Problem};
use authenteon_login::LoginError;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::problem::Told;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    /// The command line is well-formed and yet makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A certificate or key file is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Config { path: PathBuf, reason: String },
    /// Something that must be given is not.
    #[error("{0}")]
    Missing(&'static str),
    /// Somebody was asked and did not say yes.
    #[error("nothing was done")]
    Declined,
    /// An image or other input file cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    File { path: PathBuf, reason: String },
    /// Nobody answers there.
    #[error("cannot reach {server}: {reason}")]
    Unreachable { server: String, reason: String },
    /// Somebody answers, but it is not the box that `--cacert` vouches for.
    #[error("{server} is not the box expected: {reason}")]
    Untrusted { server: String, reason: String },
    /// Somebody answers, but it is not the box whose console was read.
    #[error("{server} is not the box whose CA has the SHA-256 {expected}, and was sent nothing: {reason}")]
    WrongAuthority { server: String, expected: String, reason: String },
    /// The box refused our certificate while shaking hands.
    #[error("{server} refused the client certificate: {reason}")]
    CertificateRefused { server: String, reason: String },
    /// The box took longer than `--timeout`.
    #[error("{server} did not answer within {seconds} s")]
    TimedOut { server: String, seconds: u64 },
    /// The box refused the request and said why.
    #[error("{0}")]
    Problem(Problem),
    /// The box answered what this client does not understand.
    #[error("the box's answer makes no sense: {0}")]
    Answer(String),
    /// A reader of this machine gave nothing.
    #[error("{0}")]
    Sensor(String),
    /// The operating system failed us.
    #[error("{0}")]
    System(String),
}

impl From<BoxError> for CtlError {
    fn from(error: BoxError) -> Self {
        match error {
            BoxError::Config { path, reason } => Self::Config { path, reason },
            BoxError::Missing(what) => Self::Missing(what),
            BoxError::Request(why) => Self::Usage(why),
            BoxError::Unreachable { server, reason } => Self::Unreachable { server, reason },
            BoxError::Untrusted { server, reason } => Self::Untrusted { server, reason },
            BoxError::CertificateRefused { server, reason } => Self::CertificateRefused { server, reason },
            BoxError::TimedOut { server, seconds } => Self::TimedOut { server, seconds },
            BoxError::Problem(problem) => Self::Problem(problem),
            BoxError::Answer(why) => Self::Answer(why),
            BoxError::System(why) => Self::System(why),
        }
    }
}

impl From<LoginError> for CtlError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Box(error) => error.into(),
            LoginError::Private { path, why } => Self::File { path, reason: why.to_string() },
            other => Self::System(other.to_string()),
        }
    }
}

impl CtlError {
    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Config { .. } | Self::Missing(_) | Self::Untrusted { .. } | Self::WrongAuthority { .. } => {
                Exit::Config
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => Exit::Unreachable,
            Self::CertificateRefused { .. } => Exit::NotPermitted,
            Self::Problem(problem) => problem.exit(),
            Self::Declined | Self::File { .. } | Self::Answer(_) | Self::Sensor(_) | Self::System(_) => {
                Exit::Failure
            }
        }
    }

    /// What a person can do about it.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Problem(problem) => problem.advice(),
            Self::Unreachable { .. } => Some("Is the box on, and is --server its address and port?"),
            Self::Untrusted { .. } => {
                Some("Is --cacert this box's own CA, and does its certificate name this address?")
            }
            Self::WrongAuthority { .. } => Some(
                "Read the SHA-256 on the box's console again. If it is right, somebody else answers at \
                 this address: do not give the code away.",
            ),
            Self::CertificateRefused { .. } => Some("Use a certificate that this box's own CA issued."),
            Self::TimedOut { .. } => Some("Give it longer with --timeout SECONDS."),
            Self::Sensor(_) => Some("Look at what is there with: authenteonctl sensor list [--local]."),
            Self::Answer(_) => Some("Client and box may differ in version."),
            _ => None,
        }
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> Value {
        let exit = self.exit() as u8;
        match self {
            Self::Problem(problem) => json!({"error": problem, "advice": self.advice(), "exit": exit}),
            other => json!({"error": {"title": other.to_string()}, "advice": self.advice(), "exit": exit}),
        }
    }
}
