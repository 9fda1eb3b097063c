//! Real fingers: some impressions of each are enrolled among the synthetic ones, the others are probes.
//!
//! Invariant: a probe is never an enrolled impression, and one finger has one key, whichever sets it is in.

use authenteon_matcher::{Template, extract};

use crate::{
    accuracy::{Failure, Progress, image, in_parallel},
    sets::{PrintFile, Set, SetError},
};

/// Fingers that are in two sets under two names: (set, finger) of each. Found by their scores and by eye.
const SAME_FINGER: [[(&str, &str); 2]; 1] = [[("FVC2002_DB3_B", "108"), ("FVC2004_DB3_B", "102")]];

/// A finger of the sets.
pub struct RealFinger {
    /// The set that its first impression is of.
    pub set: String,
    /// Its name there.
    pub name: String,
    /// Its impressions; none for those that gave no template.
    pub impressions: Vec<Option<Template>>,
}

impl RealFinger {
    /// The first so many impressions that gave a template.
    pub fn enrolled(&self, enrol: usize) -> impl Iterator<Item = &Template> {
        self.impressions.iter().flatten().take(enrol)
    }

    /// All others.
    pub fn probes(&self, enrol: usize) -> impl Iterator<Item = Option<&Template>> {
        let mut left = enrol;
        self.impressions.iter().map(Option::as_ref).filter(move |template| {
            let enrolled = template.is_some() && left > 0;
            left -= usize::from(enrolled);
            !enrolled
        })
    }
}

/// All fingers of some sets.
#[derive(Default)]
pub struct Real {
    /// In the order of the sets, then of their names.
    pub fingers: Vec<RealFinger>,
    /// Prints that gave no template.
    pub failures: Vec<Failure>,
    /// Name of each set, and its fingers.
    pub sets: Vec<(String, usize)>,
}

impl Real {
    /// Extracts every print of the sets, on all cores.
    ///
    /// # Errors
    /// [`SetError`] when an image cannot be read.
    pub fn read(sets: &[Set], progress: &dyn Progress) -> Result<Self, SetError> {
        let mut real = Self { fingers: Vec::new(), failures: Vec::new(), sets: Vec::new() };
        for set in sets {
            real.sets.push((set.name.clone(), set.fingers()));
            progress.begin(&format!("{}: extracting", set.name), set.prints.len());
            let extracted = in_parallel(&set.prints, progress, |print| template(set.dpi, print));
            for (print, extracted) in set.prints.iter().zip(extracted) {
                let template = extracted?.map_err(|reason| {
                    real.failures.push(Failure { name: format!("{}/{}", set.name, print.name), reason });
                });
                real.finger(&set.name, &print.finger).impressions.push(template.ok());
            }
        }
        Ok(real)
    }

    /// The finger of this name, which may be known under another.
    fn finger(&mut self, set: &str, name: &str) -> &mut RealFinger {
        let alias = SAME_FINGER.iter().find(|names| names.contains(&(set, name)));
        let named = |f: &RealFinger| match alias {
            Some(names) => names.contains(&(f.set.as_str(), f.name.as_str())),
            None => f.set == set && f.name == name,
        };
        let at = self.fingers.iter().position(named).unwrap_or(self.fingers.len());
        if at == self.fingers.len() {
            self.fingers.push(RealFinger {
                set: set.to_owned(),
                name: name.to_owned(),
                impressions: Vec::new(),
            });
        }
        &mut self.fingers[at]
    }
}

fn template(dpi: u32, print: &PrintFile) -> Result<Result<Template, String>, SetError> {
    let extracted = image(dpi, print)?.and_then(|image| extract(&image).map_err(|e| e.to_string()));
    Ok(extracted.map(|extraction| extraction.template))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(width: u16) -> Option<Template> {
        Template::from_minutiae(width, 100, Vec::new()).ok()
    }

    #[test]
    fn a_probe_is_never_an_enrolled_impression_and_what_gave_no_template_is_not_enrolled() {
        let impressions = vec![empty(1), None, empty(3), empty(4), None];
        let finger = RealFinger { set: "S".into(), name: "1".into(), impressions };
        let enrolled: Vec<u16> = finger.enrolled(2).map(Template::width).collect();
        let probes: Vec<Option<u16>> = finger.probes(2).map(|t| t.map(Template::width)).collect();
        assert_eq!((enrolled, probes), (vec![1, 3], vec![None, Some(4), None]));
        assert_eq!(finger.probes(9).count(), 2, "nothing is left of it but what gave no template");
    }

    #[test]
    fn a_finger_in_two_sets_is_one_finger() {
        let mut real = Real { fingers: Vec::new(), failures: Vec::new(), sets: Vec::new() };
        let names =
            [("FVC2002_DB3_B", "108"), ("FVC2002_DB3_B", "102"), ("FVC2004_DB3_B", "102"), ("X", "102")];
        for (width, (set, name)) in names.iter().enumerate() {
            real.finger(set, name).impressions.push(empty(1 + width as u16));
        }
        let held: Vec<usize> = real.fingers.iter().map(|f| f.impressions.len()).collect();
        assert_eq!(held, [2, 1, 1]);
    }
}
