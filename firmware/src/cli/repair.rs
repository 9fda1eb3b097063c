//! `store repair`: gives up what is damaged at the end of a store's journal, so that the rest is served again.
//!
//! Invariant: nothing is given up before somebody said yes, nothing while a daemon has the store open, and what is given
//! up lies aside as it was. A passphrase comes from a file or from the terminal, where it is not shown; never from an
//! argument.

use std::{
    fs::{self, File},
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    exit::{DATA, Failure, NO_INPUT, NOT_PERMITTED, USAGE},
    log_to_stderr, storage,
};
use crate::{
    config::{self, Log},
    store::{KeyError, StoreError},
};

/// Bytes of the longest passphrase, and more.
const LONGEST: u64 = 8192;

#[derive(clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Give up what is damaged at the end of the journal, and every change behind it; the files stay aside.
    Repair(RepairArguments),
}

/// Which store, and how sure.
#[derive(clap::Args)]
pub(super) struct RepairArguments {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// A file whose first line is the passphrase, where there is one; - reads standard input. Without it a terminal asks.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: StoreCommand) -> Result<bool, Failure> {
    let StoreCommand::Repair(arguments) = command;
    repair(&arguments)
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
fn repair(arguments: &RepairArguments) -> Result<bool, Failure> {
    let config = config::load(&arguments.config, std::env::vars())?.config;
    log_to_stderr(&Log { filter: "warn".to_owned(), ..config.log });
    let folder = &config.store.folder;
    of_its_owner(folder)?;
    agreed(folder, arguments.yes)?;
    let opening = storage::place(&config.store);
    let given = arguments.passphrase_file.as_deref().map(from_file).transpose()?;
    let done = match opening.repair(given.as_ref().map(|given| given.as_str())) {
        Err(KeyError::Missing) => opening.repair(Some(asked_for()?.as_str())),
        done => done,
    };
    let aside = done.map_err(beyond_repair)?;
    if arguments.json {
        println!("{}", json!({ "store": folder, "set_aside": aside }));
        return Ok(true);
    }
    if aside.is_empty() {
        println!("no file of the journal was damaged at its end: nothing was set aside");
    }
    for file in &aside {
        println!("set aside as it was: {}", file.display());
    }
    println!("{}: what is left opens; the next start makes the index anew", folder.display());
    Ok(true)
}

/// What is damaged besides the end of the journal is not given up: to try it again is no use.
fn beyond_repair(why: KeyError) -> Failure {
    match why {
        KeyError::Store(StoreError::Damaged { place }) => Failure::new(
            DATA,
            &format!(
                "{place} is damaged, and is not at the end of the journal, of which alone something can be given up: put \
                 the file back from a copy, or restore a backup"
            ),
        ),
        why => why.into(),
    }
}

/// What root makes the daemon could not read.
fn of_its_owner(folder: &Path) -> Result<(), Failure> {
    let found = fs::metadata(folder).map_err(|why| {
        Failure::new(NO_INPUT, &format!("there is no store at {}: {why}", folder.display()))
    })?;
    if found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let why = format!(
        "{} belongs to the user with the number {}: run this as that user, the daemon's, or the daemon cannot read what \
         is put right",
        folder.display(),
        found.uid()
    );
    Err(Failure::new(NOT_PERMITTED, &why))
}

/// Somebody has to say yes, at the terminal or on the command line.
fn agreed(folder: &Path, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let failed = |why: io::Error| Failure::io(&why);
    let mut terminal = io::stderr().lock();
    writeln!(
        terminal,
        "This gives up, in the store {}:\n  - the damaged place at the end of its journal, and every change behind it: \
         people enrolled since are gone,\n    people erased since stay erased, and the audit ends there;\n  - the \
         index, which the next start makes anew.\nEverything before the damaged place stays. Files are set aside as \
         they are, as journal/damaged-*: remove them\nonce you know what was lost. Is there a backup? Then restore it instead. \
         Nothing was changed yet.",
        folder.display()
    )
    .map_err(failed)?;
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(USAGE, &"say --yes when nobody is there to ask"));
    }
    let mut answer = String::new();
    write!(terminal, "Go on? [y/N] ").map_err(failed)?;
    stdin.lock().read_line(&mut answer).map_err(failed)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(USAGE, &"nothing was changed"))
    }
}

/// The passphrase that somebody types, not shown.
fn asked_for() -> Result<Zeroizing<String>, Failure> {
    let why = "the store is locked: give its passphrase with --passphrase-file FILE, or at a terminal";
    if !io::stdin().is_terminal() {
        return Err(Failure::new(NO_INPUT, &why));
    }
    let failed = |why: io::Error| Failure::io(&why);
    write!(io::stderr().lock(), "Passphrase of the store: ").map_err(failed)?;
    Ok(Zeroizing::new(rpassword::read_password().map_err(failed)?))
}

/// The first line of a file or of standard input.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bad = |why: io::Error| Failure::new(NO_INPUT, &format!("{}: {why}", path.display()));
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(bad)?;
    } else {
        File::open(path).map_err(bad)?.take(LONGEST).read_to_string(&mut text).map_err(bad)?;
    }
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(Failure::new(NO_INPUT, &"the passphrase's file has no first line")),
    }
}
