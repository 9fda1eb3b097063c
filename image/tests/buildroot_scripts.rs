//! The scripts that Buildroot runs, run without it on what it would leave: the root before it is packed, and
//! the disk that comes out.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

const MOMENT: &str = "1767225600";

fn script(name: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../buildroot/board/authenteon/common");
    let mut command = Command::new(folder.join(name));
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    command.env("PATH", path).env("SOURCE_DATE_EPOCH", MOMENT);
    command
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn said(ended: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    Command::new(program).args(arguments).env("PATH", path).output().unwrap()
}

/// What Buildroot has in its target folder at the end of a build, as far as it matters.
fn target(folder: &Path, config: &str) -> PathBuf {
    let target = folder.join("target");
    put(&target.join("etc/group"), "root:x:0:\ntty:x:5:\nusers:x:100:\n");
    put(&target.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nsync:x:4:100:sync:/bin:/bin/sync\n");
    put(&target.join("etc/shadow"), "root:*:::::::\nsync:*:::::::\n");
    put(&target.join("etc/authenteon/authenteond.toml"), "version = 1\n");
    for program in ["usr/bin/authenteond", "etc/init.d/rcS", "etc/init.d/S10mdev"] {
        put(&target.join(program), "#!/bin/sh\n");
        fs::set_permissions(target.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    put(&folder.join("config"), config);
    target
}

fn post_build(folder: &Path, target: &Path) -> Output {
    script("post-build.sh").arg(target).arg("rpi4").env("BR2_CONFIG", folder.join("config")).output().unwrap()
}

#[test]
fn the_root_says_its_release_and_holds_nobody_who_could_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path(), "");
    let ended = post_build(folder.path(), &target);
    assert!(ended.status.success(), "{}", said(&ended));
    assert!(said(&ended).contains("NO KEYRING"), "an image without a keyring must not pass in silence");
    let release = fs::read_to_string(target.join("etc/authenteon/release.json")).unwrap();
    let release: serde_json::Value = serde_json::from_str(&release).unwrap();
    let expected =
        serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "build": 1_767_225_600, "test": false});
    assert_eq!(release, expected);
    let read = |name: &str| fs::read_to_string(target.join(name)).unwrap();
    assert!(read("etc/os-release").contains("VARIANT_ID=rpi4\n"));
    // The number of the daemon's group is free, and nobody is in it by chance.
    assert_eq!(read("etc/group"), "root:x:0:\ntty:x:5:\n");
    assert_eq!(read("etc/passwd"), "root:x:0:0:root:/:/bin/false\n");
    assert_eq!(read("etc/shadow"), "root:*:::::::\n");
    assert!(target.join("data").is_dir());
    assert!(!target.join("etc/init.d/S10mdev").exists() && target.join("etc/init.d/rcS").exists());
    assert!(!target.join("etc/authenteon/keyring.pem").exists());
}

#[test]
fn a_keyring_is_taken_and_a_private_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("keyring.pem");
    let config = format!("BR2_PACKAGE_AUTHENTEON_KEYRING=\"{}\"\n", keyring.display());
    let target = target(folder.path(), &config);
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    put(&keyring, certificate);
    let ended = post_build(folder.path(), &target);
    assert!(ended.status.success() && !said(&ended).contains("NO KEYRING"), "{}", said(&ended));
    let installed = target.join("etc/authenteon/keyring.pem");
    assert_eq!(fs::read_to_string(&installed).unwrap(), certificate);
    for (bad, why) in [
        (format!("{certificate}-----BEGIN PRIVATE KEY-----\n"), "private key"),
        ("nothing\n".to_owned(), "no certificate"),
    ] {
        put(&keyring, bad);
        let ended = post_build(folder.path(), &target);
        assert!(!ended.status.success() && said(&ended).contains(why), "{}", said(&ended));
        assert!(!installed.exists(), "the keyring of the build before stayed");
    }
}

#[test]
fn a_root_without_the_daemon_or_a_time_ends_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path(), "");
    let ended = script("post-build.sh")
        .arg(&target)
        .arg("rpi4")
        .env("BR2_CONFIG", folder.path().join("config"))
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    assert!(!ended.status.success() && said(&ended).contains("SOURCE_DATE_EPOCH"), "{}", said(&ended));
    fs::remove_file(target.join("usr/bin/authenteond")).unwrap();
    let ended = post_build(folder.path(), &target);
    assert!(!ended.status.success() && said(&ended).contains("daemon"), "{}", said(&ended));
}

#[test]
fn a_symbol_that_a_configuration_lost_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (config, fragment) = (folder.path().join("config"), folder.path().join("fragment"));
    put(&fragment, "# why\nCONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_C is not set\nCONFIG_D=16\n");
    let check = |text: &str| {
        put(&config, text);
        let ended = script("check-fragment").arg(&config).arg(&fragment).output().unwrap();
        (ended.status.success(), said(&ended))
    };
    let (good, text) = check("CONFIG_A=y\nCONFIG_AA=y\n# CONFIG_B is not set\nCONFIG_D=16\n");
    assert!(good && text.is_empty(), "{text}");
    for (config, lost) in [
        ("CONFIG_A=m\nCONFIG_D=16\n", "CONFIG_A=y"),
        ("CONFIG_AA=y\nCONFIG_D=16\n", "CONFIG_A=y"),
        ("CONFIG_A=y\nCONFIG_C=y\nCONFIG_D=16\n", "# CONFIG_C is not set"),
        ("CONFIG_A=y\nCONFIG_D=160\n", "CONFIG_D=16"),
    ] {
        let (good, text) = check(config);
        assert!(!good && text.contains(&format!("lost: {lost}\n")), "{config}: {text}");
    }
}

