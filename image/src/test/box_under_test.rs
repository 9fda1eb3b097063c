//! A box with its own disk, started as often as a test likes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    board::Board,
    build::Built,
    failure::{Failure, at, run},
    machine::{Machine, Network, Setup, extent},
};

/// Emulated machines on a busy host are slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Where boxes are made.
pub(super) struct Bench {
    folder: PathBuf,
    disk: PathBuf,
}

impl Bench {
    pub(super) fn new(folder: &Path, built: &Built) -> Result<Self, Failure> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(at(folder))?;
        }
        fs::create_dir_all(folder).map_err(at(folder))?;
        Ok(Self { folder: folder.to_owned(), disk: built.disk.clone() })
    }

    /// A box as it comes from flashing.
    pub(super) fn new_box(&self, name: &str) -> Result<TestBox, Failure> {
        self.box_of(name, Board::Qemu, &self.disk)
    }

    /// A box with a copy of a disk.
    pub(super) fn box_of(&self, name: &str, board: Board, disk: &Path) -> Result<TestBox, Failure> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let own = folder.join("disk.img");
        copy(disk, &own)?;
        Ok(TestBox { board, folder, disk: own, clock: None, network: Network::Offers })
    }
}

/// Copies a disk, its holes too.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to)).map(drop)
}

/// A box.
pub(super) struct TestBox {
    pub(super) board: Board,
    pub(super) folder: PathBuf,
    pub(super) disk: PathBuf,
    /// What its clock shows at the start, instead of the time.
    pub(super) clock: Option<&'static str>,
    pub(super) network: Network,
}

impl TestBox {
    /// Switches it on.
    pub(super) fn start(&self, kernel_arguments: &str) -> Result<Machine, Failure> {
        self.start_as(false, kernel_arguments)
    }

    /// Switches it on, as the firmware would after it was asked for a trial or not.
    pub(super) fn start_as(&self, trial: bool, kernel_arguments: &str) -> Result<Machine, Failure> {
        let setup = Setup {
            board: self.board,
            disk: self.disk.clone(),
            folder: self.folder.clone(),
            port: None,
            kernel_arguments: kernel_arguments.to_owned(),
            clock: self.clock,
            network: self.network,
        };
        Machine::start(&setup, trial)
    }

    /// The same box, of other people.
    pub(super) fn in_folder(&self, name: &str) -> Result<Self, Failure> {
        let folder = self.folder.with_file_name(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self { folder, disk: self.disk.clone(), ..*self })
    }

    /// Puts a file onto its first partition, as an administrator does with the card in a reader.
    pub(super) fn put(&self, name: &str, text: &str) -> Result<(), Failure> {
        let first = extent(&self.disk, 1)?;
        let file = self.folder.join(name);
        fs::write(&file, text).map_err(at(&file))?;
        run(Command::new("mcopy")
            .args(["-o", "-i"])
            .arg(format!("{}@@{}", self.disk.display(), first.from))
            .arg(&file)
            .arg(format!("::{name}")))
        .map(drop)
    }

    /// Another box with a copy of this one's disk, which must be off.
    pub(super) fn twin(&self, name: &str) -> Result<Self, Failure> {
        let folder = self.folder.with_file_name(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let disk = folder.join("disk.img");
        copy(&self.disk, &disk)?;
        // Certificates of its people.
        for entry in fs::read_dir(&self.folder).map_err(at(&self.folder))? {
            let path = entry.map_err(at(&self.folder))?.path();
            if path.extension().is_some_and(|extension| extension == "pem" || extension == "key") {
                let to = folder.join(path.file_name().unwrap_or_default());
                fs::copy(&path, &to).map_err(at(&path))?;
            }
        }
        Ok(Self { board: self.board, folder, disk, clock: None, network: Network::Offers })
    }
}
