//! `console`: reads what is typed at the box itself, as root, and does it.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::exit::Failure;
use crate::{
    claim::{self, addresses},
    clock::{Clock, SystemClock},
    console::{Action, Console},
    network_time::report::{Report, Standing},
    update::boot::Boot,
};

/// What init looks for at the next start (`image/init/src/reset.rs`).
const MARK: &str = "factory-reset";
/// A line of a person.
const LONGEST: u64 = 200;

/// Where things are.
#[derive(clap::Args)]
pub(super) struct ConsoleArguments {
    /// What init wrote about this start.
    #[arg(long, default_value = "/run/authenteon/boot.json")]
    boot: PathBuf,
    /// Where init looks for what it is asked.
    #[arg(long, default_value = "/data/system")]
    state: PathBuf,
    /// The authority's folder.
    #[arg(long, default_value = "/data/authenteon/pki")]
    pki: PathBuf,
    /// Made for whoever remembers the time: forget it.
    #[arg(long, default_value = "/run/authenteon/clock-forget")]
    forget: PathBuf,
    /// What is known of the time.
    #[arg(long, default_value = "/run/authenteon/clock.json")]
    clock: PathBuf,
    /// What restarts the box.
    #[arg(long, default_value = "/sbin/reboot")]
    reboot: PathBuf,
}

/// Reads lines from standard input until there are no more.
pub(super) fn run(arguments: &ConsoleArguments) -> Result<bool, Failure> {
    let failed = |why: io::Error| Failure::io(&why);
    let began = Instant::now();
    let mut console = Console::default();
    let mut input = BufReader::new(io::stdin());
    let mut output = io::stdout();
    while let Some(line) = line(&mut input).map_err(failed)? {
        let (action, text) = console.line(&line, began.elapsed(), random().map_err(failed)?);
        if !text.is_empty() {
            writeln!(output, "{text}").map_err(failed)?;
        }
        match action {
            Action::Answer => {}
            Action::Status => writeln!(output, "{}", status(arguments)).map_err(failed)?,
            Action::Clock => match fs::write(&arguments.forget, "") {
                Ok(()) => restart(&arguments.reboot).map_err(failed)?,
                Err(why) => writeln!(output, "nothing was changed: {why}").map_err(failed)?,
            },
            Action::Restart => restart(&arguments.reboot).map_err(failed)?,
            Action::Reset => match ask_for_reset(&arguments.state) {
                Ok(()) => restart(&arguments.reboot).map_err(failed)?,
                Err(why) => writeln!(output, "nothing was changed: {why}").map_err(failed)?,
            },
        }
    }
    Ok(true)
}

/// A line, as far as one may be long, and the rest of it passed over; none at the end.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let mut rest = bytes.clone();
    while rest.len() as u64 == LONGEST && !rest.ends_with(b"\n") {
        rest.clear();
        input.by_ref().take(LONGEST).read_until(b'\n', &mut rest)?;
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_le_bytes(bytes))
}

fn status(arguments: &ConsoleArguments) -> String {
    let mut lines = match Boot::read(&arguments.boot) {
        Ok(boot) => {
            let trial = if boot.trial { ", on trial" } else { "" };
            vec![format!("version   {}, slot {:?}{trial}, board {}", boot.version, boot.slot, boot.board)]
        }
        Err(why) => vec![format!("version   not known: {why}")],
    };
    let owner = if claim::is_claimed(&arguments.pki) { "claimed" } else { "nobody's yet" };
    lines.push(format!("owner     {owner}"));
    let addresses: Vec<String> = addresses::of_this_machine().iter().map(ToString::to_string).collect();
    let addresses = if addresses.is_empty() { "none yet".to_owned() } else { addresses.join(", ") };
    lines.push(format!("address   {addresses}"));
    let now = SystemClock.now();
    let report = Report::read(&arguments.clock);
    lines.push(match report {
        Ok(Report { standing: Standing::Synchronised, server: Some(server), .. }) => {
            format!("time      {now}, by {server}")
        }
        Ok(Report { why: Some(why), .. }) => format!("time      {now}, NOT synchronised: {why}"),
        _ => format!("time      {now}, NOT synchronised"),
    });
    lines.join("\n")
}

/// Durable before the restart: a reset that was confirmed is done.
fn ask_for_reset(state: &Path) -> io::Result<()> {
    let mark = state.join(MARK);
    fs::write(&mark, "")?;
    File::open(&mark)?.sync_all()?;
    File::open(state)?.sync_all()
}

fn restart(program: &Path) -> io::Result<()> {
    let ended = Command::new(program).status()?;
    if !ended.success() {
        return Err(io::Error::other(format!("{} ended with {ended}", program.display())));
    }
    // The system ends this program on its way.
    thread::sleep(Duration::from_secs(60));
    Ok(())
}
