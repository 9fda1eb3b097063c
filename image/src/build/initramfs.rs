//! The initramfs: the first process and the modules that it loads, in the kernel's `newc` form
//! (Documentation/driver-api/early-userspace/buffer-format.rst), with no time or number of this host.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};

use super::{fresh, modules::Modules};
use crate::{
    board::Board,
    failure::{Failure, at},
};

/// Writes the initramfs of a board.
pub(super) fn make(file: &Path, init: &Path, modules: &Modules, board: Board) -> Result<(), Failure> {
    let folder = file.with_extension("modules");
    fresh(&folder)?;
    modules.write_in_order(board.modules(), &folder)?;
    let mut archive = Archive::default();
    for name in ["dev", "modules", "proc", "root", "sys"] {
        archive.folder(name);
    }
    archive.file("init", 0o755, &fs::read(init).map_err(at(init))?);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(at(&folder))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("modules/{name}"), 0o644, &fs::read(&path).map_err(at(&path))?);
    }
    let archive = archive.end();
    // GzBuilder writes no name and no time.
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    let packed = packed.write_all(&archive).and_then(|()| packed.finish()).map_err(at(file))?;
    fs::write(file, packed).map_err(at(file))
}

/// An archive as it grows.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | mode, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o040_000 == 0 { 1 } else { 2 };
        // Inode, mode, owner, group, links, time, size, four device numbers, length of the name, check.
        let fields =
            [self.entries, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Command, Stdio},
        thread,
    };

    use super::*;

    #[test]
    fn cpio_reads_what_is_written() {
        if Command::new("cpio").arg("--version").output().is_err() {
            println!("skipped: cpio is not installed");
            return;
        }
        let mut archive = Archive::default();
        archive.folder("modules");
        archive.file("modules/order", 0o644, b"one.ko\n");
        archive.file("init", 0o755, &[7; 4097]);
        let bytes = archive.end();
        let folder = tempfile::tempdir().unwrap();
        let mut cpio = Command::new("cpio")
            .args(["--extract", "--quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = cpio.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(&bytes).unwrap());
        assert!(cpio.wait().unwrap().success());
        writer.join().unwrap();
        assert_eq!(fs::read(folder.path().join("modules/order")).unwrap(), b"one.ko\n");
        assert_eq!(fs::read(folder.path().join("init")).unwrap(), vec![7; 4097]);
    }
}
