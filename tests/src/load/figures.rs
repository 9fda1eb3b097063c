//! What was measured, in numbers.

use std::time::Duration;

use serde::Serialize;

/// The figures of a load. Times are in milliseconds, from the moment a request was due to its whole answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Requests a second that were asked for.
    pub rate: u32,
    /// Requests sent.
    pub sent: usize,
    /// Requests that got no decision.
    pub errors: usize,
    /// Half of them took less.
    pub p50_ms: f64,
    /// Of a hundred, 99 took less.
    pub p99_ms: f64,
    /// Of a thousand, 999 took less.
    pub p999_ms: f64,
    /// Half of the verifications on a connection of their own, full handshake included, took less.
    pub handshake_verify_ms_p50: f64,
    /// Memory of the daemon at the end, resident, in MiB.
    pub rss_mb: f64,
}

/// The time that a share of all took at most; nothing of nothing is zero.
pub(crate) fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let rank = (share * times.len() as f64).ceil() as usize;
    let at = rank.saturating_sub(1).min(times.len().saturating_sub(1));
    let milliseconds = times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    (milliseconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_time_that_so_many_did_not_exceed() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert!((quantile(&mut times, 0.5) - 50.0).abs() < 1e-9);
        assert!((quantile(&mut times, 0.99) - 99.0).abs() < 1e-9);
        assert!((quantile(&mut times, 0.999) - 100.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).abs() < 1e-9);
    }
}
