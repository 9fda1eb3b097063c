//! What the server counts, for whoever watches it: Prometheus text on a listener of its own.
//!
//! Invariant: labels come from closed sets that are written in the code; no name, no subject, no station, no address is
//! ever one.

mod gauges;
mod listener;

use std::{sync::Arc, time::Duration};

use authenteon_hal::clock::{Clock, SystemClock as MonotonicClock};
use axum::{
    extract::{MatchedPath, Request, State as Shared},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::access::ROUTES;
use crate::{
    observe::{Observer, Step},
    policy::Decision,
    radius::{Count, Outcome},
    verify::name,
};

pub(super) use gauges::text;
pub(super) use listener::serve;

/// What the names of all our metrics begin with.
const PREFIX: &str = "authenteon";

/// A label: its name and a value of a closed set.
type Label = (&'static str, &'static str);

/// Counters and times. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    clock: Arc<MonotonicClock>,
    requests: Family<[Label; 3], Counter>,
    request_times: Family<[Label; 2], Histogram, fn() -> Histogram>,
    in_progress: Gauge,
    connections: Family<[Label; 1], Gauge>,
    decisions: Family<[Label; 3], Counter>,
    radius: Family<[Label; 1], Counter>,
    extractions: Histogram,
    comparisons: Histogram,
    commits: Histogram,
}

/// From a fifth of a millisecond to six seconds and a half.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.0002, 2.0, 16))
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let this = Self {
            registry: Arc::default(),
            clock: Arc::new(MonotonicClock::new()),
            requests: Family::default(),
            request_times: Family::new_with_constructor(times),
            in_progress: Gauge::default(),
            connections: Family::default(),
            decisions: Family::default(),
            radius: Family::default(),
            extractions: times(),
            comparisons: times(),
            commits: times(),
        };
        registry.register("requests", "Requests answered", this.requests.clone());
        let help = "Time from a request's head to its answer's head";
        registry.register_with_unit("request_duration", help, Unit::Seconds, this.request_times.clone());
        let help = "Requests that are being answered: open streams";
        registry.register("requests_in_progress", help, this.in_progress.clone());
        registry.register("connections", "Connections that are open", this.connections.clone());
        let help = "Decisions given, with the reason that clients are told";
        registry.register("decisions", help, this.decisions.clone());
        registry.register("radius_packets", "Packets of RADIUS, by what became of them", this.radius.clone());
        // There from the start, so that a rate of them is one.
        for outcome in [Outcome::Accept, Outcome::Reject] {
            this.radius.get_or_create(&[("outcome", outcome.name())]).inc_by(0);
        }
        let help = "Time from an image to its template";
        registry.register_with_unit("extraction_duration", help, Unit::Seconds, this.extractions.clone());
        let help = "Time from a template to a decision: a comparison or a search";
        registry.register_with_unit("comparison_duration", help, Unit::Seconds, this.comparisons.clone());
        let help = "Time until a change and its audit record are durable";
        registry.register_with_unit("commit_duration", help, Unit::Seconds, this.commits.clone());
        Self { registry: Arc::new(registry), ..this }
    }

    /// A decision was given.
    pub(crate) fn decided(&self, operation: &'static str, decision: &Decision) {
        let reason = match decision {
            Decision::Refuse { reason } => reason.name(),
            _ => "none",
        };
        let labels = [("operation", operation), ("decision", name(decision)), ("reason", reason)];
        self.decisions.get_or_create(&labels).inc();
    }

    /// A connection over this transport is open, until what is given is dropped.
    pub(crate) fn connection(&self, transport: &'static str) -> Open {
        Open::new(self.connections.get_or_create_owned(&[("transport", transport)]))
    }
}

/// Something that is open, and counted.
pub(crate) struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Count for Metrics {
    fn radius(&self, outcome: Outcome) {
        self.radius.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    fn verified(&self, decision: &Decision) {
        self.decided("verify", decision);
    }
}

impl Observer for Metrics {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn took(&self, step: Step, time: Duration) {
        let of = match step {
            Step::Extraction => &self.extractions,
            Step::Comparison => &self.comparisons,
            Step::Commit => &self.commits,
        };
        of.observe(time.as_secs_f64());
    }
}

/// Counts a request and what became of it.
pub(crate) async fn measure(
    Shared(metrics): Shared<Metrics>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let route = path.as_ref().map_or("none", |path| known(path.as_str()));
    let method = method(request.method().as_str());
    let began = metrics.clock.now();
    let open = Open::new(metrics.in_progress.clone());
    let response = next.run(request).await;
    drop(open);
    let took = metrics.clock.now().saturating_sub(began);
    let (route, method) = (("route", route), ("method", method));
    metrics.request_times.get_or_create(&[route, method]).observe(took.as_secs_f64());
    let status = ("status", class(response.status().as_u16()));
    metrics.requests.get_or_create(&[route, method, status]).inc();
    response
}

/// The route as the access table has it.
fn known(path: &str) -> &'static str {
    ROUTES.iter().map(|(route, _, _)| *route).find(|route| *route == path).unwrap_or("none")
}

fn method(name: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE"].into_iter().find(|known| *known == name).unwrap_or("other")
}

fn class(status: u16) -> &'static str {
    match status {
        ..400 => "2xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;

    use super::*;
    use crate::policy::RefuseReason;

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        text
    }

    #[test]
    fn a_decision_is_counted_under_its_public_reason() {
        let metrics = Metrics::new();
        metrics.decided("verify", &Decision::Refuse { reason: RefuseReason::NotMatched });
        metrics.decided("verify", &Decision::Refuse { reason: RefuseReason::NotMatched });
        let line =
            "authenteon_decisions_total{operation=\"verify\",decision=\"refuse\",reason=\"not-matched\"} 2\n";
        assert!(text(&metrics).contains(line), "{}", text(&metrics));
    }

    #[test]
    fn a_connection_is_counted_until_it_ends() {
        let metrics = Metrics::new();
        let open = metrics.connection("tcp");
        assert!(
            text(&metrics).contains("authenteon_connections{transport=\"tcp\"} 1\n"),
            "{}",
            text(&metrics)
        );
        drop(open);
        assert!(text(&metrics).contains("authenteon_connections{transport=\"tcp\"} 0\n"));
    }

    #[test]
    fn what_a_caller_makes_up_is_no_label() {
        assert_eq!(known("/v1/subjects/Erika"), "none");
        assert_eq!(known("/v1/subjects/{id}"), "/v1/subjects/{id}");
        assert_eq!(method("BREW"), "other");
    }
}
