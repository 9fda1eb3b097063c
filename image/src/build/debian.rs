//! Debian's packages for the board, fetched by the host's own `apt-get` with folders of its own: the
//! host's packages and settings stay as they are, and no rights are needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::fresh;
use crate::failure::{Failure, at, run};

/// The kernel, with its modules; its real name changes with every version.
const KERNEL: &str = "linux-image-arm64";
const OTHERS: [&str; 4] = ["busybox-static", "e2fsck-static", "libc6", "libgcc-s1"];

/// Unpacked packages.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    folder: PathBuf,
    kernel: String,
}

/// Fetches and unpacks into `folder`, unless they are there already.
pub(super) fn packages(folder: &Path) -> Result<Packages, Failure> {
    let done = folder.join("kernel-package");
    if let Ok(kernel) = fs::read_to_string(&done) {
        return Ok(Packages { folder: folder.to_owned(), kernel });
    }
    fresh(folder)?;
    let apt = Apt::new(folder)?;
    apt.get(&["update", "-qq"])?;
    let kernel = apt.kernel()?;
    let wanted: Vec<&str> = OTHERS.into_iter().chain([kernel.as_str()]).collect();
    apt.get(&[&["download", "-qq"], wanted.as_slice()].concat())?;
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let into = folder.join(name.split('_').next().unwrap_or_default());
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(into))?;
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    // Last: what is here is whole.
    fs::write(&done, &kernel).map_err(at(&done))?;
    Ok(Packages { folder: folder.to_owned(), kernel })
}

impl Packages {
    /// A file of a package.
    pub(super) fn file(&self, package: &str, path: &str) -> PathBuf {
        self.folder.join(package).join(path)
    }

    /// The kernel's version, as `uname -r` says it.
    pub(super) fn kernel_version(&self) -> &str {
        self.kernel.trim_start_matches("linux-image-")
    }

    /// The kernel's image.
    pub(super) fn kernel(&self) -> PathBuf {
        self.file(&self.kernel, &format!("boot/vmlinuz-{}", self.kernel_version()))
    }

    /// The kernel's modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.file(&self.kernel, &format!("lib/modules/{}", self.kernel_version()))
    }

    /// A description of a board's hardware.
    pub(super) fn device_tree(&self, name: &str) -> PathBuf {
        self.file(&self.kernel, &format!("usr/lib/{}/{name}", self.kernel))
    }
}

struct Apt {
    config: PathBuf,
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let state = folder.join("apt");
        for needed in ["lists/partial", "cache/archives/partial"] {
            let path = state.join(needed);
            fs::create_dir_all(&path).map_err(at(&path))?;
        }
        let config = state.join("apt.conf");
        let text = format!(
            "APT::Architecture \"arm64\";\nAPT::Architectures {{ \"arm64\"; }};\n\
             Dir::State::lists \"{0}/lists\";\nDir::Cache \"{0}/cache\";\nDir::State::status \"/dev/null\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"\";\n",
            state.display()
        );
        fs::write(&config, text).map_err(at(&config))?;
        Ok(Self { config, folder: folder.to_owned() })
    }

    fn get(&self, arguments: &[&str]) -> Result<String, Failure> {
        self.run("apt-get", arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(program);
        run(command
            .args(arguments)
            .current_dir(&self.folder)
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C"))
    }

    /// The package that the name without a version stands for.
    fn kernel(&self) -> Result<String, Failure> {
        let said = self.run("apt-cache", &["depends", KERNEL])?;
        said.lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .map(str::to_owned)
            .ok_or_else(|| Failure::Wrong(format!("apt-cache names no package for {KERNEL}: {said}")))
    }
}
