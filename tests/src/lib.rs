//! The bench: what Authenteon is measured with.
//!
//! [`synthetic`] makes prints whose truth is known, [`sets`] reads and writes folders of prints,
//! [`accuracy`] says how often the matcher errs on them, [`calibration`] fits what its scores mean,
//! [`scale`] says how long a search among a million fingers takes and what it misses,
//! [`replay`] measures how well a replay is told from another impression,
//! [`load`] asks a daemon as often as an office does and says how long it takes, [`http3`] is a client of it over QUIC,
//! [`emulator`] a reader for programs that want a serial port, [`swtpm`] a TPM for those that want one, [`servers`] the
//! directory servers that an office has.

#![forbid(unsafe_code)]

pub mod accuracy;
pub mod calibration;
pub mod emulator;
pub mod http3;
pub mod load;
pub mod options;
pub mod replay;
pub mod scale;
pub mod servers;
pub mod sets;
pub mod swtpm;
pub mod synthetic;
