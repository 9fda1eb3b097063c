//! The listener of the metrics: in clear, on loopback unless the configuration says otherwise. It has `/metrics` and nothing
//! else.

use hyper::StatusCode;
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE as TEXT;
use tokio::net::TcpListener;
use tracing::warn;

use super::gauges;
use crate::server::{
    State,
    clear::{self, given, said},
};

/// Answers for ever.
pub(in crate::server) async fn serve(listener: TcpListener, state: State) {
    clear::serve(listener, "metrics", move |path| {
        let state = state.clone();
        async move {
            if path != "/metrics" {
                return None;
            }
            // It reads files.
            Some(match tokio::task::spawn_blocking(move || gauges::text(&state)).await {
                Ok(text) => given(StatusCode::OK, TEXT, text),
                Err(why) => {
                    warn!(%why, "no metrics");
                    said(StatusCode::INTERNAL_SERVER_ERROR, "no metrics; the log says why\n")
                }
            })
        }
    })
    .await;
}
