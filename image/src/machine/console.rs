//! What a machine says on its console.

use std::{fs, path::PathBuf};

/// A console, as a file that grows.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    file: PathBuf,
}

impl Console {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.file).unwrap_or_default()).into_owned()
    }

    /// The last lines, for people.
    pub(crate) fn end(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What follows `mark` on its line, the last time that it was said.
    pub(crate) fn after(&self, mark: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.rsplit_once(mark)?;
        Some(rest.lines().next().unwrap_or_default().trim().to_owned())
    }
}
