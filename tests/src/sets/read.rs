//! Reading a folder of prints.
//!
//! Invariant: a [`Set`] has at least two fingers, no print twice, and its prints in the order of
//! their names, so that every run compares the same pairs in the same order.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use authenteon_hal::{
    Dpi, Frame,
    decode::{DecodeError, decode},
};
use serde::Deserialize;

/// No image of a finger is larger: 16-bit colour at the largest size that decodes.
const MOST_BYTES: u64 = 128 << 20;

/// Why a folder is no set of prints.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The folder cannot be listed.
    #[error("cannot read the folder {}: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An image does not say whose it is.
    #[error("{} is not named <finger>_<impression>", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
    },
    /// Two images with one name.
    #[error("{} is there twice, under different extensions", path.display())]
    Twice {
        /// One of them.
        path: PathBuf,
    },
    /// No image at all.
    #[error("no images (png, tif, tiff, bmp, wsq) in {}", path.display())]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
    /// Nothing to tell apart.
    #[error("{} has one finger only: impostors need two", path.display())]
    OneFinger {
        /// Which folder.
        path: PathBuf,
    },
    /// Nothing to recognise.
    #[error("{} has no finger with two impressions: genuine comparisons need them", path.display())]
    OneImpression {
        /// Which folder.
        path: PathBuf,
    },
    /// `set.toml` does not say what it should.
    #[error("{}: {source}", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// An image cannot be decoded.
    #[error("{}: {source}", path.display())]
    Image {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// One image of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintFile {
    /// The file's name without extension.
    pub name: String,
    /// Whose finger.
    pub finger: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A folder of prints.
#[derive(Clone, Debug)]
pub struct Set {
    /// The folder's own name.
    pub name: String,
    /// Resolution of all its images, pixels per inch.
    pub dpi: u32,
    /// The images, by name.
    pub prints: Vec<PrintFile>,
}

/// What a folder's `set.toml` may say; what else stands there is for people.
#[derive(Deserialize)]
struct Settings {
    dpi: Option<u32>,
}

impl Set {
    /// Lists a folder. Its `set.toml` gives the resolution, else `dpi` does, else 500 is taken.
    ///
    /// # Errors
    /// [`SetError`] when the folder is missing, its names are wrong, or nothing can be compared in it.
    pub fn open(path: &Path, dpi: Option<u32>) -> Result<Self, SetError> {
        let folder = |source| SetError::Folder { path: path.to_owned(), source };
        let whole = path.canonicalize().map_err(folder)?;
        let mut prints = Vec::new();
        for entry in std::fs::read_dir(&whole).map_err(folder)? {
            let path = entry.map_err(folder)?.path();
            let kind = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
            if ["png", "tif", "tiff", "bmp", "wsq"].contains(&kind.as_str()) {
                prints.push(print_file(path)?);
            }
        }
        prints.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = prints.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(SetError::Twice { path: pair[1].path.clone() });
        }
        let set = Self {
            name: whole.file_name().map_or_else(|| "root".to_owned(), |n| n.to_string_lossy().into_owned()),
            dpi: settings(&whole)?.and_then(|s| s.dpi).or(dpi).unwrap_or(500),
            prints,
        };
        let fingers = set.fingers();
        match fingers {
            0 => Err(SetError::Empty { path: path.to_owned() }),
            1 => Err(SetError::OneFinger { path: path.to_owned() }),
            _ if fingers == set.prints.len() => Err(SetError::OneImpression { path: path.to_owned() }),
            _ => Ok(set),
        }
    }

    /// How many different fingers.
    #[must_use]
    pub fn fingers(&self) -> usize {
        self.prints.iter().map(|p| &p.finger).collect::<BTreeSet<_>>().len()
    }
}

fn print_file(path: PathBuf) -> Result<PrintFile, SetError> {
    let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or("").to_owned();
    match name.rsplit_once('_') {
        // Blanks would tear the lines of a score file apart.
        Some((finger, impression))
            if !finger.is_empty() && !impression.is_empty() && !name.contains(char::is_whitespace) =>
        {
            Ok(PrintFile { finger: finger.to_owned(), name, path })
        }
        _ => Err(SetError::Name { path }),
    }
}

