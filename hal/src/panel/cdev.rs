//! Pins of any Linux board, by the GPIO character device.

use std::path::Path;

use linux_embedded_hal::CdevPin;
use linux_embedded_hal::gpio_cdev::{Chip, LineRequestFlags};

use super::{Line, Panel, PanelError, Part, Polarity, Wire};

/// A panel on a Linux board.
pub type LinuxPanel = Panel<CdevPin, CdevPin>;

/// Whom the kernel names as the user of the lines.
const CONSUMER: &str = "authenteon";

/// Builds a panel from lines of a chip such as `/dev/gpiochip0`.
///
/// # Errors
/// [`PanelError::Pin`] naming the part whose line is not there or is taken.
pub fn open(chip: &Path, lines: &[Wire]) -> Result<LinuxPanel, PanelError> {
    let mut panel = Panel::new();
    for &(part, number, polarity) in lines {
        let failed = |why: &dyn std::fmt::Display| PanelError::Pin {
            part,
            why: format!("line {number} of {}: {why}", chip.display()),
        };
        let mut chip = Chip::new(chip).map_err(|error| failed(&error))?;
        let line = chip.get_line(number).map_err(|error| failed(&error))?;
        let output = matches!(part, Part::Light | Part::Buzzer | Part::Relay);
        // An output begins at rest: the door does not click open while the daemon starts.
        let (flags, level) = if output {
            (LineRequestFlags::OUTPUT, u8::from(polarity == Polarity::ActiveLow))
        } else {
            (LineRequestFlags::INPUT, 0)
        };
        let handle = line.request(flags, level, CONSUMER).map_err(|error| failed(&error))?;
        let line = Line::new(CdevPin::new(handle).map_err(|error| failed(&error))?, polarity);
        panel = if output { panel.with_output(part, line)? } else { panel.with_input(part, line)? };
    }
    Ok(panel)
}
