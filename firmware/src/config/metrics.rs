//! `[metrics]`: where Prometheus asks.

use std::net::SocketAddr;

use serde::Deserialize;

/// The listener for metrics; without this section there is none.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metrics {
    /// Address and port, of this machine alone unless `allow-remote`.
    pub listen: SocketAddr,
    /// Whether other machines may ask, in clear and without saying who they are.
    #[serde(default)]
    pub allow_remote: bool,
}

impl Metrics {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.listen.ip().is_loopback() || self.allow_remote {
            return Ok(());
        }
        Err(
            "metrics are served in clear and to everybody who asks: listen on 127.0.0.1, or say allow-remote = true \
             where the network is one of your own",
        )
    }
}
