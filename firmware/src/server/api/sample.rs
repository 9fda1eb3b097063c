//! Samples as the API writes them.

use authenteon_hal::Dpi;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{sample::Sample, server::problem::Problem};

/// One impression of a finger.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleBody {
    /// What `data` is.
    pub(crate) format: SampleFormat,
    /// The file, or the pixels row by row with dark ridges on light, in base64.
    pub(crate) data: String,
    /// Pixels per inch of an image; a template tells its own.
    #[serde(default = "standard_dpi")]
    #[schema(default = 500, minimum = 125, maximum = 2000)]
    pub(crate) dpi: u32,
    /// Width in pixels; for `raw-grey` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<u32>,
    /// Height in pixels; for `raw-grey` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) height: Option<u32>,
}

/// Formats of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SampleFormat {
    /// A PNG file.
    Png,
    /// A TIFF file.
    Tiff,
    /// A BMP file.
    Bmp,
    /// A WSQ file; a resolution that it tells is believed before `dpi`.
    Wsq,
    /// Grey pixels of eight bits.
    RawGrey,
    /// A template in the box's own coding, as `authenteonctl convert` writes it.
    Template,
    /// A minutiae record of one impression: ISO/IEC 19794-2:2005 or :2011, ANSI/INCITS 378-2004 or -2009. Its header
    /// tells which.
    MinutiaeRecord,
}

pub(super) fn standard_dpi() -> u32 {
    u32::from(Dpi::STANDARD.get())
}

impl TryFrom<SampleBody> for Sample {
    type Error = Problem;

    fn try_from(body: SampleBody) -> Result<Self, Problem> {
        let bytes = STANDARD
            .decode(body.data)
            .map_err(|why| Problem::bad_request(format!("data is not base64: {why}")))?;
        let dpi = Dpi::new(body.dpi).map_err(crate::sample::SampleError::from)?;
        match (body.format, body.width, body.height) {
            (SampleFormat::RawGrey, Some(width), Some(height)) => {
                Ok(Self::RawGrey { width, height, dpi, pixels: bytes })
            }
            (SampleFormat::RawGrey, _, _) => Err(Problem::bad_request("raw-grey needs width and height")),
            (format, None, None) => Ok(match format {
                SampleFormat::Template => Self::Template(bytes),
                SampleFormat::MinutiaeRecord => Self::Record(bytes),
                _ => Self::Encoded { bytes, dpi },
            }),
            _ => Err(Problem::bad_request("width and height are for raw-grey only")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(body: serde_json::Value) -> Result<Sample, Problem> {
        serde_json::from_value::<SampleBody>(body).unwrap().try_into()
    }

    #[test]
    fn each_format_is_the_sample_that_it_says() {
        let of = |format: &str| sample(serde_json::json!({ "format": format, "data": "QUI=" }));
        assert!(matches!(of("wsq"), Ok(Sample::Encoded { bytes, .. }) if bytes == b"AB"));
        assert!(matches!(of("template"), Ok(Sample::Template(bytes)) if bytes == b"AB"));
        assert!(matches!(of("minutiae-record"), Ok(Sample::Record(bytes)) if bytes == b"AB"));
        assert!(of("raw-grey").is_err_and(|why| why.detail.contains("width and height")));
        let sized = serde_json::json!({ "format": "template", "data": "QUI=", "width": 300, "height": 300 });
        assert!(sample(sized).is_err_and(|why| why.detail.contains("raw-grey only")));
    }
}
