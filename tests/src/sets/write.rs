//! Making a set of synthetic prints on disk.
//!
//! Invariant: a set's files depend on its [`Order`] alone, not on how many threads made it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use image::{
    ExtendedColorType, ImageEncoder as _,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use serde::Serialize;

use super::manifest::{Manifest, PrintEntry, sha256};
use crate::synthetic::{Conditions, DPI, Finger, Impression, VERSION};

/// Why a set could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Already something there.
    #[error("{} already holds files: choose an empty folder", path.display())]
    NotEmpty {
        /// Which folder.
        path: PathBuf,
    },
    /// The encoder refused.
    #[error("cannot encode {name}: {source}")]
    Encode {
        /// Which print.
        name: String,
        /// Why.
        source: image::ImageError,
    },
    /// The manifest cannot be written as TOML.
    #[error("cannot write the manifest: {0}")]
    Manifest(#[from] toml::ser::Error),
    /// The truth cannot be written as JSON.
    #[error("cannot write the truth: {0}")]
    Truth(#[from] serde_json::Error),
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Order {
    /// How many fingers.
    pub fingers: u64,
    /// How many impressions of each, numbered from 1.
    pub impressions: u64,
    /// Seed of the first finger; the next has the next.
    pub seed: u64,
    /// Name of the conditions, for the manifest.
    pub name: String,
    /// The conditions.
    pub conditions: Conditions,
    /// Whether the true minutiae are written too.
    pub truth: bool,
    /// Whether files are packed as tightly as PNG can, which takes longer than making the print.
    pub tight: bool,
    /// How many threads work.
    pub threads: usize,
}

/// The truth of one print as it is written.
#[derive(Serialize)]
pub struct Truth {
    x: f32,
    y: f32,
    angle: f32,
    kind: &'static str,
}

/// Packs grey pixels as PNG, `tight` as small as it gets.
///
/// # Errors
/// What the encoder says when the size does not fit the pixels.
pub fn png(width: u32, height: u32, pixels: &[u8], tight: bool) -> Result<Vec<u8>, image::ImageError> {
    let pack = |compression, filter| {
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, compression, filter)
            .write_image(pixels, width, height, ExtendedColorType::L8)
            .map(|()| bytes)
    };
    if !tight {
        return pack(CompressionType::Fast, FilterType::Adaptive);
    }
    // Which filter wins depends on the print.
    let plain = pack(CompressionType::Best, FilterType::NoFilter)?;
    let adaptive = pack(CompressionType::Best, FilterType::Adaptive)?;
    Ok(if adaptive.len() < plain.len() { adaptive } else { plain })
}

/// Makes a set in a folder that is empty or does not exist: `<seed>_<impression>.png`, `set.toml`,
/// `manifest.toml`, and the truth as `<seed>_<impression>.json`. `progress` hears of each print.
///
/// # Errors
/// [`WriteError`] when a file cannot be written; what was written stays.
pub fn write_set(folder: &Path, order: &Order, progress: &(dyn Fn() + Sync)) -> Result<Manifest, WriteError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(file(folder))?;
    if std::fs::read_dir(folder).map_err(file(folder))?.next().is_some() {
        return Err(WriteError::NotEmpty { path: folder.to_owned() });
    }
    let next = AtomicU64::new(0);
    let done: Mutex<Vec<PrintEntry>> = Mutex::new(Vec::new());
    let work = || -> Result<(), WriteError> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= order.fingers {
                return Ok(());
            }
            let finger = Finger::new(order.seed.wrapping_add(number));
            for impression in 1..=order.impressions {
                let entry = write_print(folder, order, &finger, impression)?;
                if let Ok(mut done) = done.lock() {
                    done.push(entry);
                }
                progress();
            }
        }
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..order.threads.max(1)).map(|_| scope.spawn(work)).collect();
        // A hand that panicked has said so itself; its prints are missing from the manifest.
        hands.into_iter().try_for_each(|hand| hand.join().unwrap_or(Ok(())))
    })?;
    let mut prints = done.into_inner().unwrap_or_default();
    prints.sort_by_key(|p| (p.seed, p.impression));
    let manifest = Manifest { generator: VERSION, conditions: order.name.clone(), dpi: DPI, prints };
    let text = format!(
        "# Synthetic prints, made by the bin `synth` of authenteon-tests. No finger of anybody is in here.\n{}",
        toml::to_string(&manifest)?
    );
    let at = folder.join("manifest.toml");
    std::fs::write(&at, text).map_err(file(&at))?;
    let at = folder.join("set.toml");
    std::fs::write(&at, format!("dpi = {DPI}\nsensor = \"synthetic, Authenteon\"\n")).map_err(file(&at))?;
    Ok(manifest)
}

fn write_print(folder: &Path, order: &Order, finger: &Finger, number: u64) -> Result<PrintEntry, WriteError> {
    let impression = finger.impression(number, &order.conditions);
    let name = format!("{}_{number}", finger.seed());
    let Impression { width, height, ref pixels, ref minutiae, .. } = impression;
    let bytes = png(width, height, pixels, order.tight)
        .map_err(|source| WriteError::Encode { name: name.clone(), source })?;
    let path = folder.join(format!("{name}.png"));
    std::fs::write(&path, &bytes).map_err(|source| WriteError::File { path, source })?;
    if order.truth {
        let truth: Vec<Truth> = minutiae
            .iter()
            .map(|m| Truth {
                x: m.x,
                y: m.y,
                angle: m.angle,
                kind: match m.kind {
                    authenteon_matcher::MinutiaKind::Ending => "ending",
                    authenteon_matcher::MinutiaKind::Bifurcation => "bifurcation",
                },
            })
            .collect();
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, serde_json::to_vec(&truth)?)
            .map_err(|source| WriteError::File { path, source })?;
    }
    Ok(PrintEntry {
        file: format!("{name}.png"),
        seed: finger.seed(),
        impression: number,
        width,
        height,
        minutiae: minutiae.len(),
        sha256: sha256(&bytes),
        pixels_sha256: sha256(pixels),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sets::{Set, load};

    fn order(threads: usize) -> Order {
        Order {
            fingers: 2,
            impressions: 2,
            seed: 40,
            name: "good".to_owned(),
            conditions: Conditions { width: 200, height: 200, ..Conditions::good() },
            truth: true,
            tight: false,
            threads,
        }
    }

    #[test]
    fn a_set_is_the_same_by_one_thread_and_by_two_and_reads_back() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let told = AtomicU64::new(0);
        let progress = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let a = write_set(one.path(), &order(1), &progress).unwrap();
        let b = write_set(two.path(), &order(2), &progress).unwrap();
        assert_eq!(a, b);
        assert_eq!(told.into_inner(), 8);
        assert_eq!(Manifest::read(&one.path().join("manifest.toml")).unwrap(), a);
        let set = Set::open(one.path(), None).unwrap();
        assert_eq!((set.fingers(), set.prints.len(), set.dpi), (2, 4, 500));
        let (width, height, pixels) = load(&set.prints[0].path).unwrap();
        assert_eq!((width, height), (200, 200));
        assert_eq!(sha256(&pixels), a.prints[0].pixels_sha256);
        let truth: serde_json::Value =
            serde_json::from_slice(&std::fs::read(one.path().join("40_1.json")).unwrap()).unwrap();
        assert_eq!(truth.as_array().unwrap().len(), a.prints[0].minutiae);
    }

    #[test]
    fn a_folder_that_holds_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dear.txt"), b"x").unwrap();
        assert!(matches!(write_set(dir.path(), &order(1), &|| ()), Err(WriteError::NotEmpty { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
