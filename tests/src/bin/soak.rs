//! Soaks a daemon in requests and faults, and says whether it held.

#![forbid(unsafe_code)]

use std::{io::IsTerminal as _, num::NonZeroUsize, path::PathBuf, process::ExitCode};

use authenteon_tests::{
    load::{Bar, Http, LoadError, SoakOrder, Soaked, soak},
    options::options,
};
use clap::Parser;

/// Starts the real daemon on loopback and has several clients verify fingers as fast as it answers, while handshakes and
/// bodies are cut, the port gets plain text, requests come twice, the configuration is read again, and the daemon is
/// killed. Then it reads the audit: every answer must be there once. Replay is off in it, and nobody is locked out:
/// the same prints are presented over and over.
///
/// Exit codes: 0 it held, 1 it did not, 64 wrong options, 69 the daemon does not run.
#[derive(Parser)]
#[command(name = "soak", version)]
struct Options {
    /// Requests in all.
    #[arg(long, default_value = "200000", value_name = "N")]
    requests: NonZeroUsize,
    /// Which faults come when.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Protocols of the clients, in turn.
    #[arg(long, default_value = "1,2,3", value_delimiter = ',', value_name = "1|2|3")]
    http: Vec<Http>,
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
    let Options { requests, seed, http, daemon, json } = options;
    let bar = Bar::new(std::io::stderr().is_terminal());
    eprintln!("replay is off and nobody is locked out in this run");
    let done = soak(&SoakOrder { requests, seed, http, daemon }, &bar);
    bar.finish();
    match done {
        Ok(soaked) => {
            print(&soaked, json);
            ExitCode::from(u8::from(!soaked.held))
        }
        Err(why) => {
            eprintln!("soak: {why}");
            ExitCode::from(if matches!(why, LoadError::Daemon(_)) { 69 } else { 1 })
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of a program")]
fn print(soaked: &Soaked, json: bool) {
    if json {
        // Numbers and names only: always JSON.
        return println!("{}", serde_json::to_string(soaked).unwrap_or_default());
    }
    let Soaked {
        decided,
        faults,
        errors,
        kills,
        per_second,
        memory_readings_mb,
        memory_mb,
        descriptors,
        records,
        missing,
        held,
    } = soaked;
    println!("{decided} decisions, {per_second} a second; {errors} errors; killed {kills} times");
    for (fault, times) in faults {
        println!("  {times:6} {fault}");
    }
    println!(
        "memory halfway {} MiB, at the end {} MiB; descriptors {}, then {}; all readings in MiB: {memory_readings_mb:?}",
        memory_mb.0, memory_mb.1, descriptors.0, descriptors.1
    );
    println!("audit: {records} records without a gap; {missing} decisions missing or twice");
    println!("{}", if *held { "it held" } else { "it did not hold" });
}
