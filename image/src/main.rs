//! `authenteon-image`: the appliance's disk on a host, without Buildroot.
//!
//! It holds the layout, builds a disk from sources and Debian's packages, boots it in QEMU and tests it
//! there.
#![forbid(unsafe_code)]

mod board;
mod build;
mod failure;
mod flash;
mod genimage;
mod host;
mod layout;
mod machine;
mod sbom;
mod test;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use authenteon_image::bundle;

use clap::{Args, Parser, Subcommand};

use crate::{
    board::Board,
    build::{Plan, Release},
    failure::{Failure, at},
    flash::Product,
    machine::{Ended, Machine, Network, Setup},
    test::Selection,
};

/// The appliance's disk image on a host.
#[derive(Parser)]
#[command(name = "authenteon-image", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 64 wrong usage, 69 a tool is missing on this host.";

/// What is built, and where.
#[derive(Args)]
struct BuildArguments {
    /// The machine to build for.
    #[arg(long, value_enum, default_value = "qemu")]
    board: Board,
    /// Where everything goes [default: target/image/BOARD].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Version of the release [default: that of the workspace].
    #[arg(long = "release")]
    version: Option<String>,
    /// Certificates (PEM) whose updates the box takes [default: a throw-away authority; the image says TEST].
    #[arg(long)]
    keyring: Option<PathBuf>,
}

impl BuildArguments {
    fn plan(self) -> Plan {
        let folder = match self.board {
            Board::Qemu => "target/image/qemu",
            Board::Pi => "target/image/pi",
        };
        let out = self.out.unwrap_or_else(|| PathBuf::from(folder));
        Plan {
            board: self.board,
            test_authority: out.join("test-authority"),
            packages: out.join("packages"),
            deaf: false,
            profile: "release",
            out,
            release: Release::of_this_tree(self.version, self.keyring.is_none()),
            keyring: self.keyring,
        }
    }
}

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
        /// For the flashable disk of this board, as `buildroot/` makes it.
        #[arg(long, value_enum, requires = "genimage")]
        board: Option<Product>,
    },
    /// Build a disk.
    Build(BuildArguments),
    /// Build a disk and boot it in QEMU, as a box would be: 3411 answers on this host.
    Boot {
        #[command(flatten)]
        build: BuildArguments,
        /// Port on 127.0.0.1 that leads to the box.
        #[arg(long, default_value_t = 3411)]
        port: u16,
        /// Boot this disk, which keeps what happens to it, instead of building one.
        #[arg(long)]
        disk: Option<PathBuf>,
        /// More for the kernel's command line, for instance authenteon.log=console.
        #[arg(long, default_value = "")]
        append: String,
    },
    /// Build a disk, boot it in QEMU and test it there.
    Test {
        /// Only that it boots, is claimed, enrols and verifies: of a build that is quicker to make and larger.
        #[arg(long)]
        smoke: bool,
        /// Not the updates, nor the Pi's layout.
        #[arg(long, conflicts_with = "smoke")]
        without_updates: bool,
        /// How often the power is cut during an update.
        #[arg(long, default_value_t = 20)]
        cuts: u32,
        /// Where everything goes.
        #[arg(long, default_value = "target/image")]
        out: PathBuf,
        /// The client program `authenteonctl` of this tree [default: it is built].
        #[arg(long)]
        client: Option<PathBuf>,
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
    /// Write down what the appliance ships of Rust, as a CycloneDX bill of materials.
    Sbom {
        /// Where it goes.
        #[arg(long)]
        out: PathBuf,
        /// Package of a program that is shipped.
        #[arg(long = "package", default_values = ["authenteon", "authenteon-init"])]
        packages: Vec<String>,
        /// What it is compiled for.
        #[arg(long, default_value = "aarch64-unknown-linux-gnu")]
        target: String,
        /// Folder of the workspace.
        #[arg(long, default_value = ".")]
        workspace: PathBuf,
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
        Command::Layout { json, genimage, board } => print_layout(json, genimage, board),
        Command::Bundle { rootfs, boot, version, board, key, cert, out } => {
            match bundle::from_files([&rootfs, &boot, &key, &cert, &out], &board, &version) {
                Ok(_) => ExitCode::SUCCESS,
                Err(why) => {
                    eprintln!("authenteon-image: {why}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Sbom { out, packages, target, workspace } => {
            report(write_sbom(&out, packages, target, workspace))
        }
        Command::Check => check(),
        Command::Build(arguments) => report(build_disk(arguments)),
        Command::Test { smoke, without_updates, out, cuts, client } => {
            let (faults, updates) = (!smoke, !smoke && !without_updates);
            report(test::test(&Selection { faults, updates, out, cuts, client }))
        }
        Command::Boot { build, port, disk, append } => report(boot(build, port, disk, append)),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
fn print_layout(json: bool, genimage: bool, board: Option<Product>) -> ExitCode {
    if let Some(product) = board {
        print!("{}", flash::config(product));
    } else if genimage {
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

fn report(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("authenteon-image: {why}");
            ExitCode::from(if matches!(why, Failure::Missing(_) | Failure::NoToolchain(_)) { 69 } else { 1 })
        }
    }
}

fn write_sbom(out: &Path, packages: Vec<String>, target: String, workspace: PathBuf) -> Result<(), Failure> {
    let moment = match std::env::var("SOURCE_DATE_EPOCH").map(|text| text.parse()) {
        Ok(Ok(moment)) => Some(moment),
        Ok(Err(_)) => return Err(sbom::SbomError::Moment.into()),
        Err(_) => None,
    };
    let text = sbom::text(&sbom::Request { workspace, packages, target, moment })?;
    fs::write(out, text).map_err(at(out))
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
fn build_disk(arguments: BuildArguments) -> Result<(), Failure> {
    let built = build::build(&arguments.plan())?;
    println!("disk      {}", built.disk.display());
    println!("root      {} (squashfs {} bytes)", built.root.display(), built.squashfs_bytes);
    println!("boot      {}", built.boot.display());
    println!("bill      {}", built.bill.display());
    println!("root hash {}", built.root_hash);
    Ok(())
}

/// Boots, and goes on over restarts until the machine is switched off or Ctrl-C ends it.
fn boot(arguments: BuildArguments, port: u16, disk: Option<PathBuf>, append: String) -> Result<(), Failure> {
    let plan = arguments.plan();
    let disk = match disk {
        Some(disk) => disk,
        None => build::build(&plan)?.disk,
    };
    let folder = plan.out.join("machine");
    let setup = Setup {
        board: plan.board,
        disk,
        folder,
        port: Some(port),
        kernel_arguments: append,
        clock: None,
        network: Network::Offers,
    };
    let mut trial = false;
    loop {
        let mut machine = Machine::start(&setup, trial)?;
        let live = machine.wait_live(Duration::from_secs(120))?;
        eprintln!("https://127.0.0.1:{port} answers after {:.1} s; Ctrl-C ends it", live.as_secs_f64());
        match machine.wait(Duration::MAX)? {
            Ended::Off => return Ok(()),
            Ended::Restart { trial: other } => trial = other,
        }
    }
}
