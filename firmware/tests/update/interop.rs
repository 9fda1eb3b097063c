//! RAUC itself: its bundles are ours, and ours are its. And mkfs.vfat's file systems are read.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use authenteon::update::{protocol::Request, slots::Slot};

use crate::support::{BOARD, Box_, Ca, ask, bundle, has, images};

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program).args(arguments).env("PATH", path).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_bundle_that_rauc_made_is_installed() {
    if !has("rauc") || !has("mksquashfs") {
        return;
    }
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256] {
        let ca = Ca::with("ours", algorithm, (2020, 2040));
        let the_box = Box_::new(&ca);
        let content = the_box.path("content");
        fs::create_dir(&content).unwrap();
        let (root, boot) = images("1.1.0");
        fs::write(content.join("rootfs.img"), root).unwrap();
        fs::write(content.join("boot.vfat"), boot).unwrap();
        let manifest = format!(
            "[update]\ncompatible={BOARD}\nversion=1.1.0\nbuild=7\n[bundle]\nformat=verity\n\
             [image.rootfs]\nfilename=rootfs.img\n[image.boot]\nfilename=boot.vfat\n"
        );
        fs::write(content.join("manifest.raucm"), manifest).unwrap();
        let [key, cert, out] = ["key.pem", "cert.pem", "update/rauc.raucb"].map(|name| the_box.path(name));
        fs::write(&key, &ca.key).unwrap();
        fs::write(&cert, &ca.certificate).unwrap();
        let made = run(
            "rauc",
            &[
                "--cert",
                text(&cert),
                "--key",
                text(&key),
                "--keyring",
                text(&the_box.path("keyring.pem")),
                "bundle",
                text(&content),
                text(&out),
            ],
        );
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let status = ask(&the_box.agent(), &Request::Install { path: out }).unwrap();
        assert_eq!(status.pending.unwrap().version.to_string(), "1.1.0");
        assert!(the_box.holds("b", "1.1.0"));
    }
}

#[test]
fn rauc_accepts_a_bundle_of_ours_and_refuses_it_by_another_keyring() {
    if !has("rauc") || !has("unsquashfs") {
        return;
    }
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256]
    {
        let ca = Ca::with("ours", algorithm, (2020, 2040));
        let the_box = Box_::new(&ca);
        let [path, other] = ["ours.raucb", "other.pem"].map(|name| the_box.path(name));
        fs::write(&path, bundle(&ca, "1.1.0")).unwrap();
        fs::write(&other, Ca::new("other").pem).unwrap();
        let info = |keyring: &Path| {
            run("rauc", &["--keyring", text(keyring), "info", "--output-format=json", text(&path)])
        };
        let good = info(&the_box.path("keyring.pem"));
        assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
        let said = String::from_utf8_lossy(&good.stdout).into_owned();
        assert!(said.contains("1.1.0") && said.contains(BOARD) && said.contains("rootfs.img"), "{said}");
        assert!(!info(&other).status.success());
        // The payload too: RAUC checks the tree when it takes a bundle apart.
        let out = the_box.path("out");
        let extracted = run(
            "rauc",
            &["--keyring", text(&the_box.path("keyring.pem")), "extract", text(&path), text(&out)],
        );
        if extracted.status.success() {
            assert_eq!(fs::read(out.join("rootfs.img")).unwrap(), images("1.1.0").0);
        } else {
            eprintln!("skipped: rauc extract: {}", String::from_utf8_lossy(&extracted.stderr));
        }
    }
}

#[test]
fn the_boot_order_is_found_and_changed_on_file_systems_that_mkfs_made() {
    if !has("mkfs.vfat") || !has("mcopy") {
        return;
    }
    for (bits, mebibytes) in [("12", 4_u64), ("16", 16), ("32", 64)] {
        let mut the_box = Box_::new(&Ca::new("ours"));
        let (fat, order) = (the_box.path("autoboot"), the_box.path("autoboot.txt"));
        fs::File::create(&fat).unwrap().set_len(mebibytes << 20).unwrap();
        let made = run("mkfs.vfat", &["-F", bits, "-n", "AUTOBOOT", text(&fat)]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(&order, authenteon::update::bootloader::text(Slot::A)).unwrap();
        let copied = run("mcopy", &["-i", text(&fat), text(&order), "::autoboot.txt"]);
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        the_box.start(Slot::B, true, "1.1.0");
        assert_eq!(ask(&the_box.agent(), &Request::Commit {}).unwrap().committed, Slot::B, "FAT{bits}");
        let shown = run("mtype", &["-i", text(&fat), "::autoboot.txt"]);
        assert_eq!(String::from_utf8(shown.stdout).unwrap(), authenteon::update::bootloader::text(Slot::B));
    }
}
