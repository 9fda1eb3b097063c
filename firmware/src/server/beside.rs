//! What others of the daemon share with the server, who bring requests in another way.

use std::sync::Arc;

use super::Server;
use crate::radius::Desk;

impl Server {
    /// For those who ask by RADIUS: the same services, readers, cores and counters.
    #[must_use]
    pub fn desk(&self) -> Desk {
        let state = &self.state;
        Desk {
            lock: state.lock.clone(),
            claim: state.claim.clone(),
            sensors: state.sensors.clone(),
            cores: Arc::clone(&state.cores),
            count: Arc::new(state.operation.metrics.clone()),
        }
    }
}
