//! Images and templates as the API wants them: read whole, told apart by their first bytes, in base64.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::CtlError;

/// The box accepts no larger body by default; base64 adds a third.
const MAX_FILE: u64 = 12 << 20;

/// Reads one file. What resolution is said of a template does not matter: it tells its own.
pub(crate) fn read(path: &Path, dpi: u32) -> Result<Value, CtlError> {
    let refuse = |reason: String| CtlError::File { path: path.to_path_buf(), reason };
    let length = fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(refuse(format!("{length} bytes; the box takes files of up to {MAX_FILE} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let none = "not a PNG, TIFF, BMP or WSQ image, nor a template";
    let format = format_of(&bytes).ok_or_else(|| refuse(none.to_owned()))?;
    Ok(json!({"format": format, "data": STANDARD.encode(bytes), "dpi": dpi}))
}

/// Reads several files.
pub(crate) fn read_all(paths: &[PathBuf], dpi: u32) -> Result<Vec<Value>, CtlError> {
    paths.iter().map(|path| read(path, dpi)).collect()
}

fn format_of(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 7] = [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"BM", "bmp"),
        (b"\xff\xa0\xff", "wsq"),
        (b"AUTM", "template"),
        (b"FMR\0", "minutiae-record"),
    ];
    SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_comes_from_the_bytes_and_not_from_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("print.png");
        fs::write(&path, b"BM rest").unwrap();
        let sample = read(&path, 569).unwrap();
        assert_eq!(sample, json!({"format": "bmp", "data": "Qk0gcmVzdA==", "dpi": 569}));
    }

    #[test]
    fn a_wsq_file_is_sent_as_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hal/fixtures/126_1.wsq");
        assert_eq!(read(&path, 500).unwrap()["format"], "wsq");
    }

    #[test]
    fn templates_are_sent_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("print");
        for (bytes, format) in [(&b"AUTM\x02"[..], "template"), (b"FMR\0 20\0", "minutiae-record")] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path, 500).unwrap()["format"], format);
        }
    }

    #[test]
    fn a_file_that_is_no_image_is_refused_before_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("print.png");
        fs::write(&path, b"not a picture").unwrap();
        let error = read(&path, 500).unwrap_err();
        assert!(
            error.to_string().ends_with("print.png: not a PNG, TIFF, BMP or WSQ image, nor a template"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.png");
        fs::File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(read(&path, 500), Err(CtlError::File { .. })));
    }
}
