//! The section `[panel]`: which lines of which GPIO chip the front panel hangs on.
//!
//! Invariant: without the section there is no panel; no line has two parts.

use std::{path::PathBuf, time::Duration};

use authenteon_hal::panel::{LONGEST_OPENING, Part, Polarity, Wire};
use serde::Deserialize;

/// A key that cannot be used, and why.
type Unusable = (&'static str, &'static str);

/// The front panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FrontPanel {
    /// The GPIO chip's device file.
    #[serde(default = "first_chip")]
    pub chip: PathBuf,
    /// Line of the light.
    pub light: Option<u32>,
    /// Line of the buzzer.
    pub buzzer: Option<u32>,
    /// Line of the door relay.
    pub relay: Option<u32>,
    /// Line of the tamper switch.
    pub tamper: Option<u32>,
    /// Parts whose low level means on.
    #[serde(default)]
    pub active_low: Vec<PanelPart>,
    /// How long an accepted finger holds the door open.
    #[serde(default = "door_seconds")]
    pub door_seconds: u64,
}

fn first_chip() -> PathBuf {
    PathBuf::from("/dev/gpiochip0")
}

fn door_seconds() -> u64 {
    3
}

/// What can be on the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelPart {
    /// The light.
    Light,
    /// The buzzer.
    Buzzer,
    /// The door relay.
    Relay,
    /// The tamper switch.
    Tamper,
}

impl FrontPanel {
    /// The lines of the panel's parts.
    ///
    /// # Errors
    /// The key that cannot be used, and why.
    pub(super) fn lines(&self) -> Result<Vec<Wire>, Unusable> {
        let parts = [
            ("light", self.light, Part::Light, PanelPart::Light),
            ("buzzer", self.buzzer, Part::Buzzer, PanelPart::Buzzer),
            ("relay", self.relay, Part::Relay, PanelPart::Relay),
            ("tamper", self.tamper, Part::Tamper, PanelPart::Tamper),
        ];
        let mut lines: Vec<Wire> = Vec::new();
        for (key, number, part, name) in parts {
            let low = self.active_low.contains(&name);
            let Some(number) = number else {
                if low {
                    return Err(("active-low", "names a part that has no line"));
                }
                continue;
            };
            if lines.iter().any(|line| line.1 == number) {
                return Err((key, "this line has another part already"));
            }
            lines.push((part, number, if low { Polarity::ActiveLow } else { Polarity::ActiveHigh }));
        }
        if lines.is_empty() {
            return Err(("chip", "a panel has a light, a buzzer, a relay or a tamper switch"));
        }
        if !(1..=LONGEST_OPENING.as_secs()).contains(&self.door_seconds) {
            return Err(("door-seconds", "from 1 to 10: a door held longer stands open"));
        }
        Ok(lines)
    }

    /// How long an accepted finger holds the door open: not at all without a relay.
    #[must_use]
    pub fn door(&self) -> Duration {
        if self.relay.is_some() { Duration::from_secs(self.door_seconds) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(text: &str) -> Result<Vec<Wire>, Unusable> {
        toml::from_str::<FrontPanel>(text).unwrap().lines()
    }

    #[test]
    fn every_part_has_its_line_and_level() {
        let lines = panel("light = 17\nrelay = 22\nactive-low = [\"relay\"]").unwrap();
        assert_eq!(lines, [(Part::Light, 17, Polarity::ActiveHigh), (Part::Relay, 22, Polarity::ActiveLow)]);
    }

    #[test]
    fn what_makes_no_panel_is_named() {
        assert_eq!(panel("").unwrap_err().0, "chip");
        assert_eq!(panel("light = 17\nrelay = 17").unwrap_err().0, "relay");
        assert_eq!(panel("light = 17\nactive-low = [\"relay\"]").unwrap_err().0, "active-low");
        assert_eq!(panel("relay = 17\ndoor-seconds = 3600").unwrap_err().0, "door-seconds");
        assert!(toml::from_str::<FrontPanel>("lamp = 3").is_err());
    }

    #[test]
    fn without_a_relay_no_door_is_held_open() {
        let door = |text| toml::from_str::<FrontPanel>(text).unwrap().door();
        assert_eq!(door("light = 1"), Duration::ZERO);
        assert_eq!(door("relay = 1"), Duration::from_secs(3));
    }
}
