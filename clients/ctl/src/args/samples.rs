//! Where a command takes prints from: image files, or a reader of the box.

use std::path::PathBuf;

/// One print that is looked into here.
#[cfg(feature = "local")]
#[derive(Debug, clap::Args)]
pub(crate) struct OneImage {
    /// Image of the print: PNG, TIFF, BMP or WSQ
    #[arg(value_name = "IMAGE")]
    pub(crate) file: PathBuf,
    /// Resolution of the image
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
}

/// Several prints of one finger.
#[derive(Debug, clap::Args)]
pub(crate) struct Prints {
    /// One file for each impression: a PNG, TIFF, BMP or WSQ image, or a template
    #[arg(value_name = "IMAGE", required_unless_present = "sensor", conflicts_with = "sensor")]
    pub(crate) files: Vec<PathBuf>,
    /// Resolution of the images
    #[arg(long, default_value = "500", value_parser = clap::value_parser!(u32).range(125..=2000))]
    pub(crate) dpi: u32,
    #[command(flatten)]
    pub(crate) place: AtReader,
    /// How many impressions to take at the reader
    #[arg(long, value_name = "N", default_value = "3", requires = "sensor")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10))]
    pub(crate) impressions: u64,
}

/// A reader of the box, instead of files.
#[derive(Debug, clap::Args)]
pub(crate) struct AtReader {
    /// Take the next finger that is laid on this reader of the box, as sensor list names it
    #[arg(long, value_name = "READER")]
    pub(crate) sensor: Option<String>,
    /// Seconds to wait for each finger and its frame
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "sensor")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) wait: u64,
}

impl AtReader {
    /// Seconds that so many fingers may take.
    pub(crate) fn patience(&self, fingers: u64) -> u64 {
        /// More than the box takes for everything but the person.
        const BOX: u64 = 10;
        self.sensor.as_ref().map_or(0, |_| (self.wait + BOX) * fingers)
    }

    /// The sample as the API has it.
    pub(crate) fn sample(&self, sensor: &str) -> serde_json::Value {
        serde_json::json!({"sensor": sensor, "timeout_ms": self.wait * 1000})
    }
}
