//! Measures how many verifications a daemon carries, and how long they take.

#![forbid(unsafe_code)]

use std::{io::IsTerminal as _, num::NonZeroU32, path::PathBuf, process::ExitCode};

use authenteon_tests::{
    load::{Bar, Figures, Http, LoadError, Order, Sample, highest, idle, run},
    options::options,
};
use clap::Parser;
use serde::Serialize;

/// Starts the real daemon on loopback and asks it to verify fingers at a fixed rate, whether it keeps up or not. Each
/// request is a distinct synthetic impression, rendered beforehand; times count from the moment at which a request was
/// due. Client and daemon share the machine.
///
/// Exit codes: 0 measured, 1 there were errors or wrong decisions or a bound was passed, 64 wrong options, 69 the daemon does not run.
#[derive(Parser)]
#[command(name = "load", version)]
struct Options {
    /// Requests a second.
    #[arg(long, default_value = "50", value_name = "N")]
    rate: NonZeroU32,
    /// For how long.
    #[arg(long, default_value = "20", value_name = "S")]
    seconds: NonZeroU32,
    /// What a probe is sent as.
    #[arg(long, value_enum, default_value_t = Sample::Image)]
    sample: Sample,
    /// Over which HTTP: 1 and 2 over TLS on TCP, 3 over QUIC.
    #[arg(long, default_value = "1", value_name = "1|2|3")]
    http: Http,
    /// Connections that are kept.
    #[arg(long, default_value = "16", value_name = "C")]
    connections: NonZeroU32,
    /// Look for the highest rate whose p99 stays under 100 ms instead.
    #[arg(long, conflicts_with_all = ["rate", "idle"])]
    highest: bool,
    /// Open so many connections that do nothing instead, and say what memory each costs.
    #[arg(long, value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    idle: Option<u32>,
    /// Fail when the 99th percentile is more.
    #[arg(long, value_name = "MS", conflicts_with_all = ["highest", "idle"])]
    p99_ms: Option<f64>,
    /// Fail when half of the full handshakes with a verification take longer.
    #[arg(long, value_name = "MS", conflicts_with_all = ["highest", "idle"])]
    handshake_ms: Option<f64>,
    /// Fail when an idle connection costs more memory.
    #[arg(long, value_name = "BYTES", requires = "idle")]
    bytes_each: Option<u64>,
    /// The daemon to start [default: authenteond of this workspace, built in the same profile].
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match measure(&options) {
        Ok(held) => ExitCode::from(u8::from(!held)),
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::from(if matches!(why, LoadError::Daemon(_)) { 69 } else { 1 })
        }
    }
}

/// Measures and prints; whether there were no errors and every bound held.
fn measure(options: &Options) -> Result<bool, LoadError> {
    let order = Order {
        rate: options.rate,
        seconds: options.seconds,
        sample: options.sample,
        http: options.http,
        connections: options.connections,
        daemon: options.daemon.clone(),
    };
    let bar = Bar::new(std::io::stderr().is_terminal());
    if let Some(connections) = options.idle {
        let cost = idle(&order, connections as usize)?;
        print(options, &cost, || {
            format!("{} idle connections: {} bytes each", cost.connections, cost.bytes_each)
        });
        return Ok(within(
            "bytes of an idle connection",
            cost.bytes_each as f64,
            options.bytes_each.map(|most| most as f64),
        ));
    }
    if options.highest {
        let best = highest(&order, &bar)?;
        bar.finish();
        print(options, &best, || format!("highest rate with p99 under 100 ms: {}", describe(&best.figures)));
        return Ok(true);
    }
    let figures = run(&order, &bar)?;
    bar.finish();
    print(options, &figures, || describe(&figures));
    let soon = within("p99 in ms", figures.p99_ms, options.p99_ms);
    let begun = within("handshake and verify in ms", figures.handshake_verify_ms_p50, options.handshake_ms);
    Ok(figures.errors == 0 && soon && begun)
}

/// Whether a figure keeps its bound; says so when it does not.
fn within(what: &str, figure: f64, most: Option<f64>) -> bool {
    let passed = most.filter(|most| figure > *most);
    if let Some(most) = passed {
        eprintln!("load: {what}: {figure} is more than {most}");
    }
    passed.is_none()
}

fn describe(figures: &Figures) -> String {
    let Figures { rate, sent, errors, p50_ms, p99_ms, p999_ms, handshake_verify_ms_p50, rss_mb } = figures;
    format!(
        "{rate} requests/s: {sent} sent, {errors} errors; p50 {p50_ms} ms, p99 {p99_ms} ms, p99.9 {p999_ms} ms; \
         full handshake and verify p50 {handshake_verify_ms_p50} ms; daemon {rss_mb} MiB"
    )
}

#[expect(clippy::print_stdout, reason = "the result of a program")]
fn print(options: &Options, figures: &impl Serialize, words: impl FnOnce() -> String) {
    // Numbers and names only: always JSON.
    let json = || serde_json::to_string(figures).unwrap_or_default();
    println!("{}", if options.json { json() } else { words() });
}
