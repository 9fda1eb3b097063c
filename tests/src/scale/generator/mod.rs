//! Fingers as templates, without an image in between: fast enough for a million of them.
//!
//! A finger is grown from its number: a class and a field of ridges, minutiae scattered on them, a reader that it is
//! pressed on. Each impression lays it down anew and keeps the flow of its ridges, as an extraction does. Invariant: a
//! seed, a number and the readers give the same templates on every machine. How like real ones they are, `likeness`
//! tests; that their fingers are strangers to each other as real ones are is not claimed.

mod field;
mod press;
mod readers;
mod scatter;

use authenteon_matcher::{Template, TemplateError};

use self::{
    field::Field,
    press::ROLL,
    readers::{READERS, Reader},
    scatter::{Planted, Scatter, scatter},
};
use crate::synthetic::random::{Purpose, Stream};

/// Makes fingers.
pub struct Generator {
    seed: u64,
    /// Readers, and the share of fingers that are pressed on this or one before it.
    readers: Vec<(&'static Reader, f32)>,
}

/// One finger.
pub struct Made {
    seed: u64,
    reader: &'static Reader,
    field: Field,
    /// Mean quality of its minutiae.
    quality: f32,
    minutiae: Vec<Planted>,
}

impl Generator {
    /// Fingers pressed on readers as found in sets of these names, each as often as it has fingers. Where none of the
    /// sets is known they are pressed on all known readers.
    #[must_use]
    pub fn new(seed: u64, sets: &[(&str, usize)]) -> Self {
        let of =
            |reader: &Reader| sets.iter().filter(|(set, _)| *set == reader.set).map(|(_, n)| *n as f32).sum();
        let mut weights: Vec<f32> = READERS.iter().map(of).collect();
        if weights.iter().sum::<f32>() == 0.0 {
            weights = READERS.iter().map(|reader| reader.fingers as f32).collect();
        }
        let all: f32 = weights.iter().sum();
        let mut sum = 0.0;
        let readers =
            READERS.iter().zip(weights).filter(|(_, weight)| *weight > 0.0).map(|(reader, weight)| {
                sum += weight / all;
                (reader, sum)
            });
        Self { seed, readers: readers.collect() }
    }

    /// The sets that it was fitted on.
    #[must_use]
    pub fn fitted_on(&self) -> Vec<&'static str> {
        self.readers.iter().map(|(reader, _)| reader.set).collect()
    }

    /// The finger of this number.
    #[must_use]
    pub fn finger(&self, number: u64) -> Made {
        let seed = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut stream = Stream::new(seed, Purpose::Template, 0);
        let drawn = stream.unit();
        let reader = self.readers.iter().find(|(_, up_to)| drawn < *up_to).map_or(&READERS[0], |(r, _)| r);
        let field = Field::draw(reader.period, &mut stream);
        let quality = reader.quality[0] + reader.quality[1] * stream.bell();
        let density = reader.density * libm::expf(1.1 * reader.density_spread * stream.bell());
        // No contact reaches much farther.
        let reach = (1.15 * reader.reach.0 + ROLL.0, 1.1 * reader.reach.1 + ROLL.1);
        let like = Scatter { reach, density, say: reader.say, spread: reader.spread };
        let minutiae = scatter(&field, like, &mut stream);
        Made { seed, reader, field, quality, minutiae }
    }
}

impl Made {
    /// An impression of it. Another number is another press.
    ///
    /// # Errors
    /// [`TemplateError`] if what was made is no template, which the tests of this rule out.
    pub fn impression(&self, number: u64) -> Result<Template, TemplateError> {
        press::press(self, number)
    }
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::{Prepared, compare};

    use super::*;

    fn generator() -> Generator {
        Generator::new(1, &[])
    }

    #[test]
    fn a_number_gives_the_same_impressions_every_time_and_no_two_alike() {
        for number in 0..20 {
            let [once, again] = [generator(), generator()].map(|g| g.finger(number).impression(1).unwrap());
            assert!(once == again);
            assert!(once != generator().finger(number).impression(2).unwrap());
            assert!(once != generator().finger(number + 1).impression(1).unwrap());
            assert!(once != Generator::new(2, &[]).finger(number).impression(1).unwrap());
        }
    }

    #[test]
    fn impressions_have_as_many_minutiae_as_real_ones_and_a_flow() {
        let counts: Vec<usize> = (0..300)
            .map(|number| {
                let template = generator().finger(number).impression(0).unwrap();
                // The second version of the coding is the one with a flow.
                assert_eq!(template.to_bytes()[4], 2);
                template.minutiae().len()
            })
            .collect();
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        assert!((38.0..54.0).contains(&mean), "{mean}");
        assert!(counts.iter().all(|&count| count <= Template::MAX_MINUTIAE));
    }

    #[test]
    fn two_presses_of_a_finger_match_and_those_of_two_do_not() {
        let generator = generator();
        let prepared = |finger, press| Prepared::new(&generator.finger(finger).impression(press).unwrap());
        let enrolled: Vec<Prepared> = (0..40).map(|finger| prepared(finger, 0)).collect();
        let first = (0..40).filter(|&finger| {
            let probe = prepared(finger, 1);
            let scores: Vec<f64> = enrolled.iter().map(|view| compare(&probe, view).get()).collect();
            let mate = scores[finger as usize];
            scores.iter().enumerate().all(|(other, score)| other == finger as usize || *score < mate)
        });
        assert!(first.count() >= 38);
    }

    #[test]
    fn only_the_readers_of_the_sets_given_are_used() {
        assert_eq!(generator().fitted_on().len(), READERS.len());
        let two = Generator::new(1, &[("FVC2002_DB3_B", 10), ("NT_CrossMatch", 30), ("other", 9)]);
        assert_eq!(two.fitted_on(), ["FVC2002_DB3_B", "NT_CrossMatch"]);
        let wide = (0..400).filter(|&n| two.finger(n).impression(0).unwrap().width() == 504).count();
        assert!((260..340).contains(&wide), "{wide}");
    }
}
