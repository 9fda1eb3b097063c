//! `authenteon-image`: the appliance's disk on a host, without Buildroot.
//!
//! So far it holds the layout, renders it for genimage, and names what a host lacks.
#![forbid(unsafe_code)]

mod genimage;
mod host;
mod layout;

use std::{path::PathBuf, process::ExitCode};

use authenteon_image::bundle;

use clap::{Parser, Subcommand};

/// The appliance's disk image on a host.
#[derive(Parser)]
#[command(name = "authenteon-image", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 the bundle cannot be made, 64 wrong usage, 69 a tool is missing on this host.";

#[derive(Subcommand)]
enum Command {
    /// Print the partition layout.
    Layout {
        /// As one JSON array.
        #[arg(long, conflicts_with = "genimage")]
        json: bool,
        /// As a configuration for genimage.
        #[arg(long)]
        genimage: bool,
    },
    /// Make a signed update bundle that this appliance and RAUC accept.
    Bundle {
        /// Root file system: squashfs with its verity tree.
        #[arg(long)]
        rootfs: PathBuf,
        /// FAT image with kernel and initramfs.
        #[arg(long)]
        boot: PathBuf,
        /// Which version it brings.
        #[arg(long)]
        version: String,
        /// Which board it is for.
        #[arg(long)]
        board: String,
        /// Private key of the signer (PEM, PKCS #8: P-256, P-384 or RSA).
        #[arg(long)]
        key: PathBuf,
        /// Its certificate (PEM), and after it those between it and the keyring.
        #[arg(long)]
        cert: PathBuf,
        /// Where the bundle goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Say which host tools are missing for making and booting an image, and how to install them.
    Check,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => {
            // Help goes to standard output, errors to standard error; a closed pipe is not our error.
            let _ = why.print();
            return ExitCode::from(if why.use_stderr() { 64 } else { 0 });
        }
    };
    match cli.command {
        Command::Layout { json, genimage } => print_layout(json, genimage),
        Command::Bundle { rootfs, boot, version, board, key, cert, out } => {
            match bundle::from_files([&rootfs, &boot, &key, &cert, &out], &board, &version) {
                Ok(_) => ExitCode::SUCCESS,
                Err(why) => {
                    eprintln!("authenteon-image: {why}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Check => check(),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
fn print_layout(json: bool, genimage: bool) -> ExitCode {
    if genimage {
        print!("{}", genimage::config("authenteon.img"));
    } else if json {
        match serde_json::to_string_pretty(&layout::PARTITIONS) {
            Ok(text) => println!("{text}"),
            Err(why) => {
                eprintln!("the layout cannot be written as JSON: {why}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        for (at, p) in layout::PARTITIONS.iter().enumerate() {
            // Logical partitions are numbered from five.
            let number = if p.logical { at + 2 } else { at + 1 };
            println!(
                "{number}  {:<9} {:>4} MiB  type {:#04x}  {:?}",
                p.name, p.mebibytes, p.mbr_type, p.content
            );
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
fn check() -> ExitCode {
    let missing = host::missing();
    if missing.is_empty() {
        println!("this host has every tool that making and booting an image needs");
        return ExitCode::SUCCESS;
    }
    for tool in &missing {
        println!("missing: {} (package {})", tool.program, tool.package);
    }
    println!("on Debian: {}", host::install_command(&missing));
    ExitCode::from(69)
}
