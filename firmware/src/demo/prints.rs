//! The fingers of the demo: built in, or of a folder.

use std::path::Path;

use authenteon_hal::{
    Dpi, Frame,
    decode::decode,
    replay::{PrintSet, SetError},
};

use super::{DemoError, fixtures};

/// Impressions of one finger, in order.
pub(super) struct Finger {
    pub(super) name: String,
    pub(super) impressions: Vec<Print>,
}

/// One impression.
#[derive(Clone)]
pub(super) struct Print {
    /// File name, for the report.
    pub(super) label: String,
    pub(super) frame: Frame,
}

/// All fingers.
pub(super) struct Prints {
    pub(super) fingers: Vec<Finger>,
}

/// Fingers that the steps use of a large folder.
const MOST_FINGERS: usize = 20;
/// Impressions read of each.
const MOST_IMPRESSIONS: usize = 8;
/// Fingers that the steps need.
const LEAST_FINGERS: usize = 2;
/// Impressions of each: three to enrol and one to present.
const LEAST_IMPRESSIONS: usize = 4;

impl Prints {
    /// The prints that come with the program.
    pub(super) fn built_in() -> Result<Self, DemoError> {
        let mut fingers: Vec<Finger> = Vec::new();
        for (label, bytes) in fixtures::PRINTS {
            let frame = decode(bytes, Dpi::STANDARD)
                .map_err(|why| DemoError::TooFew(format!("built-in print {label}: {why}")))?;
            let name = label.rsplit_once('_').map_or(*label, |(finger, _)| finger);
            let print = Print { label: (*label).to_owned(), frame };
            match fingers.last_mut().filter(|f| f.name == name) {
                Some(finger) => finger.impressions.push(print),
                None => fingers.push(Finger { name: name.to_owned(), impressions: vec![print] }),
            }
        }
        Ok(Self { fingers })
    }

    /// The prints of a folder.
    pub(super) fn of_folder(folder: &Path, dpi: Option<u32>) -> Result<Self, DemoError> {
        let dpi = dpi.map(Dpi::new).transpose().map_err(|why| DemoError::TooFew(format!("--dpi: {why}")))?;
        let set = PrintSet::open(folder, dpi)?;
        let fingers = set
            .fingers()
            .iter()
            .take(MOST_FINGERS)
            .map(|finger| {
                let impressions = finger.impressions().iter().take(MOST_IMPRESSIONS);
                let impressions = impressions
                    .map(|i| {
                        Ok(Print { label: format!("{}_{}", finger.name(), i.label()), frame: i.load()? })
                    })
                    .collect::<Result<_, SetError>>()?;
                Ok(Finger { name: finger.name().to_owned(), impressions })
            })
            .collect::<Result<Vec<Finger>, SetError>>()?;
        let prints = Self { fingers };
        prints.check(folder)?;
        Ok(prints)
    }

    fn check(&self, folder: &Path) -> Result<(), DemoError> {
        let folder = folder.display();
        if self.fingers.len() < LEAST_FINGERS {
            let why = format!(
                "{folder} holds {} finger; the demo compares at least {LEAST_FINGERS}",
                self.fingers.len()
            );
            return Err(DemoError::TooFew(why));
        }
        match self.fingers.iter().find(|f| f.impressions.len() < LEAST_IMPRESSIONS) {
            Some(finger) => Err(DemoError::TooFew(format!(
                "{folder}: finger {} has {} impressions; the demo needs {LEAST_IMPRESSIONS}: three to enrol and one to present",
                finger.name,
                finger.impressions.len()
            ))),
            None => Ok(()),
        }
    }
}
