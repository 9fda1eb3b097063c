//! The Buildroot tree, read without Buildroot: what its files name is there, what they say twice is the same.
//! `BUILDROOT=TREE` adds what only Buildroot itself can say.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the verdict")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

const BOARDS: [(&str, &str); 5] = [
    ("cm4_64", "cm4"),
    ("qemu_aarch64_virt", "qemu-virt"),
    ("rpi3_64", "rpi3"),
    ("rpi4_64", "rpi4"),
    ("rpi5_64", "rpi5"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn tree() -> PathBuf {
    repository().join("buildroot")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|why| panic!("{}: {why}", path.as_ref().display()))
}

fn defconfig(name: &str) -> String {
    read(tree().join(format!("configs/authenteon_{name}_defconfig")))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn packages() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(tree().join("package"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The symbol and the value of a line of a configuration or fragment; `n` for what is not set.
fn setting(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
        Some(symbol) => Some((symbol, "n")),
        None if line.starts_with('#') || line.is_empty() => None,
        None => line.split_once('='),
    }
}

fn is_there(path: &str) -> bool {
    repository().join(path).exists()
}

#[test]
fn every_file_that_is_named_is_there() {
    let mut named = BTreeSet::new();
    for path in files(&tree()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for variable in ["$(BR2_EXTERNAL_AUTHENTEON_PATH)/", "$BR2_EXTERNAL_AUTHENTEON_PATH/"] {
            for (at, _) in text.match_indices(variable) {
                let rest = &text[at + variable.len()..];
                let end =
                    rest.find(|c: char| c.is_whitespace() || "\"'\\)".contains(c)).unwrap_or(rest.len());
                named.insert(rest[..end].to_owned());
            }
        }
    }
    assert!(named.len() > 10, "only {named:?}");
    for name in named.iter().filter(|name| !name.contains('*')) {
        assert!(is_there(&format!("buildroot/{name}")), "buildroot/{name} is named and not there");
    }
}

#[test]
fn every_package_is_sourced_and_whole_and_in_every_image() {
    let sourced = read(tree().join("Config.in"));
    assert!(read(tree().join("external.mk")).contains("package/*/*.mk"));
    for name in packages() {
        let folder = tree().join("package").join(&name);
        let line = format!("source \"$BR2_EXTERNAL_AUTHENTEON_PATH/package/{name}/Config.in\"\n");
        assert_eq!(sourced.matches(&line).count(), 1, "{name} is not sourced once");
        let upper = name.to_uppercase().replace('-', "_");
        assert!(read(folder.join("Config.in")).starts_with(&format!("config BR2_PACKAGE_{upper}\n")));
        let make = read(folder.join(format!("{name}.mk")));
        assert!(make.contains("\n$(eval $(cargo-package))\n"), "{name}");
        let crates: Vec<&str> =
            make.lines().filter_map(|line| line.split_once("_SUBDIR = ").map(|(_, folder)| folder)).collect();
        assert!(!crates.is_empty(), "{name}: the workspace's root is no package");
        for folder in crates {
            assert!(is_there(&format!("{folder}/Cargo.toml")), "{name}: {folder} is no package");
        }
        for (config, _) in BOARDS {
            assert!(defconfig(config).contains(&format!("\nBR2_PACKAGE_{upper}=y\n")), "{config}: {name}");
        }
    }
    assert!(repository().join("Cargo.lock").is_file(), "cargo builds with --locked");
    let about = read(tree().join("external.desc"));
    assert!(about.starts_with("name: AUTHENTEON\ndesc: "));
}

#[test]
fn the_checksums_of_the_licences_are_those_of_the_files() {
    for name in packages() {
        let folder = tree().join("package").join(&name);
        let make = read(folder.join(format!("{name}.mk")));
        let listed = make.lines().find_map(|line| line.split_once("_LICENSE_FILES = ")).unwrap().1;
        let hashes = read(folder.join(format!("{name}.hash")));
        for file in listed.split_whitespace() {
            let sum: String = Sha256::digest(fs::read(repository().join(file)).unwrap())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert!(hashes.contains(&format!("sha256  {sum}  {file}\n")), "{name}.hash: {file} has {sum}");
        }
    }
}

#[test]
fn the_package_is_of_the_workspaces_version_and_built_with_its_profile() {
    let manifest: toml::Value = toml::from_str(&read(repository().join("Cargo.toml"))).unwrap();
    let make = read(tree().join("package/authenteon/authenteon.mk"));
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    assert!(make.contains(&format!("\nAUTHENTEON_VERSION = {version}\n")), "the workspace is {version}");
    let release = &manifest["profile"]["release"];
    let lto = release["lto"].as_str().unwrap();
    let units = release["codegen-units"].as_integer().unwrap();
    // Cargo's own default, where Buildroot would say 2.
    let level = release.get("opt-level").and_then(toml::Value::as_integer).unwrap_or(3);
    for said in [
        format!("CARGO_PROFILE_RELEASE_LTO=\"{lto}\""),
        format!("CARGO_PROFILE_RELEASE_CODEGEN_UNITS=\"{units}\""),
        format!("CARGO_PROFILE_RELEASE_OPT_LEVEL=\"{level}\""),
    ] {
        assert!(make.contains(&said), "{said}");
    }
}

#[test]
fn one_file_pins_the_release_of_buildroot() {
    let pin = read(tree().join("buildroot.release"));
    let settings: BTreeMap<&str, &str> = pin.lines().filter_map(setting).collect();
    assert_eq!(settings.len(), 2, "{settings:?}");
    assert!(settings["BUILDROOT_TAG"].starts_with("2026.08"));
    let commit = settings["BUILDROOT_COMMIT"];
    assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{commit}");
    let readme = read(tree().join("README.md"));
    assert!(readme.contains(settings["BUILDROOT_TAG"]), "the README tells of another release");
}

#[test]
fn a_defconfig_says_nothing_twice_and_boards_differ_only_where_they_must() {
    let present: Vec<String> = fs::read_dir(tree().join("configs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present.len(), BOARDS.len(), "{present:?}");
    let mut all = Vec::new();
    for (config, board) in BOARDS {
        let text = defconfig(config);
        let mut settings = BTreeMap::new();
        for line in text.lines() {
            let (symbol, value) = setting(line).unwrap_or_else(|| panic!("{config}: {line:?}"));
            assert!(symbol.starts_with("BR2_"), "{config}: {line}");
            assert_eq!(
                settings.insert(symbol.to_owned(), value.to_owned()),
                None,
                "{config}: {symbol} twice"
            );
        }
        assert_eq!(settings["BR2_ROOTFS_POST_SCRIPT_ARGS"], format!("\"{board}\""));
        let folder = tree().join("board/authenteon").join(board);
        for file in ["cmdline.txt", "genimage.cfg"] {
            assert!(folder.join(file).is_file(), "{board}/{file}");
        }
        assert_eq!(
            folder.join("config.txt").is_file(),
            settings.contains_key("BR2_PACKAGE_RPI_FIRMWARE"),
            "{board}"
        );
        all.push(settings);
    }
    // What is neither the machine's processor, kernel nor firmware is the same on all.
    let of_machine = |symbol: &str| {
        ["BR2_cortex_", "BR2_LINUX_KERNEL_", "BR2_PACKAGE_RPI_FIRMWARE"].iter().any(|s| symbol.starts_with(s))
            || ["BR2_GLOBAL_PATCH_DIR", "BR2_ROOTFS_POST_SCRIPT_ARGS"].contains(&symbol)
    };
    let common = |settings: &BTreeMap<String, String>| {
        settings.iter().filter(|(symbol, _)| !of_machine(symbol)).map(|(s, v)| format!("{s}={v}")).collect()
    };
    let first: BTreeSet<String> = common(&all[0]);
    assert!(first.contains("BR2_PACKAGE_HOST_RAUC=y") && first.contains("BR2_REPRODUCIBLE=y"));
    assert!(!first.iter().any(|line| line.contains("DBUS") || line == "BR2_PACKAGE_RAUC=y"));
    for settings in &all[1..] {
        assert_eq!(common(settings), first);
    }
}

#[test]
fn fragments_are_plain_and_those_of_one_kernel_agree() {
    let plain = |path: &Path| {
        let mut settings = BTreeMap::new();
        for line in read(path).lines() {
            let Some((symbol, value)) = setting(line) else { continue };
            let known = symbol.strip_prefix("CONFIG_").is_some_and(|name| {
                name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            });
            assert!(known, "{}: {line}", path.display());
            assert!(
                !value.is_empty() && (value != "n" || line.starts_with("# ")),
                "{}: {line}",
                path.display()
            );
            let other = settings.insert(symbol.to_owned(), value.to_owned());
            assert_eq!(other, None, "{}: {symbol} twice", path.display());
        }
        settings
    };
    plain(&tree().join("board/authenteon/common/busybox.fragment"));
    for (config, _) in BOARDS {
        let text = defconfig(config);
        let line =
            text.lines().find_map(|l| l.strip_prefix("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES=")).unwrap();
        let mut kernel: BTreeMap<String, String> = BTreeMap::new();
        for name in line.trim_matches('"').split(' ') {
            let path = tree().join(name.strip_prefix("$(BR2_EXTERNAL_AUTHENTEON_PATH)/").unwrap());
            for (symbol, value) in plain(&path) {
                let other = kernel.insert(symbol.clone(), value);
                assert_eq!(other, None, "{config}: {symbol} is in two fragments");
            }
        }
        for needed in
            ["DM_VERITY", "SQUASHFS_ZSTD", "EXT4_FS", "VFAT_FS", "WATCHDOG", "SPI_SPIDEV", "I2C_CHARDEV"]
        {
            assert_eq!(kernel[&format!("CONFIG_{needed}")], "y", "{config}: there are no modules at a start");
        }
    }
}

#[test]
fn a_slots_folder_says_nothing_of_the_slot() {
    for (_, board) in BOARDS {
        let folder = tree().join("board/authenteon").join(board);
        let line = read(folder.join("cmdline.txt"));
        assert_eq!(line.lines().count(), 1, "{board}: the firmware reads one line");
        assert!(line.contains("panic=5"), "{board}: a panic must end a trial");
        assert!(!line.contains("root=") && !line.contains("authenteon."), "{board}: post-image.sh says it");
        let Ok(config) = fs::read_to_string(folder.join("config.txt")) else { continue };
        let settings: Vec<&str> = config.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        for needed in ["kernel=Image", "initramfs initramfs.img followkernel", "dtparam=watchdog=on"] {
            assert!(settings.contains(&needed), "{board}: {needed}");
        }
        for of_slot in ["boot_partition", "cmdline=", "os_prefix"] {
            assert!(!config.contains(of_slot), "{board}: {of_slot}");
        }
    }
}

#[test]
fn scripts_pass_shellcheck_and_can_be_run() {
    let scripts: Vec<PathBuf> = files(&tree())
        .into_iter()
        .filter(|path| {
            fs::read(path).unwrap().starts_with(b"#!") && !path.to_string_lossy().contains("/output/")
        })
        .collect();
    assert!(scripts.len() >= 4, "{scripts:?}");
    for script in &scripts {
        let mode = fs::metadata(script).unwrap().permissions().mode();
        // udhcpc is told its script's name and runs it, too.
        assert_eq!(mode & 0o111, 0o111, "{} cannot be run", script.display());
    }
    match Command::new("shellcheck").arg("--source-path=SCRIPTDIR").arg("-x").args(&scripts).output() {
        Err(_) => println!("skipped: shellcheck is not installed"),
        Ok(ended) => assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout)),
    }
}

#[test]
fn with_a_tree_every_defconfig_resolves_and_loses_nothing() {
    let Some(buildroot) = std::env::var_os("BUILDROOT") else {
        println!("skipped: BUILDROOT names no Buildroot tree");
        return;
    };
    let ended = Command::new(tree().join("check")).arg(buildroot).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{said}");
    println!("{said}");
}
