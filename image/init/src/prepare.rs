//! What the first service finds: the box's name, pseudo-terminals, and folders with their owners.
//!
//! Here and not in a script, because every program that a script calls is read from the verified root and
//! paid for at each start. Invariant: nothing of it can keep the box from starting; what failed is said.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, lchown},
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    mount::{MountFlags, mount},
    system::sethostname,
};

/// Number of the daemon's user and group, in both images.
const DAEMON: u32 = 100;
const ROOT: u32 = 0;

const TERMINALS: u32 = 5;
const LINES: u32 = 47;

/// Devices that the daemon opens once, when it starts: `mdev`, which does the others, looks through all of
/// `/sys` before it is ready, and nobody waits for it. What they are called begins so; their group.
const AT_ONCE: [(&str, u32); 4] =
    [("console", TERMINALS), ("gpiochip", LINES), ("i2c-", LINES), ("spidev", LINES)];

/// Prepares the system whose root is `/`; `folder` is where it reads of its start.
pub(crate) fn all(folder: &Path, data: bool, trial: bool) {
    let steps = [
        ("the name", name()),
        ("pseudo-terminals", pseudo_terminals()),
        ("devices", devices(Path::new("/dev"))),
        ("/run/lock", fs::create_dir_all("/run/lock")),
        ("marks", marks(folder, data, trial)),
        ("folders", if data { folders(Path::new("/data")) } else { Ok(()) }),
    ];
    for (what, done) in steps {
        if let Err(why) = done {
            eprintln!("init: {what}: {why}");
        }
    }
}

/// Reads the daemon into memory, on a core that has nothing else to do while the data partition is checked:
/// it is the largest file of the root, and each of its blocks is verified and unpacked.
pub(crate) fn read_ahead() {
    // If it cannot be, the daemon is read when it starts.
    let _ = Command::new("/bin/dd")
        .args(["if=/usr/bin/authenteond", "of=/dev/null", "bs=128k"])
        .stderr(Stdio::null())
        .spawn();
}

fn name() -> io::Result<()> {
    let name = fs::read_to_string("/etc/hostname")?;
    Ok(sethostname(name.trim().as_bytes())?)
}

fn pseudo_terminals() -> io::Result<()> {
    fs::create_dir_all("/dev/pts")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    Ok(mount("devpts", "/dev/pts", "devpts", flags, Some(c"gid=5,mode=620"))?)
}

fn devices(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let group = AT_ONCE.iter().find(|(begin, _)| name.to_string_lossy().starts_with(begin));
        if let Some((_, group)) = group {
            lchown(entry.path(), Some(ROOT), Some(*group))?;
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o660))?;
        }
    }
    Ok(())
}

/// Files that scripts can ask for without calling a program.
fn marks(folder: &Path, data: bool, trial: bool) -> io::Result<()> {
    for (name, is) in [("data", data), ("trial", trial)] {
        if is {
            fs::write(folder.join(name), "")?;
        }
    }
    own(folder, ROOT, 0o750)?;
    lchown(folder, Some(ROOT), Some(DAEMON))
}

fn folders(data: &Path) -> io::Result<()> {
    for (name, owner) in [("authenteon", DAEMON), ("update", DAEMON), ("system", ROOT)] {
        let folder = data.join(name);
        fs::create_dir_all(&folder)?;
        own(&folder, owner, 0o700)?;
    }
    Ok(())
}

fn own(folder: &Path, owner: u32, mode: u32) -> io::Result<()> {
    lchown(folder, Some(owner), Some(owner))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn mdev_gives_the_same_devices_to_the_same_groups() {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../buildroot/board/authenteon/common/rootfs-overlay/etc/mdev.conf");
        let rules = fs::read_to_string(overlay).unwrap();
        for (begin, group) in AT_ONCE {
            let name = if group == TERMINALS { "root:tty" } else { "root:gpio" };
            let rule = rules.lines().find(|line| line.starts_with(begin)).unwrap();
            let words: Vec<&str> = rule.split_whitespace().collect();
            assert_eq!(words[1..3], [name, "660"], "{rule}");
        }
    }
}
