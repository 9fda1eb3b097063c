//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

const EXITS: &str = "\
Exit codes:
   0  done
   1  failed
   2  wrong usage
  69  the box cannot be reached, or does not do its work
  78  wrong configuration: its file, a certificate, a key, or a reader that cannot be used";

/// Asks an Authenteon box for the programs of this machine whether a finger is somebody's.
///
/// `pam_authenteon.so` asks it over a socket; it holds the machine's key and talks TLS to the box.
#[derive(Debug, Parser)]
#[command(name = "authenteon-agent", version, after_help = EXITS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer until it is told to stop: what the systemd unit does
    Serve {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Look whether the box can be asked: configuration, certificate, authority, reader
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// Which one
        shell: Shell,
    },
}

const CONFIG: &str = "/etc/authenteon/agent.toml";
