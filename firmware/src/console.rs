//! What a person at the box's console can ask for: nobody logs in there, and there are four words.
//!
//! Who can type is in the room. Invariant: the box forgets its owner only after a word was typed back that was
//! shown moments before, so that neither noise on the line nor a cat on the keyboard does it.

use std::time::Duration;

/// A word is good for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show the text and read on.
    Answer,
    /// Show how the box is, and read on.
    Status,
    /// Restart.
    Restart,
    /// Forget what time it was, and restart.
    Clock,
    /// Forget the owner at the next start, and restart.
    Reset,
}

/// A conversation.
#[derive(Debug, Default)]
pub struct Console {
    /// The word that must be typed back, and until when.
    asked: Option<(String, Duration)>,
}

impl Console {
    /// Answers a line that was typed at `now`, on any clock; `number` becomes part of a word.
    pub fn line(&mut self, line: &str, now: Duration, number: u16) -> (Action, String) {
        let asked = self.asked.take();
        let line = line.trim();
        if let Some((word, until)) = asked {
            return match (line == word, now <= until) {
                (true, true) => (Action::Reset, "the box restarts and forgets its owner".to_owned()),
                (true, false) => (Action::Answer, "too late; nothing was changed".to_owned()),
                _ => (Action::Answer, "that is not the word; nothing was changed".to_owned()),
            };
        }
        match line {
            "" => (Action::Answer, String::new()),
            "status" => (Action::Status, String::new()),
            "restart" => (Action::Restart, "the box restarts".to_owned()),
            "clock" => (Action::Clock, "the box forgets what time it was, and restarts".to_owned()),
            "reset" => {
                let word = format!("ERASE-{number:05}");
                let text = format!(
                    "FACTORY RESET: every finger, every certificate and the box's own keys are removed for \
                     good.\nType {word} within {} seconds to do it; anything else changes nothing.",
                    PATIENCE.as_secs()
                );
                self.asked = Some((word, now + PATIENCE));
                (Action::Answer, text)
            }
            _ => {
                let text = "status   how this box is\nrestart  start it anew\nclock    forget a wrong time, and start anew\nreset    forget its owner and all fingers";
                (Action::Answer, text.to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_word_that_was_shown_resets_once_and_in_time() {
        let mut console = Console::default();
        let (action, text) = console.line("reset", SECOND, 42);
        assert!(action == Action::Answer && text.contains("ERASE-00042"), "{text}");
        assert_eq!(console.line(" ERASE-00042\r", SECOND * 60, 1).0, Action::Reset);
        assert_eq!(console.line("ERASE-00042", SECOND * 61, 1).0, Action::Answer, "a word is good once");
    }

    #[test]
    fn another_word_or_the_right_one_too_late_changes_nothing() {
        let mut console = Console::default();
        for (typed, at) in
            [("ERASE-00041", 2), ("erase-00042", 2), ("", 2), ("reset", 2), ("ERASE-00042", 62)]
        {
            console.line("reset", SECOND, 42);
            let (action, text) = console.line(typed, SECOND * at, 7);
            assert!(action == Action::Answer && text.contains("nothing was changed"), "{typed}: {text}");
        }
    }

    #[test]
    fn other_lines_are_answered_with_what_there_is() {
        let mut console = Console::default();
        assert_eq!(console.line("status", SECOND, 0).0, Action::Status);
        assert_eq!(console.line("restart", SECOND, 0).0, Action::Restart);
        assert_eq!(console.line("clock", SECOND, 0).0, Action::Clock);
        assert!(console.line("help", SECOND, 0).1.contains("reset"));
        assert_eq!(console.line("", SECOND, 0), (Action::Answer, String::new()));
    }

    proptest! {
        #[test]
        fn no_line_that_does_not_hold_the_word_resets(lines in proptest::collection::vec(".{0,20}", 1..20)) {
            let mut console = Console::default();
            for line in &lines {
                console.line("reset", SECOND, 54_321);
                if line.trim() != "ERASE-54321" {
                    prop_assert_ne!(console.line(line, SECOND, 1).0, Action::Reset);
                }
            }
        }
    }
}
