//! One installation: from a verified bundle to a slot that is whole and waits for its trial.
//!
//! Invariant: nothing is written before everything that can be checked has been checked, nothing but
//! the slot that does not run is written, and from the first write to the last that slot cannot
//! boot: the first sector of its FAT is zeroed before and written after everything else is durable.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    bundle::{Bundle, BundleError},
    ledger::{Ledger, Pending},
    manifest::Image,
    payload::{Payload, PayloadError, fill},
    slots::{Device, Disk, Part, SECTOR, Slot},
    verity::VerityError,
    version::Version,
};

/// Bytes that are read and written at a time: a whole number of blocks.
const CHUNK: usize = 1 << 20;

/// Where an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Signature, board, version, and every block of the payload.
    Verifying,
    /// The root file system.
    WritingRoot,
    /// Kernel and initramfs.
    WritingBoot,
    /// What was written is read and compared.
    ReadingBack,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where.
    pub step: Step,
    /// Of this step.
    pub percent: u8,
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// See there.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// See there.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// It is for another board.
    #[error("the bundle is for {bundle}, and this is {board}")]
    Board {
        /// What the bundle is for.
        bundle: String,
        /// What this is.
        board: String,
    },
    /// It would go back.
    #[error("the bundle brings {bundle}; this box takes {floor} and later")]
    Older {
        /// What the bundle brings.
        bundle: Version,
        /// The version floor.
        floor: Version,
    },
    /// An image is larger than its partition, or no image.
    #[error("{0} does not fit its partition")]
    DoesNotFit(String),
    /// An image is not what the manifest says.
    #[error("{0} is not what the manifest says")]
    Image(String),
    /// What was written is not what is read.
    #[error("{0} was written and not kept: the card may be worn out")]
    NotKept(String),
    /// The disk or the ledger failed.
    #[error("the disk cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

impl From<VerityError> for InstallError {
    fn from(why: VerityError) -> Self {
        Self::Bundle(why.into())
    }
}

/// What an installation needs beside its bundle.
pub struct Target<'a> {
    /// What this board is called.
    pub board: &'a str,
    /// The lowest version that is taken.
    pub floor: Version,
    /// The slot that does not run.
    pub slot: Slot,
    /// Where the slots are.
    pub disk: &'a dyn Disk,
    /// Where the pending slot is noted.
    pub ledger: &'a Ledger,
}

/// Installs a bundle whose signature holds.
///
/// # Errors
/// [`InstallError`]; the slot is then whole and as before, or cannot boot.
pub fn install(
    bundle: &Bundle,
    target: &Target<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Pending, InstallError> {
    let manifest = bundle.manifest();
    if manifest.compatible != target.board {
        return Err(InstallError::Board {
            bundle: manifest.compatible.clone(),
            board: target.board.to_owned(),
        });
    }
    if manifest.version < target.floor {
        return Err(InstallError::Older { bundle: manifest.version.clone(), floor: target.floor.clone() });
    }
    verify_payload(bundle, tell)?;
    let payload = Payload::open(bundle.payload()?)?;
    let mut root_image = payload.image(&manifest.root)?;
    let mut boot_image = payload.image(&manifest.boot)?;
    let mut root = target.disk.open(Part::Root(target.slot))?;
    let mut boot = target.disk.open(Part::Boot(target.slot))?;
    for (image, device) in [(&manifest.root, &mut root), (&manifest.boot, &mut boot)] {
        if image.size < SECTOR as u64 || image.size > device.size()? {
            return Err(InstallError::DoesNotFit(image.filename.clone()));
        }
    }

    // From here on the old content of the slot is gone, and the slot is not to be tried.
    target.ledger.set_pending(None)?;
    boot.write_at(0, &[0; SECTOR])?;
    boot.sync()?;

    let step = Step::WritingRoot;
    let first = write(&mut root_image, root.as_mut(), &manifest.root, step, tell)?;
    root.write_at(0, &first)?;
    root.sync()?;
    read_back(root.as_mut(), &manifest.root, tell)?;

    let first = write(&mut boot_image, boot.as_mut(), &manifest.boot, Step::WritingBoot, tell)?;
    boot.sync()?;
    boot.write_at(0, &first)?;
    boot.sync()?;
    if let Err(why) = read_back(boot.as_mut(), &manifest.boot, tell) {
        boot.write_at(0, &[0; SECTOR])?;
        boot.sync()?;
        return Err(why);
    }
    let pending = Pending { slot: target.slot, version: manifest.version.clone(), tried: false };
    target.ledger.set_pending(Some(&pending))?;
    Ok(pending)
}

/// Makes a slot one that cannot boot.
///
/// # Errors
/// [`InstallError::Io`].
pub fn discard(slot: Slot, disk: &dyn Disk, ledger: &Ledger) -> Result<(), InstallError> {
    ledger.set_pending(None)?;
    let mut boot = disk.open(Part::Boot(slot))?;
    boot.write_at(0, &[0; SECTOR])?;
    boot.sync()?;
    Ok(())
}

fn percent(done: u64, of: u64) -> u8 {
    u8::try_from((done * 100).checked_div(of).unwrap_or(100).min(100)).unwrap_or(100)
}

fn verify_payload(bundle: &Bundle, tell: &mut dyn FnMut(Progress)) -> Result<(), InstallError> {
    let mut payload = bundle.payload()?;
    let blocks = payload.blocks();
    let mut told = None;
    for block in 0..blocks {
        payload.check(block)?;
        let now = percent(block + 1, blocks);
        if told.replace(now) != Some(now) {
            tell(Progress { step: Step::Verifying, percent: now });
        }
    }
    Ok(())
}

/// Writes all of an image but its first sector, which it gives back.
fn write(
    from: &mut impl io::Read,
    to: &mut dyn Device,
    image: &Image,
    step: Step,
    tell: &mut dyn FnMut(Progress),
) -> Result<[u8; SECTOR], InstallError> {
    let mut first = [0; SECTOR];
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let n = fill(from, &mut chunk)?;
        if n == 0 {
            break;
        }
        let have = &chunk[..n];
        digest.update(have);
        if at == 0 {
            let short = || InstallError::Image(image.filename.clone());
            first = *have.first_chunk().ok_or_else(short)?;
            to.write_at(SECTOR as u64, &have[SECTOR..])?;
        } else {
            to.write_at(at, have)?;
        }
        at += n as u64;
        tell(Progress { step, percent: percent(at, image.size) });
    }
    if at != image.size || digest.finalize()[..] != image.sha256 {
        return Err(InstallError::Image(image.filename.clone()));
    }
    Ok(first)
}

/// Compares what the medium holds with the manifest.
fn read_back(
    device: &mut dyn Device,
    image: &Image,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    device.forget()?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < image.size {
        let n = usize::try_from(image.size - at).unwrap_or(CHUNK).min(CHUNK);
        device.read_at(at, &mut chunk[..n])?;
        digest.update(&chunk[..n]);
        at += n as u64;
        tell(Progress { step: Step::ReadingBack, percent: percent(at, image.size) });
    }
    if digest.finalize()[..] != image.sha256 {
        return Err(InstallError::NotKept(image.filename.clone()));
    }
    Ok(())
}
