//! Kernel modules out of the kernel's package: some for the initramfs, some for the root.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::debian::Packages;
use crate::failure::{Failure, at, run};

/// What is plugged in later: adapters of serial readers, and what they build on. Loaded by their alias.
const OF_THE_ROOT: [&str; 12] = [
    "usbserial",
    "cp210x",
    "ftdi_sio",
    "ch341",
    "pl2303",
    "cdc-acm",
    "i2c-dev",
    "usb-common",
    "usbcore",
    "xhci-hcd",
    "xhci-pci",
    "tpm_tis_spi",
];

/// Every module by its name.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    version: String,
}

impl Modules {
    pub(super) fn open(packages: &Packages) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        collect(&packages.modules(), &mut files)?;
        if files.is_empty() {
            return Err(Failure::Wrong("the kernel's package holds no modules".to_owned()));
        }
        Ok(Self { files, version: packages.kernel_version().to_owned() })
    }

    /// Writes `names` into `folder` with the list that the first process loads them by.
    pub(super) fn write_in_order(&self, names: &[&str], folder: &Path) -> Result<(), Failure> {
        let mut order = String::new();
        // What is not a module is built into the kernel.
        for name in names.iter().filter(|name| self.files.contains_key(**name)) {
            self.strip(name, &folder.join(format!("{name}.ko")))?;
            order.push_str(name);
            order.push_str(".ko\n");
        }
        let list = folder.join("order");
        fs::write(&list, order).map_err(at(&list))
    }

    /// Writes what may be plugged in later, with the list of aliases, into a root.
    pub(super) fn write_root(&self, root: &Path) -> Result<(), Failure> {
        let folder = root.join("lib/modules").join(&self.version).join("kernel");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        for name in OF_THE_ROOT.iter().filter(|name| self.files.contains_key(**name)) {
            self.strip(name, &folder.join(format!("{name}.ko")))?;
        }
        run(Command::new("depmod").arg("-b").arg(root).arg(&self.version))?;
        Ok(())
    }

    fn strip(&self, name: &str, to: &Path) -> Result<(), Failure> {
        let Some(file) = self.files.get(name) else { return Ok(()) };
        run(Command::new("aarch64-linux-gnu-strip").arg("--strip-debug").arg("-o").arg(to).arg(file))
            .map(drop)
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ko")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            files.insert(name.to_owned(), path);
        }
    }
    Ok(())
}
