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
/// Exit codes: 0 measured, 1 there were errors or wrong decisions, 64 wrong options, 69 the daemon does not run.
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
        Ok(errors) => ExitCode::from(u8::from(errors > 0)),
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::from(if matches!(why, LoadError::Daemon(_)) { 69 } else { 1 })
        }
    }
}

/// Measures and prints; gives the number of errors.
fn measure(options: &Options) -> Result<usize, LoadError> {
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
        return Ok(0);
    }
    if options.highest {
        let best = highest(&order, &bar)?;
        bar.finish();
        print(options, &best, || format!("highest rate with p99 under 100 ms: {}", describe(&best.figures)));
        return Ok(0);
    }
    let figures = run(&order, &bar)?;
    bar.finish();
    print(options, &figures, || describe(&figures));
    Ok(figures.errors)
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