fn settings(folder: &Path) -> Result<Option<Settings>, SetError> {
    let path = folder.join("set.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .map(Some)
            .map_err(|source| SetError::Settings { path, source: Box::new(source) }),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SetError::File { path, source }),
    }
}

/// Decodes an image to 8-bit grey: width, height, pixels.
///
/// # Errors
/// [`SetError`] when the file is missing, damaged or absurdly large.
pub fn load(path: &Path) -> Result<(u32, u32, Vec<u8>), SetError> {
    let frame = load_at(path, Dpi::STANDARD)?;
    Ok((frame.width(), frame.height(), frame.into_pixels()))
}

/// Decodes an image as the appliance does; `dpi` is the resolution of one that does not tell its own.
///
/// # Errors
/// [`SetError`] when the file is missing, damaged or absurdly large.
pub fn load_at(path: &Path, dpi: Dpi) -> Result<Frame, SetError> {
    let file = |source| SetError::File { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(file)?.len() > MOST_BYTES {
        return Err(file(std::io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = std::fs::read(path).map_err(file)?;
    decode(&bytes, dpi).map_err(|source| SetError::Image { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(dir.path().join(file), b"").unwrap();
        }
        dir
    }

    #[test]
    fn the_finger_is_everything_before_the_last_underscore_and_other_files_are_left_alone() {
        let dir = folder(&["012_3_2.png", "012_3_1.TIF", "012_4_1.bmp", "readme.txt", "x.json"]);
        let set = Set::open(dir.path(), None).unwrap();
        assert_eq!(
            set.prints.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["012_3_1", "012_3_2", "012_4_1"]
        );
        assert_eq!((set.fingers(), set.dpi), (2, 500));
        assert_eq!(set.prints[0].finger, "012_3");
    }

    #[test]
    fn the_resolution_comes_from_the_set_then_from_the_caller() {
        let dir = folder(&["1_1.png", "1_2.png", "2_1.png"]);
        assert_eq!(Set::open(dir.path(), Some(1000)).unwrap().dpi, 1000);
        std::fs::write(dir.path().join("set.toml"), "dpi = 569\nsensor = \"optical\"\n").unwrap();
        assert_eq!(Set::open(dir.path(), Some(1000)).unwrap().dpi, 569);
        std::fs::write(dir.path().join("set.toml"), "dpi = \"many\"\n").unwrap();
        assert!(matches!(Set::open(dir.path(), None), Err(SetError::Settings { .. })));
    }

    #[test]
    fn a_folder_that_cannot_be_compared_is_refused_with_the_reason() {
        assert!(matches!(Set::open(Path::new("/nowhere/at/all"), None), Err(SetError::Folder { .. })));
        let refusal = |files: &[&str]| Set::open(folder(files).path(), None).unwrap_err();
        assert!(matches!(refusal(&[]), SetError::Empty { .. }));
        assert!(matches!(refusal(&["1_1.png", "1_2.png"]), SetError::OneFinger { .. }));
        assert!(matches!(refusal(&["1_1.png", "2_1.png"]), SetError::OneImpression { .. }));
        assert!(matches!(refusal(&["1_1.png", "thumb.png"]), SetError::Name { .. }));
        assert!(matches!(refusal(&["1_1.png", "_2.png"]), SetError::Name { .. }));
        assert!(matches!(refusal(&["1_1.png", "a b_2.png"]), SetError::Name { .. }));
        assert!(matches!(refusal(&["1_1.png", "1_1.tif", "2_1.png"]), SetError::Twice { .. }));
    }

    #[test]
    fn a_wsq_file_is_read_at_the_resolution_that_it_tells() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hal/fixtures/126_1.wsq");
        let frame = load_at(&file, Dpi::new(300).unwrap()).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.dpi()), (388, 374, Dpi::STANDARD));
    }

    #[test]
    fn a_damaged_image_is_refused_by_name() {
        let dir = folder(&["1_1.png"]);
        let error = load(&dir.path().join("1_1.png")).unwrap_err();
        assert!(error.to_string().contains("1_1.png"), "{error}");
    }
}
