//! `authenteon-init`: the first process of the appliance, in its initramfs.
//!
//! Invariant: the root that the system runs from is verified against the hash that its boot folder
//! names, and nothing on the data partition is ever formatted. What fails before the root is there
//! restarts the machine, which ends a trial; what fails after it is told to the system instead.

mod block;
mod clock;
mod data;
mod device_mapper;
mod disk;
mod grow;
mod handover;
mod modules;
mod parameters;
mod prepare;
mod provision;
mod reset;
mod watchdog;

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use rustix::{
    mount::{MountFlags, mount},
    system::{RebootCommand, reboot},
};

use crate::{
    device_mapper::Verity,
    handover::{BootReport, Release},
    parameters::Parameters,
};

const ROOT: &str = "/root";
const REPORT: &str = "/run/authenteon";
/// What the firmware of a Pi says of the partition that it booted.
const FIRMWARE: &str = "/proc/device-tree/chosen/bootloader";
/// A card may take so long to show up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("{what}: {why}")]
    Io { what: &'static str, why: io::Error },
    #[error(transparent)]
    Parameters(#[from] parameters::ParameterError),
    #[error("no disk of this box shows up: is its card in?")]
    NoDisk,
    #[error("/etc/authenteon/release.json: {0}")]
    Release(serde_json::Error),
}

fn on(what: &'static str) -> impl Fn(io::Error) -> BootError {
    move |why| BootError::Io { what, why }
}

fn main() {
    let why = match boot() {
        Ok(never) => match never {},
        Err(why) => why,
    };
    // The kernel's log reaches a console that this program could not open.
    let text = format!("init: {why}; this system cannot start, the box restarts in 5 seconds\n");
    if fs::write("/dev/kmsg", format!("<3>{text}")).is_err() {
        eprint!("{text}");
    }
    thread::sleep(Duration::from_secs(5));
    restart();
}

/// The machine starts anew; a first process must not end.
fn restart() -> ! {
    let _ = reboot(RebootCommand::Restart);
    loop {
        thread::park();
    }
}

fn boot() -> Result<std::convert::Infallible, BootError> {
    kernel_file_systems().map_err(on("the kernel's file systems"))?;
    for failed in modules::load(Path::new("/modules")) {
        eprintln!("init: module {failed}");
    }
    let watchdog = watchdog::arm();
    let line = fs::read_to_string("/proc/cmdline").map_err(on("/proc/cmdline"))?;
    let parameters = Parameters::read(&line, Path::new(FIRMWARE))?;
    let number = parameters.slot.root_partition();
    let partitions = disk::wait(&[number], PATIENCE).ok_or(BootError::NoDisk)?;
    let device = partitions.get(&number).ok_or(BootError::NoDisk)?;
    let verity = Verity {
        device,
        blocks: parameters.blocks,
        root_hash: &parameters.root_hash,
        salt: &parameters.salt,
    };
    let verified = verity.activate("root").map_err(on("the verified device"))?;
    fs::create_dir_all(ROOT).map_err(on(ROOT))?;
    mount(&verified, ROOT, "squashfs", MountFlags::RDONLY | MountFlags::NODEV, None)
        .map_err(|why| BootError::Io { what: "the root cannot be mounted", why: why.into() })?;
    handover::switch(Path::new(ROOT)).map_err(on("the root cannot be entered"))?;

    prepare::read_ahead();

    // From here on the system tells what is wrong, and serves as far as it can.
    let release = fs::read("/etc/authenteon/release.json").map_err(on("/etc/authenteon/release.json"))?;
    let release: Release = serde_json::from_slice(&release).map_err(BootError::Release)?;
    let partition = partitions.get(&7).map(std::path::PathBuf::as_path);
    if let Some(partition) = partition {
        say_growth("the data partition", disk::of(partition).and_then(|disk| grow::partition(&disk)));
    }
    let data = data::bring_up(partition);
    if let (data::Data::Mounted, Some(partition)) = (&data, partition) {
        say_growth("its file system", grow::file_system(partition, Path::new("/data")));
    }
    let data = reset_if_asked(data);
    let mounted = data == data::Data::Mounted;
    if let Some((from, to)) = clock::raise(release.build, Path::new("/data/system/clock")) {
        eprintln!("init: the clock stood at {from} and was moved to {to}; it is not synchronised");
    }
    let folder = Path::new(REPORT);
    fs::create_dir_all(folder).map_err(on(REPORT))?;
    if let Some(autoboot) = partitions.get(&1) {
        match provision::copy(autoboot, folder) {
            Ok(found) => found.iter().for_each(|name| eprintln!("init: {name} is there")),
            Err(why) => eprintln!("init: the first partition cannot be read: {why}"),
        }
    }
    BootReport::new(&parameters, &release, &data, watchdog, &partitions)
        .write(folder)
        .map_err(on("the report of the boot"))?;
    prepare::all(folder, mounted, parameters.trial);
    let kind = if release.test { " (TEST image: its update key is no secret)" } else { "" };
    eprintln!(
        "init: authenteon {}{kind}, slot {:?}{}, data {}",
        release.version,
        parameters.slot,
        if parameters.trial { " on trial" } else { "" },
        if mounted { "mounted" } else { "NOT mounted" },
    );
    Err(BootError::Io { what: "/sbin/init", why: Command::new("/sbin/init").exec() })
}

/// A box whose card is not used to its end works all the same.
fn say_growth(what: &str, grown: io::Result<Option<u64>>) {
    match grown {
        Ok(Some(bytes)) => eprintln!("init: {what} has {} MiB now", bytes >> 20),
        Ok(None) => {}
        Err(why) => eprintln!("init: {what} stays as large as it is: {why}"),
    }
}

/// A factory reset that was asked for. What could not be removed is not served to anybody.
fn reset_if_asked(data: data::Data) -> data::Data {
    if data != data::Data::Mounted {
        return data;
    }
    match reset::finish(Path::new("/data")) {
        Ok(true) => eprintln!("init: factory reset done: nothing of the former owner is left on this box"),
        Ok(false) => {}
        Err(why) => return data::Data::Damaged { why: format!("the factory reset was not done: {why}") },
    }
    data
}

/// Mounts `/dev`, `/proc` and `/sys`, and takes the console.
fn kernel_file_systems() -> io::Result<()> {
    let tight = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (kind, at) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        fs::create_dir_all(at)?;
        mount(kind, at, kind, if kind == "devtmpfs" { MountFlags::NOSUID } else { tight }, None)?;
    }
    let console = OpenOptions::new().read(true).write(true).open("/dev/console")?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    Ok(())
}
