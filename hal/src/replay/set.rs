//! A folder of prints: `<finger>_<impression>.png|tif|tiff|bmp|wsq`, and optionally a `set.toml`.
//!
//! Invariant: a [`PrintSet`] that opened has at least one finger, every finger at least one
//! impression, fingers and impressions are in natural order ("2" before "10"), and the resolution
//! is one that a reader can have. Files of other kinds are left alone.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use crate::decode::{DecodeError, decode};
use crate::frame::{Dpi, Frame, FrameError};

/// No image file of a print is larger: the largest frame in 16-bit RGBA, uncompressed, fits.
const MAX_FILE: u64 = 160 << 20;

/// Why a folder is no set of prints.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The folder or a file in it cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no print in it.
    #[error("{0}: no prints here; expected files <finger>_<impression>.png, .tif, .bmp or .wsq")]
    Empty(PathBuf),
    /// An image whose name does not say what it is.
    #[error("{0}: the name is not <finger>_<impression>, such as 101_1.png")]
    BadName(PathBuf),
    /// The same impression of the same finger twice.
    #[error("{0}: the same impression is there in another format")]
    Duplicate(PathBuf),
    /// `set.toml` is not what it should be.
    #[error("{path}: {reason}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where known.
        reason: String,
    },
    /// An image that cannot be decoded.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: DecodeError,
    },
}

/// Prints of one reader: fingers with their impressions.
#[derive(Clone, Debug)]
pub struct PrintSet {
    dpi: Dpi,
    fingers: Vec<Finger>,
}

/// A finger: everything in the file name before the last underscore.
#[derive(Clone, Debug)]
pub struct Finger {
    name: String,
    impressions: Vec<Impression>,
}

/// One impression of a finger, not yet read.
#[derive(Clone, Debug)]
pub struct Impression {
    label: String,
    path: PathBuf,
    dpi: Dpi,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    dpi: Option<u32>,
    /// For people only.
    #[serde(rename = "sensor")]
    _sensor: Option<String>,
}