/// The programs that `post-image.sh` calls; the first that is not there.
fn missing() -> Option<&'static str> {
    ["genimage", "mksquashfs", "veritysetup", "cpio", "mkfs.vfat", "mcopy", "mke2fs"]
        .into_iter()
        .find(|name| run("sh", &["-c", &format!("command -v {name}")]).stdout.is_empty())
}

/// What Buildroot has in its folder of images.
fn binaries(board: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("images").join(name);
    // Several blocks that do not get smaller: a root of one block has no tree.
    let noise = (0..600_u32).flat_map(|n| Sha256::digest(n.to_le_bytes()));
    put(&folder.path().join("tree/etc/issue"), noise.collect::<Vec<u8>>());
    put(&path("Image"), vec![1; 70_000]);
    put(&path("authenteon-init"), vec![2; 5000]);
    if board != "qemu-virt" {
        put(&path("some-board.dtb"), "tree");
        put(&path("rpi-firmware/start4.elf"), "firmware");
        put(&path("rpi-firmware/fixup4.dat"), "links");
        put(&path("rpi-firmware/overlays/disable-bt.dtbo"), "overlay");
    }
    if board == "rpi3" {
        put(&path("rpi-firmware/bootcode.bin"), "boot code");
    }
    let made = Command::new("mksquashfs")
        .args([folder.path().join("tree"), path("rootfs.squashfs")])
        .args(["-all-root", "-mkfs-time", "0", "-all-time", "0", "-quiet", "-no-progress"])
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    folder
}

fn post_image(folder: &Path, board: &str) {
    let ended = script("post-image.sh")
        .arg(folder.join("images"))
        .arg(board)
        .env("BUILD_DIR", folder.join("build"))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
}

fn in_fat(image: &Path, file: &str) -> Vec<u8> {
    run("mtype", &["-i", image.to_str().unwrap(), &format!("::{file}")]).stdout
}

#[test]
fn a_disk_starts_slot_a_with_the_root_that_its_command_line_names() {
    if let Some(program) = missing() {
        println!("skipped: {program} is not installed");
        return;
    }
    let folder = binaries("rpi3");
    post_image(folder.path(), "rpi3");
    let images = folder.path().join("images");
    let image = |name: &str| images.join(name);

    let disk = fs::read(image("authenteon-rpi3.img")).unwrap();
    let types: Vec<u8> = (0..4).map(|n| disk[446 + 16 * n + 4]).collect();
    assert_eq!(types[..3], [0x0C, 0x0C, 0x0C]);
    assert_eq!(disk[440..444], 0x4155_5448_u32.to_le_bytes(), "the signature that init looks for");
    let start = |n: usize| {
        let at = 446 + 16 * n + 8;
        u32::from_le_bytes(disk[at..at + 4].try_into().unwrap()) as usize * 512
    };
    let boot = fs::read(image("boot.vfat")).unwrap();
    assert!(disk[start(1)..].starts_with(&boot), "slot A is not filled");
    assert!(disk[start(2)..start(2) + boot.len()].iter().all(|byte| *byte == 0), "slot B is not empty");

    let autoboot = in_fat(&image("autoboot.vfat"), "autoboot.txt");
    assert_eq!(autoboot, b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n");
    assert_eq!(in_fat(&image("autoboot.vfat"), "bootcode.bin"), b"boot code");
    for (file, content) in
        [("start4.elf", "firmware"), ("overlays/disable-bt.dtbo", "overlay"), ("some-board.dtb", "tree")]
    {
        assert_eq!(in_fat(&image("boot.vfat"), file), content.as_bytes(), "{file}");
    }

    let line = String::from_utf8(in_fat(&image("boot.vfat"), "cmdline.txt")).unwrap();
    assert_eq!(line.lines().count(), 1);
    let told: BTreeMap<&str, &str> = line
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("authenteon.")?.split_once('='))
        .collect();
    assert_eq!(told["board"], "rpi3");
    let blocks: u64 = told["blocks"].parse().unwrap();
    let root = image("rootfs.verity");
    let verify = |path: &Path| {
        run(
            "veritysetup",
            &[
                "verify",
                "--no-superblock",
                &format!("--hash-offset={}", blocks * 4096),
                &format!("--data-blocks={blocks}"),
                &format!("--salt={}", told["salt"]),
                path.to_str().unwrap(),
                path.to_str().unwrap(),
                told["roothash"],
            ],
        )
        .status
        .success()
    };
    assert!(verify(&root), "the root is not what the command line says");
    let mut bytes = fs::read(&root).unwrap();
    bytes[4096] ^= 1;
    let other = image("tampered");
    put(&other, bytes);
    assert!(!verify(&other), "another root passes, too");

    put(&image("initramfs.gz"), in_fat(&image("boot.vfat"), "initramfs.img"));
    let list = format!("gzip -dc '{}' | cpio --quiet -tv", image("initramfs.gz").display());
    let list = String::from_utf8(run("sh", &["-c", &list]).stdout).unwrap();
    let mut names: Vec<&str> = list.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dev", "init", "modules", "modules/order", "proc", "root", "sys"]);
    assert!(list.lines().any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with(" init")), "{list}");
}

#[test]
fn two_builds_of_one_system_are_the_same_bytes() {
    if let Some(program) = missing() {
        println!("skipped: {program} is not installed");
        return;
    }
    let build = || {
        let folder = binaries("qemu-virt");
        post_image(folder.path(), "qemu-virt");
        let disk = fs::read(folder.path().join("images/authenteon-qemu-virt.img")).unwrap();
        // FAT has times of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        disk
    };
    let (first, second) = (build(), build());
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert!(first.len() == second.len() && differs.is_none(), "they differ at {differs:?}");
}
