//! Where the linker finds libpam. The library itself is part of every Linux; the name that linkers look for is in a package
//! of headers, which nobody needs for this.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    let triplet = format!("{architecture}-linux-gnu");
    let cross = format!("/usr/{triplet}/lib");
    let folders = [format!("/usr/lib/{triplet}"), format!("/lib/{triplet}"), cross, "/usr/lib64".to_owned()];
    let with =
        |name: &str| folders.iter().map(|folder| Path::new(folder).join(name)).find(|file| file.exists());
    if with("libpam.so").is_some() {
        return;
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let named = out.join("libpam.so");
    // Left by a build of before.
    let _ = std::fs::remove_file(&named);
    let made = match with("libpam.so.0") {
        Some(library) => std::os::unix::fs::symlink(library, &named),
        // Nothing to link with: whoever loads the module has the library loaded already.
        None => std::fs::write(&named, "/* GNU ld script: nothing */\n"),
    };
    match made {
        Ok(()) => println!("cargo::rustc-link-search=native={}", out.display()),
        Err(why) => println!("cargo::warning=libpam may not be found: {why}"),
    }
}
