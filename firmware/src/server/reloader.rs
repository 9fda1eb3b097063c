//! What a running server reads again, and what it is told by who keeps its certificates.
//!
//! Invariant: what cannot be read leaves what was there in use, and closes no connection.

use tracing::error;

use super::{Settings, State, TlsError, certificate::ServerCertificate};
use crate::{
    clock::{Clock, SystemClock},
    config::Limits,
    credential::stations::StationError,
};

/// Reads what lies in the authority's folder again: the registry of clients, for connections that are open too, and the
/// server's certificate, for those to come.
#[derive(Clone)]
pub struct Reloader {
    pub(super) state: State,
    pub(super) certificate: ServerCertificate,
}

impl Reloader {
    /// Reads it, and makes facts of the store of what is in it, once that is open; when it cannot be read the old one
    /// stays.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn reload(&self) -> Result<(), StationError> {
        self.state.settle_clients()
    }

    /// Reads the server's certificate and key again: every handshake from now on shows them, on TCP and on QUIC, and no
    /// connection is closed for it. When they cannot be used the old ones stay.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.certificate.reload()
    }

    /// The configuration was read again: what can be used without a start is used from now on.
    pub fn settings(&self, limits: Limits, settings: Settings) {
        self.state.limits.change(limits);
        self.keep(Some(settings.waiting.clone()));
        self.state.operation.read(settings);
    }

    fn keep(&self, waiting: Option<Vec<String>>) {
        let kept = self.state.lock.services().map(|services| services.configuration_read(waiting));
        if let Some(Err(why)) = kept {
            error!(%why, "that the configuration was read again is not in the audit");
        }
    }

    /// The configuration was read again, and cannot be used.
    pub fn settings_refused(&self, why: String) {
        self.keep(None);
        self.state.operation.refuse(why);
    }

    /// The state of the box, in the words of the API.
    #[must_use]
    pub fn standing(&self) -> &'static str {
        self.state.standing()
    }

    /// Ends certificates that were renewed by ones that are in use.
    ///
    /// # Errors
    /// [`StationError`].
    pub fn retire(&self) -> Result<(), StationError> {
        let Some(services) = self.state.lock.services() else { return Ok(()) };
        self.state.stations.retire(SystemClock.now(), |client| services.client_superseded(client))
    }

    /// The same as [`Reloader::reload`] as soon as the store is open.
    pub async fn reload_once_open(&self) {
        if self.state.lock.opened().await.is_err() {
            return;
        }
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.reload()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => error!(%why, "registry of clients and store are not brought together"),
            Err(why) => error!(%why, "registry of clients and store are not brought together"),
        }
    }
}