impl PrintSet {
    /// Lists a folder. The resolution is `dpi` if given, else that of `set.toml`, else 500.
    ///
    /// # Errors
    /// [`SetError`], naming the file that is wrong. Images are not read yet.
    pub fn open(folder: &Path, dpi: Option<Dpi>) -> Result<Self, SetError> {
        let at = |source| SetError::Io { path: folder.to_path_buf(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            if is_image(&path) && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        let recorded = read_settings(folder)?;
        let dpi = dpi.or(recorded).unwrap_or(Dpi::STANDARD);

        let mut fingers: BTreeMap<String, Vec<Impression>> = BTreeMap::new();
        for path in files {
            let (finger, label) = split_name(&path).ok_or_else(|| SetError::BadName(path.clone()))?;
            let impressions = fingers.entry(finger).or_default();
            if impressions.iter().any(|other| other.label == label) {
                return Err(SetError::Duplicate(path));
            }
            impressions.push(Impression { label, path, dpi });
        }
        if fingers.is_empty() {
            return Err(SetError::Empty(folder.to_path_buf()));
        }
        let mut fingers: Vec<Finger> = fingers
            .into_iter()
            .map(|(name, mut impressions)| {
                impressions.sort_by(|a, b| natural(&a.label, &b.label));
                Finger { name, impressions }
            })
            .collect();
        fingers.sort_by(|a, b| natural(&a.name, &b.name));
        Ok(Self { dpi, fingers })
    }

    /// Resolution of all its prints.
    #[must_use]
    pub fn dpi(&self) -> Dpi {
        self.dpi
    }

    /// Its fingers, in natural order.
    #[must_use]
    pub fn fingers(&self) -> &[Finger] {
        &self.fingers
    }
}

impl Finger {
    /// The name before the last underscore.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its impressions, in natural order.
    #[must_use]
    pub fn impressions(&self) -> &[Impression] {
        &self.impressions
    }
}

impl Impression {
    /// The name after the last underscore.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`SetError::Io`]; a file larger than any print is refused unread.
    pub fn read(&self) -> Result<Vec<u8>, SetError> {
        let at = |source| SetError::Io { path: self.path.clone(), source };
        if fs::metadata(&self.path).map_err(at)?.len() > MAX_FILE {
            return Err(at(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any print")));
        }
        fs::read(&self.path).map_err(at)
    }

    /// The frame in it.
    ///
    /// # Errors
    /// [`SetError::Io`] or [`SetError::Image`].
    pub fn load(&self) -> Result<Frame, SetError> {
        decode(&self.read()?, self.dpi).map_err(|source| SetError::Image { path: self.path.clone(), source })
    }
}

fn is_image(path: &Path) -> bool {
    const EXTENSIONS: [&str; 5] = ["png", "tif", "tiff", "bmp", "wsq"];
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    !hidden && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn split_name(path: &Path) -> Option<(String, String)> {
    let (finger, impression) = path.file_stem()?.to_str()?.rsplit_once('_')?;
    (!finger.is_empty() && !impression.is_empty()).then(|| (finger.to_owned(), impression.to_owned()))
}

fn read_settings(folder: &Path) -> Result<Option<Dpi>, SetError> {
    let path = folder.join("set.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SetError::Io { path, source }),
    };
    let settings: Settings = toml::from_str(&text)
        .map_err(|error| SetError::Settings { path: path.clone(), reason: error.to_string() })?;
    let checked: Result<Option<Dpi>, FrameError> = settings.dpi.map(Dpi::new).transpose();
    checked.map_err(|error| SetError::Settings { path, reason: error.to_string() })
}

/// Runs of digits compare as numbers of any length, everything else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (x, y) = (head(left), head(right));
        let by_value = if is_digits(x) && is_digits(y) {
            let (m, n) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            x.cmp(y)
        };
        match by_value {
            Ordering::Equal => {}
            decided => return decided,
        }
        (left, right) = (&left[x.len()..], &right[y.len()..]);
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The longest start that is all digits, or has none.
fn head(text: &str) -> &str {
    let digits = is_digits(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            image::GrayImage::from_pixel(64, 64, image::Luma([file.len() as u8]))
                .save(folder.path().join(file))
                .unwrap();
        }
        folder
    }

    fn names(set: &PrintSet) -> Vec<(String, Vec<String>)> {
        let labels = |f: &Finger| f.impressions().iter().map(|i| i.label().to_owned()).collect();
        set.fingers().iter().map(|f| (f.name().to_owned(), labels(f))).collect()
    }

    #[test]
    fn files_are_grouped_by_what_precedes_the_last_underscore() {
        let folder = folder(&["b_1_10.png", "b_1_2.tif", "a_3.bmp", "b_2_1.PNG"]);
        fs::write(folder.path().join("README.md"), "not a print").unwrap();
        let set = PrintSet::open(folder.path(), None).unwrap();
        let expected = [("a", vec!["3"]), ("b_1", vec!["2", "10"]), ("b_2", vec!["1"])];
        let expected: Vec<(String, Vec<String>)> = expected
            .into_iter()
            .map(|(name, labels)| (name.to_owned(), labels.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(names(&set), expected);
        assert_eq!(set.fingers()[1].impressions()[0].load().unwrap().pixels()[0], "b_1_2.tif".len() as u8);
    }

    #[test]
    fn the_resolution_is_the_callers_then_the_folders_then_500() {
        let folder = folder(&["a_1.png"]);
        let dpi = |given| PrintSet::open(folder.path(), given).unwrap().dpi().get();
        assert_eq!(dpi(None), 500);
        fs::write(folder.path().join("set.toml"), "dpi = 569\nsensor = \"optical\"\n").unwrap();
        assert_eq!(dpi(None), 569);
        assert_eq!(dpi(Some(Dpi::new(1000).unwrap())), 1000);
        let frame = PrintSet::open(folder.path(), None).unwrap().fingers()[0].impressions()[0].load();
        assert_eq!(frame.unwrap().dpi().get(), 569);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_with_the_file() {
        let folder = folder(&["a_1.png"]);
        for text in ["dpi = 50", "dpi = \"500\"", "dpi = 500\nppi = 500", "dpi ="] {
            fs::write(folder.path().join("set.toml"), text).unwrap();
            let error = PrintSet::open(folder.path(), None).unwrap_err();
            assert!(
                matches!(&error, SetError::Settings { path, .. } if path.ends_with("set.toml")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_empty_folder_says_what_it_should_hold() {
        let error = PrintSet::open(folder(&[]).path(), None).unwrap_err();
        assert!(error.to_string().contains("<finger>_<impression>.png"), "{error}");
    }

    #[test]
    fn a_name_without_a_finger_or_an_impression_is_refused() {
        for name in ["thumb.png", "_1.png", "thumb_.png"] {
            let error = PrintSet::open(folder(&["a_1.png", name]).path(), None).unwrap_err();
            assert!(matches!(&error, SetError::BadName(path) if path.ends_with(name)), "{error}");
        }
    }

    #[test]
    fn the_same_impression_in_two_formats_is_refused() {
        let error = PrintSet::open(folder(&["a_1.png", "a_1.tif"]).path(), None).unwrap_err();
        assert!(matches!(error, SetError::Duplicate(_)));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_name() {
        let error = PrintSet::open(Path::new("no/such/folder"), None).unwrap_err();
        assert!(matches!(&error, SetError::Io { path, .. } if path == Path::new("no/such/folder")));
    }

    #[test]
    fn a_damaged_print_is_named_when_it_is_read() {
        let folder = folder(&["a_1.png"]);
        fs::write(folder.path().join("a_2.png"), b"not a picture").unwrap();
        let set = PrintSet::open(folder.path(), None).unwrap();
        let error = set.fingers()[0].impressions()[1].load().unwrap_err();
        assert!(matches!(&error, SetError::Image { path, .. } if path.ends_with("a_2.png")), "{error}");
    }

    proptest! {
        #[test]
        fn natural_order_is_a_total_order(texts in prop::collection::vec("[a019_]{0,24}", 3)) {
            let (a, b, c) = (&texts[0], &texts[1], &texts[2]);
            prop_assert_eq!(natural(a, b), natural(b, a).reverse());
            prop_assert_eq!(natural(a, b) == Ordering::Equal, a == b);
            if natural(a, b) == Ordering::Less && natural(b, c) == Ordering::Less {
                prop_assert_eq!(natural(a, c), Ordering::Less);
            }
        }
    }
}
