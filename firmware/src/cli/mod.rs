//! The command line of `authenteond`.

mod agent;
mod clock;
mod console;
mod descriptors;
mod exit;
mod network;
mod pki;
mod reload;
mod repair;
mod selftest;
mod serve;
mod storage;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{config::PORT, demo, request::Role};
use exit::{Failure, USAGE};
pub(crate) use serve::log_to_stderr;

const EXIT_CODES: &str = "Exit codes (sysexits): 0 done; 1 a demo decision was wrong; 64 wrong usage; \
65 wrong data; 66 an input is missing; 69 the address is taken or a service is not there; 70 internal error; \
73 cannot create a file; 74 cannot read or write; 77 not permitted; 78 wrong configuration.";

/// Fingerprint authentication daemon.
#[derive(Parser)]
#[command(name = "authenteond", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job: enrol, verify, refuse and identify over TLS, then keep serving.
    Demo(DemoArguments),
    /// Serve until SIGTERM or SIGINT. SIGHUP reads the configuration, the registry of clients and the certificate again.
    Serve {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Check a configuration: errors and doubtful values are named with their line.
    Validate {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// The store of a daemon that does not run.
    #[command(subcommand)]
    Store(repair::StoreCommand),
    /// The box's own certificate authority.
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Clients: who holds which certificate. A running daemon sees changes after SIGHUP.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Install updates for the daemon, as root: it asks over a Unix socket.
    SystemAgent(agent::AgentArguments),
    /// Answer what is typed at the box's own console: status, restart, factory reset.
    Console(console::ConsoleArguments),
    /// Say which address the box takes, by the files on its card, for the script that sets it.
    Network(network::NetworkArguments),
    /// Keep the clock by what time servers say, as root: it gives up every right but that one.
    Clock(clock::ClockArguments),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// What the demo takes.
#[derive(clap::Args)]
pub(crate) struct DemoArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], PORT)))]
    pub(crate) listen: SocketAddr,
    /// Stop after the steps; exit 0 only if every decision was right.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// A folder of <finger>_<impression>.png, .tif, .bmp or .wsq instead of the built-in prints.
    #[arg(long)]
    pub(crate) frames: Option<PathBuf>,
    /// Resolution of the folder's prints [default: its set.toml, or 500].
    #[arg(long, requires = "frames")]
    pub(crate) dpi: Option<u32>,
}

#[derive(Subcommand)]
enum PkiCommand {
    /// Make an authority and a server certificate.
    Init {
        /// The authority's folder.
        #[arg(long)]
        dir: PathBuf,
        /// Names and addresses that clients reach the box by.
        #[arg(long = "name", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
        names: Vec<String>,
    },
    /// Issue the server's certificate anew.
    Server {
        /// The authority's folder.
        #[arg(long)]
        dir: PathBuf,
        /// Names and addresses that clients reach the box by.
        #[arg(long = "name", required = true)]
        names: Vec<String>,
    },
}

#[derive(Subcommand)]
enum ClientCommand {
    /// Issue a certificate and register it.
    Add {
        /// The authority's folder.
        #[arg(long)]
        dir: PathBuf,
        /// What the client is called.
        #[arg(long)]
        name: String,
        /// administrator (all that the others may but verify and identify), officer (subjects, enrolment), station
        /// (verify, identify), auditor (reads the audit) or backup (takes backups).
        #[arg(long)]
        role: Role,
        /// Where certificate and key go.
        #[arg(long)]
        out: PathBuf,
    },
    /// List the clients.
    List {
        /// The authority's folder.
        #[arg(long)]
        dir: PathBuf,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Remove a client: its certificate is nobody's from the next SIGHUP on.
    Remove {
        /// The authority's folder.
        #[arg(long)]
        dir: PathBuf,
        /// What the client is called.
        #[arg(long)]
        name: String,
    },
}

/// Runs the command line and gives its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => {
            // A closed pipe is not our error.
            let _ = why.print();
            return ExitCode::from(if why.use_stderr() { USAGE } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments).map_err(Failure::from),
        Command::Serve { config } => serve::serve(&config),
        Command::Validate { config } => serve::validate(&config),
        Command::Store(command) => repair::run(command),
        Command::Pki(command) => pki::pki(command),
        Command::Client(command) => pki::client(command),
        Command::SystemAgent(arguments) => agent::run(arguments),
        Command::Console(arguments) => console::run(&arguments),
        Command::Network(arguments) => network::run(arguments),
        Command::Clock(arguments) => clock::run(arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "authenteond", &mut std::io::stdout());
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("authenteond: {}", failure.why);
            ExitCode::from(failure.code)
        }
    }
}
