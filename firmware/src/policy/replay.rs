//! What is held against a sample that was presented before.

use serde::{Deserialize, Serialize};

/// Which samples are taken for replays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayRule {
    /// The same again, and copies of what a person was accepted with lately or has enrolled.
    #[default]
    On,
    /// The same pixels or minutiae again.
    Exact,
    /// None: for measurements.
    Off,
}

impl ReplayRule {
    /// Whether the same again is refused.
    #[must_use]
    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// What a sample is again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The same pixels or minutiae.
    Same,
    /// A copy of a probe that was accepted.
    Probe,
    /// A copy of an enrolled impression.
    View,
}

impl Replay {
    /// What the audit says.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Same => "replay: the same sample came before",
            Self::Probe => "replay: a copy of an accepted probe",
            Self::View => "replay: a copy of an enrolled impression",
        }
    }
}
