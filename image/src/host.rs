//! What a host needs to make and boot an image, and the Debian package that brings it.

use std::path::PathBuf;

/// A program and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// Name of the program.
    pub(crate) program: &'static str,
    /// Debian package.
    pub(crate) package: &'static str,
}

/// Everything that making and booting an image calls.
pub(crate) const TOOLS: [Tool; 12] = [
    Tool { program: "genimage", package: "genimage" },
    Tool { program: "mksquashfs", package: "squashfs-tools" },
    Tool { program: "veritysetup", package: "cryptsetup-bin" },
    Tool { program: "mkfs.vfat", package: "dosfstools" },
    Tool { program: "mcopy", package: "mtools" },
    Tool { program: "mke2fs", package: "e2fsprogs" },
    Tool { program: "depmod", package: "kmod" },
    Tool { program: "apt-get", package: "apt" },
    Tool { program: "dpkg-deb", package: "dpkg" },
    Tool { program: "aarch64-linux-gnu-strip", package: "binutils-aarch64-linux-gnu" },
    Tool { program: "aarch64-linux-gnu-gcc", package: "gcc-aarch64-linux-gnu" },
    Tool { program: "qemu-system-aarch64", package: "qemu-system-arm" },
];

/// The tools that are not on the search path.
#[must_use]
pub(crate) fn missing() -> Vec<Tool> {
    // Debian keeps mkfs and friends where an ordinary user's search path does not look.
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    TOOLS.into_iter().filter(|tool| !folders.iter().any(|f| f.join(tool.program).is_file())).collect()
}

/// The command that installs them on Debian.
#[must_use]
pub(crate) fn install_command(missing: &[Tool]) -> String {
    let packages: Vec<&str> = missing.iter().map(|t| t.package).collect();
    format!("apt-get install --no-install-recommends {}", packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_packages_and_not_the_programs() {
        let tools = [TOOLS[1], TOOLS[11]];
        assert_eq!(
            install_command(&tools),
            "apt-get install --no-install-recommends squashfs-tools qemu-system-arm"
        );
    }
}
