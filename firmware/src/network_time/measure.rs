//! Asking a server: one SNTP request (RFC 5905, section 14), one answer.

use std::{io, net::SocketAddr, time::Duration};

use rsntp::{Config, KissCode, ProtocolError, SntpClient, SynchronizationError};

use super::{
    discipline::{Measurement, Offset},
    servers::TimeServer,
};

/// The longest that a server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds by which clocks may differ while one answer is measured.
const LEAST_DELAY: f64 = 0.01;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Its name has no address, or it cannot be reached.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not want to be asked: it is left alone for a while.
    #[error("it refuses to answer: {0}")]
    Unwanted(String),
    /// It does not know the time, or what it says is no answer to what it was asked.
    #[error("{0}")]
    Answer(String),
}

/// Asks a server.
///
/// # Errors
/// [`AskError`].
pub fn ask(server: &TimeServer) -> Result<Measurement, AskError> {
    let address = server.resolve()?;
    let any = if address.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0; 16], 0)) };
    let client = SntpClient::with_config(Config::default().bind_address(any).timeout(PATIENCE));
    let answer = client.synchronize(address).map_err(|why| match why {
        SynchronizationError::IOError(why) if is_timeout(&why) => {
            AskError::Io(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
        }
        SynchronizationError::IOError(why) => AskError::Io(why),
        SynchronizationError::ProtocolError(ProtocolError::KissODeath(code)) if unwanted(&code) => {
            AskError::Unwanted(format!("{code:?}"))
        }
        SynchronizationError::ProtocolError(why) => AskError::Answer(why.to_string()),
    })?;
    let millis = (answer.clock_offset().as_secs_f64() * 1000.0).round();
    let delay = answer.round_trip_delay().as_secs_f64();
    // Two clocks that run differently make it a little less than nothing. What is far from that is a server
    // that says it worked for longer than we waited, or one without a time, which is read as one in 2036.
    let delay = Some(delay).filter(|delay| *delay > -LEAST_DELAY).map(|delay| delay.max(0.0));
    let delay = delay.and_then(|delay| Duration::try_from_secs_f64(delay).ok());
    let delay = delay.ok_or_else(|| AskError::Answer("its times make no sense".to_owned()))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds of 64 bits fit; what is larger is cut to the largest"
    )]
    Ok(Measurement { offset: Offset::from_millis(millis as i64), delay })
}

fn is_timeout(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Kiss codes that mean: not again soon (RFC 5905, section 7.4).
fn unwanted(code: &KissCode) -> bool {
    matches!(code, KissCode::AccessDenied | KissCode::RateExceeded)
}
