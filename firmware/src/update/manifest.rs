//! The manifest of a bundle: RAUC's ini, as far as this box uses it.
//!
//! Only what the signature holds is parsed, and it is parsed as if nobody had signed it: bounded,
//! nothing twice, and what would change how an update is done (hooks, handlers, other formats) is
//! refused rather than passed over.

use std::collections::BTreeMap;

use super::version::Version;

/// RAUC reads manifests of up to so many bytes.
pub const LARGEST: usize = 64 << 10;
/// Lines and sections of the manifests that we accept.
const MOST_KEYS: usize = 256;

/// What a signed bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which board it is for.
    pub compatible: String,
    /// Which version it brings.
    pub version: Version,
    /// The build, for people.
    pub build: Option<String>,
    /// What binds the payload.
    pub verity: Verity,
    /// The root file system with its verity tree.
    pub root: Image,
    /// The FAT with kernel and initramfs.
    pub boot: Image,
}

/// What binds the payload to the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verity {
    /// Root of the hash tree.
    pub hash: [u8; 32],
    /// Put before every block.
    pub salt: [u8; 32],
    /// Bytes of the tree.
    pub size: u64,
}

/// An image in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name in the payload's root folder.
    pub filename: String,
    /// Digest of the whole image.
    pub sha256: [u8; 32],
    /// Bytes of the image.
    pub size: u64,
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No ini.
    #[error("line {0} of the manifest cannot be read")]
    Line(usize),
    /// It is too large.
    #[error("the manifest is too large")]
    TooLarge,
    /// A key is there twice.
    #[error("the manifest says {0} twice")]
    Twice(String),
    /// A key is missing.
    #[error("the manifest does not say {0}")]
    Missing(&'static str),
    /// A value is not what it should be.
    #[error("the manifest's {0} cannot be used")]
    Value(&'static str),
    /// It asks for what this box does not do.
    #[error("the manifest asks for {0}, which this box does not do")]
    Unsupported(String),
}

type Table = BTreeMap<(String, String), String>;

impl Manifest {
    /// Parses the text that was signed.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let table = table(bytes)?;
        for (section, key) in table.keys() {
            supported(section, key)?;
        }
        let text = |section: &str, key: &str, name| {
            let value =
                table.get(&(section.to_owned(), key.to_owned())).ok_or(ManifestError::Missing(name))?;
            if value.is_empty() { Err(ManifestError::Value(name)) } else { Ok(value.as_str()) }
        };
        if text("bundle", "format", "bundle.format")? != "verity" {
            return Err(ManifestError::Unsupported("a bundle format other than verity".to_owned()));
        }
        let digest = |section: &str, key: &str, name| {
            from_hex(text(section, key, name)?).ok_or(ManifestError::Value(name))
        };
        let number = |section: &str, key: &str, name| {
            let value = text(section, key, name)?;
            let plain = value.len() <= 15 && value.bytes().all(|b| b.is_ascii_digit());
            value.parse().ok().filter(|_| plain).ok_or(ManifestError::Value(name))
        };
        let filename = |section: &str, name| {
            let value = text(section, "filename", name)?;
            let plain = value.len() <= 64
                && !value.starts_with('.')
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if plain { Ok(value.to_owned()) } else { Err(ManifestError::Value(name)) }
        };
        let version = text("update", "version", "update.version")?;
        Ok(Self {
            compatible: text("update", "compatible", "update.compatible")?.to_owned(),
            version: version.parse().map_err(|_| ManifestError::Value("update.version"))?,
            build: text("update", "build", "update.build").ok().map(str::to_owned),
            verity: Verity {
                hash: digest("bundle", "verity-hash", "bundle.verity-hash")?,
                salt: digest("bundle", "verity-salt", "bundle.verity-salt")?,
                size: number("bundle", "verity-size", "bundle.verity-size")?,
            },
            root: Image {
                filename: filename("image.rootfs", "image.rootfs.filename")?,
                sha256: digest("image.rootfs", "sha256", "image.rootfs.sha256")?,
                size: number("image.rootfs", "size", "image.rootfs.size")?,
            },
            boot: Image {
                filename: filename("image.boot", "image.boot.filename")?,
                sha256: digest("image.boot", "sha256", "image.boot.sha256")?,
                size: number("image.boot", "size", "image.boot.size")?,
            },
        })
    }
}

