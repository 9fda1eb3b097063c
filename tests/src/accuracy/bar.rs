//! A bar on the terminal, if there is one.

use indicatif::{ProgressBar, ProgressStyle};

use super::protocol::Progress;

/// Shows how far a measurement is.
pub struct TerminalBar(ProgressBar);

impl TerminalBar {
    /// A bar; nothing is shown when there is no terminal.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        if !terminal {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{msg:30} {bar:40} {pos}/{len}, {eta} left");
        Self(ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for TerminalBar {
    fn begin(&self, stage: &str, steps: usize) {
        self.0.reset();
        self.0.set_length(steps as u64);
        self.0.set_message(stage.to_owned());
    }

    fn advance(&self, steps: usize) {
        self.0.inc(steps as u64);
    }
}
