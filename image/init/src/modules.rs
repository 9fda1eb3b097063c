//! Kernel modules of the initramfs, loaded in the order of its list.

use std::{ffi::CStr, fs, fs::File, path::Path};

use rustix::{io::Errno, system::finit_module};

/// Loads what `folder/order` lists, one file name a line; gives what failed.
///
/// A module that fails is no reason to stop: what is missing shows in what cannot be mounted.
pub(crate) fn load(folder: &Path) -> Vec<String> {
    let Ok(order) = fs::read_to_string(folder.join("order")) else { return vec!["no list".to_owned()] };
    let mut failed = Vec::new();
    for name in order.lines().filter(|line| !line.is_empty()) {
        let empty: &CStr = c"";
        let loaded =
            File::open(folder.join(name)).map_err(|why| why.to_string()).and_then(|file| match finit_module(
                &file, empty, 0,
            ) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(why) => Err(why.to_string()),
            });
        if let Err(why) = loaded {
            failed.push(format!("{name}: {why}"));
        }
    }
    failed
}
