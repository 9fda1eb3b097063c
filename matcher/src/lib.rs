//! Fingerprint minutiae: extraction, templates, comparison and search.
//!
//! A pure function of its input: no files, no network, no clock, no async. The same image gives
//! the same template, and two templates the same score, bit for bit on every platform.
//!
//! The way of the data: [`Image`] -> [`extract`] -> [`Template`] -> [`Prepared`] -> [`Score`].

/// The version of what extracts and compares: another one may make another template of the same image.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub mod compare;
mod extract;
pub mod image;
pub mod interchange;
pub mod minutiae;
pub mod observe;
pub mod params;
mod ridge;
pub mod score;
pub mod search;
pub mod simd;
pub mod template;

pub use compare::{Prepared, Sameness, compare, compare_views, sameness};
pub use extract::{ExtractError, Extraction, extract, extract_observed};
pub use image::{Dpi, Image, ImageError, condition::QualityReason};
pub use minutiae::{Minutia, MinutiaKind};
pub use observe::{Observer, Picture};
pub use score::{CALIBRATED_FMR_FLOOR, Fmr, Score};
pub use template::{Template, TemplateError};
