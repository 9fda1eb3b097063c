//! Sets of prints: folders of `<finger>_<impression>.png|tif|tiff|bmp|wsq`, as every program of the bench
//! reads and writes them. Everything before the last underscore is the finger.

mod manifest;
mod read;
mod sheet;
mod write;

pub use manifest::{Manifest, ManifestError, PrintEntry, sha256};
pub use read::{PrintFile, Set, SetError, load, load_at};
pub use sheet::contact_sheet;
pub use write::{Order, Truth, WriteError, png, write_set};
