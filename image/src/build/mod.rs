//! From sources and Debian's packages to a disk, in the order of the steps.
//!
//! Invariant: what comes out depends on the sources, the packages and the release only; no name, clock
//! or order of this host is in it.

mod boot_folder;
mod data;
mod debian;
mod disk;
mod initramfs;
mod keyring;
mod modules;
mod release;
mod root;
mod toolchain;
mod verity;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    board::Board,
    failure::{Failure, at},
    host, sbom,
};
#[cfg(test)]
pub(crate) use boot_folder::AUTOBOOT;
pub(crate) use keyring::throw_away;
pub(crate) use release::Release;

/// What to build.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// For which board.
    pub(crate) board: Board,
    /// Where everything goes.
    pub(crate) out: PathBuf,
    /// Version, moment and keys.
    pub(crate) release: Release,
    /// How its programs are compiled: a profile of the workspace.
    pub(crate) profile: &'static str,
    /// Certificates whose updates the box takes; a throw-away authority if none.
    pub(crate) keyring: Option<PathBuf>,
    /// Where the throw-away authority is, or is made.
    pub(crate) test_authority: PathBuf,
    /// Where Debian's packages are, or are put.
    pub(crate) packages: PathBuf,
    /// For tests of what does not pass its self-test: the daemon asks an agent that is not there.
    pub(crate) deaf: bool,
}

impl Plan {
    /// The same with whole paths: programs are called in other folders.
    fn absolute(&self) -> Result<Self, Failure> {
        let whole = |path: &Path| std::path::absolute(path).map_err(at(path));
        Ok(Self {
            out: whole(&self.out)?,
            test_authority: whole(&self.test_authority)?,
            packages: whole(&self.packages)?,
            ..self.clone()
        })
    }
}

/// What was built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The disk.
    pub(crate) disk: PathBuf,
    /// squashfs with its tree.
    pub(crate) root: PathBuf,
    /// FAT image of a slot's boot folder.
    pub(crate) boot: PathBuf,
    /// What is in it of Rust (CycloneDX).
    pub(crate) bill: PathBuf,
    /// Bytes of the squashfs alone.
    pub(crate) squashfs_bytes: u64,
    /// Root of the tree of hashes.
    pub(crate) root_hash: String,
}

/// Builds, and says each step with its seconds.
pub(crate) fn build(plan: &Plan) -> Result<Built, Failure> {
    let plan = &plan.absolute()?;
    let missing = host::missing();
    if !missing.is_empty() {
        return Err(Failure::Missing(missing));
    }
    let out = &plan.out;
    fs::create_dir_all(out).map_err(at(out))?;
    let out = &out.canonicalize().map_err(at(out))?;
    let toolchain = toolchain::find()?;
    let programs = step("daemon and init for aarch64", || toolchain.build(plan.profile))?;
    let bill = out.join("authenteon.cdx.json");
    step("bill of materials", || write_bill(&bill, &plan.release))?;
    let packages = step("packages", || debian::packages(&plan.packages))?;
    let modules = step("kernel modules", || modules::Modules::open(&packages))?;
    let keyring = keyring::provide(plan.keyring.as_deref(), &plan.test_authority)?;
    let tree = out.join("root");
    step("root", || root::assemble(&tree, &programs, &packages, &modules, &plan.release, &keyring))?;
    if plan.deaf {
        let config = tree.join("etc/authenteon/authenteond.toml");
        let text = fs::read_to_string(&config).map_err(at(&config))?;
        fs::write(&config, text.replace("system.sock", "nobody.sock")).map_err(at(&config))?;
    }
    let verified = step("squashfs and verity", || verity::make(&tree, &out.join("rootfs.img")))?;
    let initramfs = out.join("initramfs.img");
    step("initramfs", || initramfs::make(&initramfs, &programs.init, &modules, plan.board))?;
    let boot = out.join("boot.vfat");
    step("boot folder", || boot_folder::make(&boot, plan, &packages, &initramfs, &verified))?;
    let disk = out.join(plan.board.disk_name());
    step("disk", || disk::make(&disk, plan.board, &verified.image, &boot, plan.release.moment, out))?;
    Ok(Built {
        disk,
        root: verified.image,
        boot,
        bill,
        squashfs_bytes: verified.squashfs_bytes,
        root_hash: verified.root_hash,
    })
}

/// Every crate of the programs that are shipped, with its version, checksum and licence.
fn write_bill(path: &Path, release: &Release) -> Result<(), Failure> {
    let text = sbom::text(&sbom::Request {
        workspace: toolchain::repository(),
        packages: ["authenteon", "authenteon-init"].map(str::to_owned).to_vec(),
        target: toolchain::TARGET.to_owned(),
        moment: i64::try_from(release.moment).ok(),
    })?;
    fs::write(path, text).map_err(at(path))
}

fn step<T>(what: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let began = Instant::now();
    let done = work();
    eprintln!("{what:<30} {:>6.1} s", began.elapsed().as_secs_f64());
    done
}

/// An empty folder, whatever was there.
fn fresh(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at(folder))?;
    }
    fs::create_dir_all(folder).map_err(at(folder))
}