/// Whether a key is one that an update by this box takes into account, or one that changes nothing.
fn supported(section: &str, key: &str) -> Result<(), ManifestError> {
    let known = match section {
        "update" => matches!(key, "compatible" | "version" | "build" | "description"),
        "bundle" => matches!(key, "format" | "verity-hash" | "verity-salt" | "verity-size"),
        "image.rootfs" | "image.boot" => matches!(key, "filename" | "sha256" | "size"),
        // RAUC keeps what users write for themselves under this name.
        other => other.starts_with("meta."),
    };
    if known { Ok(()) } else { Err(ManifestError::Unsupported(format!("[{section}] {key}"))) }
}

fn table(bytes: &[u8]) -> Result<Table, ManifestError> {
    if bytes.len() > LARGEST {
        return Err(ManifestError::TooLarge);
    }
    let mut table = Table::new();
    let mut section = String::new();
    for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let bad = ManifestError::Line(at + 1);
        let line = str::from_utf8(line).map_err(|_| bad.clone())?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains(char::is_control) {
            return Err(bad);
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').filter(|n| !n.is_empty() && !n.contains(['[', ']']));
            section = name.ok_or(bad)?.to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(bad.clone())?;
        let key = key.trim();
        if section.is_empty() || key.is_empty() {
            return Err(bad);
        }
        let name = format!("{section}.{key}");
        if table.insert((section.clone(), key.to_owned()), value.trim().to_owned()).is_some() {
            return Err(ManifestError::Twice(name));
        }
        if table.len() > MOST_KEYS {
            return Err(ManifestError::TooLarge);
        }
    }
    Ok(table)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |b: u8| (b as char).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> String {
        let h = "ab".repeat(32);
        format!(
            "[update]\ncompatible=qemu-virt\nversion=1.2.3\nbuild=77\n\n[bundle]\nformat=verity\nverity-hash={h}\n\
             verity-salt={h}\nverity-size=4096\n\n[image.rootfs]\nsha256={h}\nsize=10\nfilename=rootfs.img\n\n\
             [image.boot]\nsha256={h}\nsize=20\nfilename=boot.vfat\n\n[meta.us]\nnote=x\n"
        )
    }

    #[test]
    fn a_manifest_of_ours_is_read_whole() {
        let m = Manifest::parse(good().as_bytes()).unwrap();
        assert_eq!((m.compatible.as_str(), m.version.to_string().as_str()), ("qemu-virt", "1.2.3"));
        assert_eq!((m.root.size, m.boot.filename.as_str(), m.verity.hash), (10, "boot.vfat", [0xab; 32]));
    }

    #[test]
    fn what_would_change_the_update_is_refused_and_not_passed_over() {
        for more in [
            "[hooks]\nfilename=h.sh\n",
            "[handler]\nfilename=x\n",
            "[image.boot]\nhooks=install\n",
            "[image.other]\nfilename=x\n",
        ] {
            let why = Manifest::parse((good() + more).as_bytes()).unwrap_err();
            assert!(matches!(why, ManifestError::Unsupported(_)), "{more}: {why}");
        }
        let why = Manifest::parse(good().replace("=verity\n", "=plain\n").as_bytes()).unwrap_err();
        assert!(matches!(why, ManifestError::Unsupported(_)));
    }

    #[test]
    fn a_manifest_with_anything_missing_twice_or_malformed_is_refused() {
        let good = good();
        for (at, line) in good.lines().enumerate() {
            if line.contains('=') && !line.starts_with("build") && !line.starts_with("note") {
                let without: String = good
                    .lines()
                    .enumerate()
                    .filter(|(i, _)| *i != at)
                    .map(|(_, l)| format!("{l}\n"))
                    .collect();
                assert!(Manifest::parse(without.as_bytes()).is_err(), "without {line}");
                let (key, _) = line.split_once('=').unwrap();
                for bad in
                    [format!("{line}\n{line}"), format!("{key}="), format!("{key}=../x y"), key.to_owned()]
                {
                    let changed: String = good
                        .lines()
                        .enumerate()
                        .map(|(i, l)| if i == at { format!("{bad}\n") } else { format!("{l}\n") })
                        .collect();
                    let spaced = key == "compatible" && bad.ends_with("x y");
                    assert_eq!(Manifest::parse(changed.as_bytes()).is_ok(), spaced, "{bad}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_manifest_reader_fail_otherwise_than_with_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Manifest::parse(&bytes);
        }

        #[test]
        fn no_change_of_a_byte_makes_it_fail_otherwise(at in 0_usize..500, to: u8) {
            let mut bytes = good().into_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Manifest::parse(&bytes);
        }
    }
}
