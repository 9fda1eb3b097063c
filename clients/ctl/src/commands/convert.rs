//! `convert`: a picture or a template into another format. Needs no box.
//!
//! Invariant: a file that is there stays as it is unless `--force` is given, and nothing is written
//! when anything fails.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use authenteon_hal::{Dpi, decode::decode, encode};
use authenteon_matcher::interchange::{self, Format, Record, View};
use authenteon_matcher::{Template, extract};
use serde_json::json;

use super::inspect::read_image;
use crate::args::{Conversion, FileFormat};
use crate::error::CtlError;
use crate::outcome::Outcome;

/// No record holds more.
const MAX_RECORD: u64 = 1 << 20;

impl FileFormat {
    /// What a file's name says of it.
    fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "png" => Self::Png,
            "autm" => Self::Native,
            "iso" | "fmr" => Self::Iso2005,
            "iso2011" => Self::Iso2011,
            "ansi" => Self::Ansi2004,
            "ansi2009" => Self::Ansi2009,
            "card" => Self::Compact,
            _ => return None,
        })
    }

    /// The published format; none for the native one and for pictures.
    fn interchange(self) -> Option<Format> {
        match self {
            Self::Png | Self::Native => None,
            Self::Iso2005 => Some(Format::Iso2005),
            Self::Iso2011 => Some(Format::Iso2011),
            Self::Ansi2004 => Some(Format::Ansi2004),
            Self::Ansi2009 => Some(Format::Ansi2009),
            Self::Compact => Some(Format::Compact),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Native => "native",
            Self::Iso2005 => "iso-2005",
            Self::Iso2011 => "iso-2011",
            Self::Ansi2004 => "ansi-2004",
            Self::Ansi2009 => "ansi-2009",
            Self::Compact => "compact",
        }
    }
}

/// Runs the command.
pub(crate) fn run(asked: &Conversion) -> Result<Outcome, CtlError> {
    let to = asked.to.or_else(|| FileFormat::of_name(&asked.out)).ok_or_else(|| {
        let out = asked.out.display();
        CtlError::Usage(format!("{out} does not tell the format to write: say it with --to"))
    })?;
    let refuse = |path: &Path, reason: &dyn std::fmt::Display| CtlError::File {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    };
    let (bytes, minutiae) = if to == FileFormat::Png {
        (picture(asked)?, None)
    } else {
        let record = record(asked)?;
        let count = record.views.iter().map(|view| view.template.minutiae().len()).sum::<usize>();
        let bytes = match (to.interchange(), record.views.as_slice()) {
            (Some(format), _) => {
                interchange::encode(&record, format).map_err(|error| refuse(&asked.file, &error))?
            }
            (None, [view]) => view.template.to_bytes(),
            (None, views) => {
                let reason = format!("{} views, and a native template holds one", views.len());
                return Err(refuse(&asked.file, &reason));
            }
        };
        (bytes, Some(count))
    };
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if asked.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(&asked.out).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "is there already; --force replaces it".to_owned(),
            _ => error.to_string(),
        };
        refuse(&asked.out, &reason)
    })?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|error| refuse(&asked.out, &error))?;
    let minutiae_text = minutiae.map_or_else(String::new, |count| format!(", {count} minutiae"));
    let text = format!("{}: {}, {} bytes{minutiae_text}", asked.out.display(), to.name(), bytes.len());
    let json = json!({"out": asked.out, "format": to.name(), "bytes": bytes.len(), "minutiae": minutiae});
    Ok(Outcome::done(text, json))
}

/// The picture, decoded and written anew.
fn picture(asked: &Conversion) -> Result<Vec<u8>, CtlError> {
    let refuse = |reason: &dyn std::fmt::Display| CtlError::File {
        path: asked.file.clone(),
        reason: reason.to_string(),
    };
    let dpi = Dpi::new(asked.dpi).map_err(|error| CtlError::Usage(error.to_string()))?;
    let bytes = fs::read(&asked.file).map_err(|error| refuse(&error))?;
    let frame = decode(&bytes, dpi)
        .map_err(|error| refuse(&format!("{error} (a template does not become a picture)")))?;
    encode::png(&frame).map_err(|error| refuse(&error))
}

/// What the file holds, as a record: a record, a native template, or a picture that is extracted.
fn record(asked: &Conversion) -> Result<Record, CtlError> {
    let refuse = |reason: &dyn std::fmt::Display| CtlError::File {
        path: asked.file.clone(),
        reason: reason.to_string(),
    };
    let single = |template: Template, quality| Record {
        views: vec![View { position: 0, impression: 0, quality, template, extensions: Vec::new() }],
    };
    let length = fs::metadata(&asked.file).map_err(|error| refuse(&error))?.len();
    let bytes = if length <= MAX_RECORD {
        fs::read(&asked.file).map_err(|error| refuse(&error))?
    } else {
        Vec::new()
    };
    if let Some(format) = asked.from {
        return match format.interchange() {
            Some(format) => interchange::decode_as(&bytes, format).map_err(|error| refuse(&error)),
            None if format == FileFormat::Native => Template::from_bytes(&bytes)
                .map(|template| single(template, None))
                .map_err(|error| refuse(&error)),
            None => extracted(asked),
        };
    }
    if interchange::detect(&bytes).is_ok() {
        return interchange::decode(&bytes).map_err(|error| refuse(&error));
    }
    if bytes.starts_with(b"AUTM") {
        return Template::from_bytes(&bytes)
            .map(|template| single(template, None))
            .map_err(|error| refuse(&error));
    }
    if FileFormat::of_name(&asked.file) == Some(FileFormat::Compact) {
        return interchange::decode_as(&bytes, Format::Compact).map_err(|error| refuse(&error));
    }
    extracted(asked)
}

fn extracted(asked: &Conversion) -> Result<Record, CtlError> {
    let image = read_image(&asked.file, asked.dpi)?;
    let extraction = extract(&image).map_err(|error| CtlError::File {
        path: asked.file.clone(),
        reason: format!("{error}; {}", error.hint()),
    })?;
    let view = View {
        position: 0,
        impression: 0,
        quality: Some(extraction.quality),
        template: extraction.template,
        extensions: Vec::new(),
    };
    Ok(Record { views: vec![view] })
}
