//! What goes wrong between a client and its box, told apart by what a person would do about it.

use std::path::PathBuf;

use crate::problem::Problem;

/// Why the box was not asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// A certificate, key or token file is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that must be given is not.
    #[error("{0}")]
    Missing(&'static str),
    /// Such a request cannot be made.
    #[error("{0}")]
    Request(String),
    /// Nobody answers there.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody answers, but it is not the box that the authority vouches for.
    #[error("{server} is not the box expected: {reason}")]
    Untrusted {
        /// Host and port.
        server: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The box refused our certificate while shaking hands.
    #[error("{server} refused the client certificate: {reason}")]
    CertificateRefused {
        /// Host and port.
        server: String,
        /// Its alert.
        reason: String,
    },
    /// The box took longer than it was given.
    #[error("{server} did not answer within {seconds} s")]
    TimedOut {
        /// Host and port.
        server: String,
        /// How long it was given.
        seconds: u64,
    },
    /// The box refused the request and said why.
    #[error("{0}")]
    Problem(Problem),
    /// The box answered what this client does not understand.
    #[error("the box's answer makes no sense: {0}")]
    Answer(String),
    /// The operating system failed us.
    #[error("{0}")]
    System(String),
}
