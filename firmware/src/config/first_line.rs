//! Secrets in files of their own: the first line is the secret, whatever is noted below it.
//!
//! Invariant: what is wrong is said with no word of what the file holds.

use std::{fs, io::Read as _, path::Path};

use zeroize::Zeroizing;

/// Bytes of a file with a secret.
const LONGEST: u64 = 4096;

/// The first line of a file.
pub(super) fn first_line(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(LONGEST).read_to_string(&mut text).map_err(|why| why.to_string())?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err("its first line is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_secret_and_a_file_without_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(first_line(&path).is_err());
        for text in ["a secret", "a secret\r\nof the VPN\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(first_line(&path).unwrap().as_str(), "a secret");
        }
        for text in ["", "\na secret\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(first_line(&path).unwrap_err(), "its first line is empty");
        }
    }
}
