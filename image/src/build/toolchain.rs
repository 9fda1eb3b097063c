//! A compiler for the board: rustup's, else Debian's, else `cross`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::{Failure, run};

/// What the board is to a compiler.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// How the programs for the board are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// The `cargo` that runs this, whose compiler has the board's standard library.
    Own,
    /// Debian's `rustc-web`.
    Debian,
    /// `cross`, in a container, by `cross.toml`.
    Cross,
}

/// The programs that go on the disk.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// The daemon, linked with the board's C library.
    pub(super) daemon: PathBuf,
    /// The first process, static.
    pub(super) init: PathBuf,
    /// Compares templates and scores with those of x86-64, static.
    pub(super) golden: PathBuf,
}

const DEBIAN: [&str; 2] = ["/usr/bin/rustc", "/usr/bin/cargo"];

/// The first that is there.
pub(super) fn find() -> Result<Toolchain, Failure> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    if has_std(&rustc) {
        Ok(Toolchain::Own)
    } else if has_std(DEBIAN[0]) && Path::new(DEBIAN[1]).exists() {
        Ok(Toolchain::Debian)
    } else if Command::new("cross").arg("--version").output().is_ok_and(|ended| ended.status.success()) {
        Ok(Toolchain::Cross)
    } else {
        Err(Failure::NoToolchain(TARGET))
    }
}

fn has_std(rustc: &str) -> bool {
    // Where the repository says which toolchain, it is asked.
    let root = repository();
    let asked = Command::new(rustc).args(["--print", "sysroot"]).current_dir(&root).output();
    asked.is_ok_and(|ended| {
        let sysroot = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        let folder = Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib");
        ended.status.success()
            && folder.read_dir().is_ok_and(|mut files| {
                files.any(|file| {
                    file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
                })
            })
    })
}

/// Where the sources are.
pub(super) fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

impl Toolchain {
    /// Builds the programs of the release, with a profile of the workspace.
    pub(super) fn build(self, profile: &str) -> Result<Programs, Failure> {
        let folder = self.target_folder();
        let build = |target: &Path, what: &[&str], flags: &str| {
            self.cargo(target, &[&["--profile", profile], what].concat(), flags)
        };
        build(&folder, &["-p", "authenteon", "--bin", "authenteond"], "")?;
        // What runs before there is a root, or outside it, brings its C library along.
        let fixed = "-C target-feature=+crt-static -C relocation-model=static";
        let of_init = folder.join("static");
        build(&of_init, &["-p", "authenteon-init"], fixed)?;
        build(&of_init, &["-p", "authenteon-matcher", "--example", "golden"], fixed)?;
        let built = |folder: &Path| folder.join(TARGET).join(profile);
        Ok(Programs {
            daemon: built(&folder).join("authenteond"),
            init: built(&of_init).join("authenteon-init"),
            golden: built(&of_init).join("examples/golden"),
        })
    }

    fn target_folder(self) -> PathBuf {
        let base =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        match self {
            Self::Own => base,
            // Another compiler's objects are not ours.
            Self::Debian => base.join("debian"),
            Self::Cross => base.join("cross"),
        }
    }

    fn cargo(self, target: &Path, what: &[&str], flags: &str) -> Result<(), Failure> {
        let mut command = match self {
            Self::Own => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian => Command::new(DEBIAN[1]),
            Self::Cross => Command::new("cross"),
        };
        command
            .args(["build", "--locked", "--target", TARGET])
            .args(what)
            .current_dir(repository())
            .env("CARGO_TARGET_DIR", target);
        // Paths of this host are not in what is shipped.
        let mut flags = format!("{flags} --remap-path-prefix={}=authenteon", repository().display());
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        if let Some(home) = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"))) {
            flags += &format!(" --remap-path-prefix={}=cargo", home.display());
        }
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags.trim());
        match self {
            Self::Debian => {
                command.env("RUSTC", DEBIAN[0]);
            }
            Self::Cross => {
                command.env("CROSS_CONFIG", repository().join("cross.toml"));
                return run(&mut command).map(drop);
            }
            Self::Own => {}
        }
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
        run(&mut command).map(drop)
    }
}
