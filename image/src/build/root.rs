//! The root: the overlay that it shares with `buildroot/`, and what Buildroot would put around it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use super::{
    Release,
    debian::Packages,
    fresh,
    modules::Modules,
    toolchain::{Programs, repository},
};
use crate::failure::{Failure, at, run};

/// Mount points and folders.
const FOLDERS: [&str; 16] = [
    "bin",
    "sbin",
    "usr/bin",
    "usr/sbin",
    "usr/share",
    "usr/lib/authenteon",
    "lib",
    "lib/aarch64-linux-gnu",
    "etc/authenteon",
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "data",
    "var",
];

/// What of busybox is there: what the overlay's scripts call and no more. No shell is offered to anybody.
const APPLETS: [&str; 54] = [
    "[",
    "ash",
    "awk",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dmesg",
    "echo",
    "env",
    "false",
    "free",
    "grep",
    "halt",
    "head",
    "hostname",
    "id",
    "init",
    "insmod",
    "ip",
    "kill",
    "ln",
    "logger",
    "logread",
    "ls",
    "lsmod",
    "mdev",
    "mkdir",
    "modprobe",
    "mount",
    "mv",
    "poweroff",
    "printf",
    "ps",
    "reboot",
    "rm",
    "sed",
    "sh",
    "sleep",
    "sort",
    "start-stop-daemon",
    "sync",
    "syslogd",
    "tail",
    "test",
    "true",
    "udhcpc",
    "umount",
    "watchdog",
];

const USERS: &str = "root:x:0:0:root:/:/bin/false\nauthenteon:x:100:100:daemon:/data/authenteon:/bin/false\n";
const GROUPS: &str = "root:x:0:\ntty:x:5:authenteon\ndialout:x:20:authenteon\nplugdev:x:46:authenteon\ngpio:x:47:authenteon\nauthenteon:x:100:\n";

/// Copies a program without its symbols, as Buildroot does: a quarter of the daemon. They are in the file that it is
/// copied from.
fn stripped(program: &Path, to: &Path) -> Result<(), Failure> {
    run(Command::new("aarch64-linux-gnu-strip").arg("--strip-all").arg("-o").arg(to).arg(program))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(at(to))
}

/// Puts the root together in `tree`.
pub(super) fn assemble(
    tree: &Path,
    programs: &Programs,
    packages: &Packages,
    modules: &Modules,
    release: &Release,
    keyring: &Path,
) -> Result<(), Failure> {
    fresh(tree)?;
    for folder in FOLDERS {
        let path = tree.join(folder);
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    let overlay = repository().join("buildroot/board/authenteon/common/rootfs-overlay");
    copy_tree(&overlay, tree)?;
    copy(&packages.file("busybox-static", "bin/busybox"), &tree.join("bin/busybox"), 0o755)?;
    for applet in APPLETS {
        let folder = if matches!(applet, "init" | "halt" | "poweroff" | "reboot") { "sbin" } else { "bin" };
        link("/bin/busybox", &tree.join(folder).join(applet))?;
    }
    copy(&packages.file("e2fsck-static", "sbin/e2fsck.static"), &tree.join("sbin/e2fsck"), 0o755)?;
    for (package, library) in [
        ("libc6", "libc.so.6"),
        ("libc6", "libm.so.6"),
        ("libc6", "ld-linux-aarch64.so.1"),
        ("libgcc-s1", "libgcc_s.so.1"),
    ] {
        let path = format!("lib/aarch64-linux-gnu/{library}");
        copy(&packages.file(package, &path), &tree.join(&path), 0o755)?;
    }
    link("aarch64-linux-gnu/ld-linux-aarch64.so.1", &tree.join("lib/ld-linux-aarch64.so.1"))?;
    stripped(&programs.daemon, &tree.join("usr/bin/authenteond"))?;
    stripped(&programs.golden, &tree.join("usr/lib/authenteon/golden"))?;
    modules.write_root(tree)?;
    copy(keyring, &tree.join("etc/authenteon/keyring.pem"), 0o644)?;
    let json = serde_json::to_string_pretty(release).map_err(|why| Failure::Wrong(why.to_string()))?;
    for (name, text) in [
        ("etc/passwd", USERS.to_owned()),
        ("etc/group", GROUPS.to_owned()),
        ("etc/os-release", format!("NAME=Authenteon\nID=authenteon\nVERSION_ID={}\n", release.version)),
        ("etc/authenteon/release.json", json + "\n"),
    ] {
        let path = tree.join(name);
        fs::write(&path, text).map_err(at(&path))?;
        mode(&path, 0o644)?;
    }
    Ok(())
}

/// Copies a tree; whether a file may be run is kept, nothing else of its mode.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        let about = fs::symlink_metadata(&path).map_err(at(&path))?;
        if about.is_symlink() {
            let points = fs::read_link(&path).map_err(at(&path))?;
            symlink(points, &target).map_err(at(&target))?;
        } else if about.is_dir() {
            fs::create_dir_all(&target).map_err(at(&target))?;
            copy_tree(&path, &target)?;
        } else {
            let runs = about.permissions().mode() & 0o100 != 0;
            copy(&path, &target, if runs { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, bits: u32) -> Result<(), Failure> {
    fs::copy(from, to).map_err(at(from))?;
    mode(to, bits)
}

fn mode(path: &Path, bits: u32) -> Result<(), Failure> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).map_err(at(path))
}

fn link(to: &str, path: &Path) -> Result<(), Failure> {
    symlink(to, path).map_err(at(path))
}
