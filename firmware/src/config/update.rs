//! `[update]`: where bundles go and who installs them.

use std::path::PathBuf;

use serde::Deserialize;

/// Updates of the whole box; without this section it is not updated over the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Update {
    /// Where bundles are kept while they are installed.
    pub folder: PathBuf,
    /// The socket of `authenteond system-agent`.
    pub agent: PathBuf,
    /// What init said of this start (`boot.json`): health tells of an image that is for tests.
    pub boot: Option<PathBuf>,
}
