//! Exit codes, after sysexits.h, and which error leads to which.

use crate::{
    config::ConfigError,
    credential::{authority::AuthorityError, clients::ClientsError},
    demo::DemoError,
    server::ServeError,
    services::OpenError,
    store::{KeyError, StoreError},
    update::{agent::AgentError, boot::BootError},
};

pub(super) const USAGE: u8 = 64;
pub(super) const DATA: u8 = 65;
pub(super) const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const CANNOT_CREATE: u8 = 73;
const IO: u8 = 74;
pub(super) const NOT_PERMITTED: u8 = 77;
const CONFIG: u8 = 78;

/// An error on its way out.
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) why: String,
}

impl Failure {
    pub(super) fn new(code: u8, why: &dyn std::fmt::Display) -> Self {
        Self { code, why: why.to_string() }
    }

    pub(super) fn io(why: &std::io::Error) -> Self {
        Self::new(code_of(why, IO), why)
    }
}

fn code_of(why: &std::io::Error, other: u8) -> u8 {
    match why.kind() {
        std::io::ErrorKind::NotFound => NO_INPUT,
        std::io::ErrorKind::PermissionDenied => NOT_PERMITTED,
        _ => other,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = match &error {
            ConfigError::File { why, .. } => code_of(why, IO),
            ConfigError::Syntax { .. } | ConfigError::Variable { .. } | ConfigError::Value { .. } => CONFIG,
        };
        Self::new(code, &error)
    }
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        let code = match &error {
            AuthorityError::Exists(_) | AuthorityError::InTheWay(_) => CANNOT_CREATE,
            AuthorityError::File { why, .. } => code_of(why, CANNOT_CREATE),
            AuthorityError::Certificate(_) => DATA,
        };
        Self::new(code, &error)
    }
}

impl From<ClientsError> for Failure {
    fn from(error: ClientsError) -> Self {
        let code = match &error {
            ClientsError::File { why, .. } => code_of(why, IO),
            ClientsError::Syntax { .. } => CONFIG,
            ClientsError::Exists(_) | ClientsError::Unknown(_) => DATA,
        };
        Self::new(code, &error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Listen { ref why, .. } | ServeError::Udp { ref why, .. } => {
                Self::new(code_of(why, UNAVAILABLE), &error)
            }
            ServeError::Tls(_) => Self::new(CONFIG, &error),
            ServeError::Clients(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::InUse | StoreError::Locked => UNAVAILABLE,
            StoreError::Tpm(ref why) if why.is_absence() => UNAVAILABLE,
            StoreError::Tpm(_) => DATA,
            StoreError::Damaged { .. }
            | StoreError::Foreign { .. }
            | StoreError::Behind { .. }
            | StoreError::Newer { .. }
            | StoreError::MasterKey { .. } => DATA,
            StoreError::Full | StoreError::Io(_) => IO,
            // A service that is not there yet.
            StoreError::Degraded { .. } | StoreError::Superseded => UNAVAILABLE,
        };
        Self::new(code, &error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Store(error) => return error.into(),
            KeyError::Wrong => NOT_PERMITTED,
            KeyError::Missing => NO_INPUT,
            KeyError::NotEncrypted => DATA,
        };
        Self::new(code, &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Audit(_) | OpenError::Template(_) => Self::new(DATA, &error),
        }
    }
}

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        let code = match &error {
            BootError::File { why, .. } => code_of(why, IO),
            BootError::Syntax { .. } => DATA,
        };
        Self::new(code, &error)
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        let code = match &error {
            AgentError::State(why) => code_of(why, IO),
            AgentError::Socket(why) => code_of(why, UNAVAILABLE),
            AgentError::Bootloader(_) => IO,
        };
        Self::new(code, &error)
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Frames(why) => Self::new(NO_INPUT, &why),
            DemoError::TooFew(why) => Self::new(DATA, &why),
            DemoError::Io(why) => Self::io(&why),
            DemoError::Authority(why) => why.into(),
            DemoError::Clients(why) => why.into(),
            DemoError::Serve(why) => why.into(),
            DemoError::Open(why) => why.into(),
            DemoError::Client(_) | DemoError::Sensor(_) | DemoError::Frame(_) => Self::new(SOFTWARE, &error),
        }
    }
}
