//! What many templates cost: the daemon on this host, with a store that was filled for it.
//!
//! On the host and not in QEMU, which would take ten minutes to read them. What is kept in memory has the same
//! size on both.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{clients, table::Table};
use crate::failure::{Failure, at, run};

const TEMPLATES: &str = "100000";
/// A slow host with other things to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// The daemon, and what fills its store.
pub(super) struct Programs {
    daemon: PathBuf,
    fill: PathBuf,
}

impl Programs {
    pub(super) fn build() -> Result<Self, Failure> {
        let words =
            ["--release", "--package", "authenteon", "--bin", "authenteond", "--example", "fill_store"];
        let [daemon, fill] = clients::built(["authenteond", "fill_store"], &words)?;
        Ok(Self { daemon, fill })
    }
}

pub(super) fn measure(programs: &Programs, folder: &Path, table: &mut Table) {
    let mut kilobytes = None;
    table.check("a store of 100,000 templates is opened", || {
        kilobytes = Some(resident(programs, folder)?);
        Ok(())
    });
    let value = kilobytes.map_or_else(|| "not measured".to_owned(), |kilobytes| format!("{kilobytes} kB"));
    table.figure("memory of the daemon, with 100,000 templates (on this host)", value);
}

/// What the daemon keeps in memory once it serves and has prepared what it keeps prepared.
fn resident(programs: &Programs, folder: &Path) -> Result<u64, Failure> {
    let folder = folder.join("memory");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let (pki, store) = (folder.join("pki"), folder.join("store"));
    run(Command::new(&programs.daemon).args(["pki", "init", "--dir"]).arg(&pki))?;
    run(Command::new(&programs.fill).arg(&store).arg(TEMPLATES))?;
    let configuration = folder.join("authenteond.toml");
    let text = format!(
        "version = 1\n[server]\nlisten = \"127.0.0.1:0\"\n[pki]\nfolder = {pki:?}\n[store]\nfolder = {store:?}\n"
    );
    fs::write(&configuration, text).map_err(at(&configuration))?;
    let log = folder.join("log");
    let mut daemon = Command::new(&programs.daemon)
        .args(["serve", "--config"])
        .arg(&configuration)
        .stderr(Stdio::from(File::create(&log).map_err(at(&log))?))
        .spawn()
        .map_err(at(&programs.daemon))?;
    let began = Instant::now();
    let mut resident = None;
    while resident.is_none() && began.elapsed() < PATIENCE && matches!(daemon.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(200));
        // What it keeps prepared grows until the gallery is warm.
        let ready = ["serving over TLS", "the gallery is warm"];
        if fs::read_to_string(&log).is_ok_and(|said| ready.iter().all(|line| said.contains(line))) {
            resident = resident_of(daemon.id());
        }
    }
    // It may have ended by itself.
    let _ = daemon.kill();
    let _ = daemon.wait();
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_dir_all(&folder).map_err(at(&folder))?;
    resident.ok_or_else(|| Failure::Wrong(format!("the daemon does not serve: {said}")))
}

fn resident_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
