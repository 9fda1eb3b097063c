//! Every way in which the agent cannot work, its exit code, and what a person can do about it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use authenteon_box::BoxError;

/// Why it does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The configuration, or a file that it names, is not what it should be.
    #[error("{path}: {why}", path = path.display())]
    Config { path: PathBuf, why: String },
    /// The reader of the configuration cannot be used.
    #[error("{0}")]
    Sensor(String),
    /// The box cannot be asked.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// Nobody can ask us.
    #[error("cannot listen at {path}: {why}", path = path.display())]
    Listen { path: PathBuf, why: io::Error },
    /// The system fails us.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl AgentError {
    /// How the program ends.
    pub(crate) fn exit(&self) -> ExitCode {
        let code = match self {
            Self::Config { .. }
            | Self::Sensor(_)
            | Self::Box(BoxError::Config { .. } | BoxError::Missing(_) | BoxError::Untrusted { .. }) => 78,
            Self::Box(BoxError::Problem(problem)) if matches!(problem.status, 401 | 403) => 78,
            Self::Box(_) => 69,
            Self::Listen { .. } | Self::System(_) => 1,
        };
        ExitCode::from(code)
    }

    /// What a person can do about it.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Config { .. } | Self::Listen { .. } | Self::System(_) => None,
            Self::Sensor(_) => Some("Look at what is there with: authenteonctl sensor list."),
            Self::Box(BoxError::Unreachable { .. }) => {
                Some("Is the box on, and is server its address and port?")
            }
            Self::Box(BoxError::Untrusted { .. }) => {
                Some("Is cacert this box's own CA, and does its certificate name this address?")
            }
            Self::Box(BoxError::CertificateRefused { .. }) => {
                Some("Get the machine another one: authenteonctl station invite, then station join.")
            }
            Self::Box(BoxError::Problem(problem)) if matches!(problem.status, 401 | 403) => {
                Some("cert has to be one that this box gave to a station: authenteonctl station list.")
            }
            Self::Box(_) => None,
        }
    }
}
