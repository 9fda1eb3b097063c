//! Comparison scores and the file they are kept in: `G probe reference score` for two impressions of
//! one finger, `I probe reference score` for two fingers, a line each.
//!
//! Invariant: reading what was written gives the same scores, bit for bit.

use std::io::{BufRead, Write};

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Whether both are of one finger.
    pub genuine: bool,
    /// Name of the probe.
    pub probe: String,
    /// Name of the reference.
    pub reference: String,
    /// Higher is more alike.
    pub score: f64,
}

impl Comparison {
    /// The probe's finger: its name up to the last underscore.
    #[must_use]
    pub fn finger(&self) -> &str {
        self.probe.rsplit_once('_').map_or(self.probe.as_str(), |(finger, _)| finger)
    }
}

/// Why a score file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScoreFileError {
    /// The bytes cannot be read.
    #[error("cannot read scores: {0}")]
    File(#[from] std::io::Error),
    /// A line is none of the two kinds.
    #[error("line {line} is neither `G probe reference score` nor `I probe reference score`")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
}

/// The comparisons of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(pub Vec<Comparison>);

impl Scores {
    /// Scores of one finger's impressions among each other.
    #[must_use]
    pub fn genuine(&self) -> Vec<f64> {
        self.0.iter().filter(|c| c.genuine).map(|c| c.score).collect()
    }

    /// Scores of different fingers.
    #[must_use]
    pub fn impostor(&self) -> Vec<f64> {
        self.0.iter().filter(|c| !c.genuine).map(|c| c.score).collect()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        for c in &self.0 {
            // `{}` of an f64 is the shortest text that reads back as the same number.
            writeln!(to, "{} {} {} {}", if c.genuine { 'G' } else { 'I' }, c.probe, c.reference, c.score)?;
        }
        to.flush()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ScoreFileError`] for the first line that is none.
    pub fn read(from: impl BufRead) -> Result<Self, ScoreFileError> {
        let mut scores = Vec::new();
        for (number, line) in from.lines().enumerate() {
            let line = line?;
            let parts: Vec<&str> = line.split_whitespace().collect();
            let wrong = ScoreFileError::Line { line: number + 1 };
            let [kind @ ("G" | "I"), probe, reference, score] = parts[..] else { return Err(wrong) };
            let Ok(score) = score.parse::<f64>() else { return Err(wrong) };
            if !score.is_finite() {
                return Err(wrong);
            }
            let (probe, reference) = (probe.to_owned(), reference.to_owned());
            scores.push(Comparison { genuine: kind == "G", probe, reference, score });
        }
        Ok(Self(scores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_read_back_as_they_were_written() {
        let scores = Scores(vec![
            Comparison {
                genuine: true,
                probe: "012_3_1".into(),
                reference: "012_3_2".into(),
                score: 0.1 + 0.2,
            },
            Comparison {
                genuine: false,
                probe: "012_3_1".into(),
                reference: "012_4_1".into(),
                score: 1.0 / 3.0,
            },
        ]);
        let mut file = Vec::new();
        scores.write(&mut file).unwrap();
        assert_eq!(Scores::read(file.as_slice()).unwrap(), scores);
        assert_eq!(scores.0[0].finger(), "012_3");
    }

    #[test]
    fn a_line_that_is_no_comparison_is_refused_with_its_number() {
        for text in ["G a b 1\nX a b 1\n", "G a b 1\nG a b\n", "G a b 1\nG a b NaN\n", "G a b 1\nI a b x\n"] {
            assert!(matches!(Scores::read(text.as_bytes()), Err(ScoreFileError::Line { line: 2 })), "{text}");
        }
    }
}
