//! The disk: the partitions of the layout, put together by genimage.

use std::{fs, fs::OpenOptions, path::Path, process::Command};

use super::{boot_folder, data, fresh};
use crate::{
    board::Board,
    failure::{Failure, at, run},
    genimage,
};

/// Makes `disk` with a root and a boot folder in slot A, and nothing in slot B.
pub(super) fn make(
    disk: &Path,
    board: Board,
    root: &Path,
    boot: &Path,
    moment: u64,
    out: &Path,
) -> Result<(), Failure> {
    let input = out.join("disk");
    fresh(&input)?;
    fs::copy(root, input.join("rootfs-a.verity")).map_err(at(root))?;
    fs::copy(boot, input.join("boot-a.vfat")).map_err(at(boot))?;
    boot_folder::autoboot(&input.join("autoboot.vfat"), moment)?;
    data::make(&input.join("data.ext4"), moment)?;
    let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let config = input.join("genimage.cfg");
    fs::write(&config, genimage::of_made_partitions(&name)).map_err(at(&config))?;
    let temporary = input.join("tmp");
    fresh(&input.join("empty"))?;
    let _ = fs::remove_file(disk);
    run(Command::new("genimage")
        .env("PATH", boot_folder::search_path())
        .arg("--config")
        .arg(&config)
        .arg("--rootpath")
        .arg(input.join("empty"))
        .arg("--inputpath")
        .arg(&input)
        .arg("--outputpath")
        .arg(out)
        .arg("--tmppath")
        .arg(&temporary))?;
    if board == Board::Pi {
        // The emulated card reader takes sizes that are powers of two.
        let card = OpenOptions::new().write(true).open(disk).map_err(at(disk))?;
        let length = card.metadata().map_err(at(disk))?.len();
        card.set_len(length.next_power_of_two()).map_err(at(disk))?;
    }
    Ok(())
}
