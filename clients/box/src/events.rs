//! Server-sent events: what the box tells while a person is at its reader, and its answer at the end.
//!
//! Invariant: no event is longer than an answer may be; what is no `result` and no `problem` is told and changes nothing.

use serde_json::Value;

use crate::error::BoxError;
use crate::problem::Problem;

/// An event as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened: `place-finger`, `hold`, `lift`, `quality`, or what a newer box tells.
    pub name: String,
    /// More about it.
    pub data: Value,
}

/// Puts events together from the pieces of a body.
pub(crate) struct Parser {
    rest: Vec<u8>,
    name: String,
    data: String,
    longest: usize,
}

impl Parser {
    /// For events of up to so many bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self { rest: Vec::new(), name: String::new(), data: String::new(), longest }
    }

    /// The events that a piece ends.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, BoxError> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\r', '\n']), &mut events)?;
        }
        if self.rest.len() + self.data.len() > self.longest {
            return Err(BoxError::Answer(format!("an event longer than {} bytes", self.longest)));
        }
        Ok(events)
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) -> Result<(), BoxError> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            // The end of an event; a line that begins with a colon only says that somebody is still there.
            "" if line.is_empty() && !self.data.is_empty() => {
                let data = serde_json::from_str(&std::mem::take(&mut self.data));
                let data = data.map_err(|error| BoxError::Answer(error.to_string()))?;
                events.push(Event { name: std::mem::take(&mut self.name), data });
            }
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Event {
    /// The answer, when this is the last event; else what happened, for the person who waits.
    pub(crate) fn ends(self) -> Result<Result<Value, BoxError>, Self> {
        match self.name.as_str() {
            "result" => Ok(Ok(self.data)),
            "problem" => {
                let status = self.data["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                let text = self.data.to_string();
                Ok(Err(BoxError::Problem(Problem::parse(status.unwrap_or(500), text.as_bytes()))))
            }
            _ => Err(self),
        }
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let text = |key: &str| self.data[key].as_str().unwrap_or_default().to_owned();
        let which = match (self.data["impression"].as_u64(), self.data["of"].as_u64()) {
            (Some(number), Some(of)) if of > 1 => format!(" ({number} of {of})"),
            _ => String::new(),
        };
        match self.name.as_str() {
            "place-finger" => format!("Place a finger on {}{which}", text("sensor")),
            "hold" => format!("Hold still{which}"),
            "lift" => format!("Lift the finger{which}"),
            "quality" => match self.data["hint"].as_str() {
                Some(hint) => format!("Not usable{which}: {hint}"),
                None => format!("Quality {}{which}", self.data["quality"]),
            },
            other => other.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &str = ": here\n\nevent: place-finger\ndata: {\"sensor\":\"usb-1\",\"impression\":2,\"of\":3}\n\n\
                          event: later-word\r\ndata: {}\r\n\r\n: here\n\nevent: result\ndata: {\"a\":\ndata: 1}\n\n";

    #[test]
    fn events_come_whole_however_they_are_cut() {
        for size in [1, 2, 7, STREAM.len()] {
            let mut parser = Parser::new(1000);
            let pieces = STREAM.as_bytes().chunks(size).map(|piece| parser.take(piece).unwrap());
            let mut events: Vec<Event> = pieces.flatten().collect();
            assert_eq!(events.len(), 3, "{size}: {events:?}");
            assert_eq!(events[0].words(), "Place a finger on usb-1 (2 of 3)");
            assert_eq!(events[1].words(), "later-word", "what a newer box tells is told");
            assert_eq!(events.pop().unwrap().ends().unwrap().unwrap(), json!({"a": 1}));
        }
    }

    #[test]
    fn a_problem_is_the_box_s_refusal_and_nothing_is_endless() {
        let mut parser = Parser::new(100);
        let kind = "urn:authenteon:problem:locked";
        let problem = format!("event: problem\ndata: {{\"type\":\"{kind}\",\"status\":503}}\n\n");
        let event = parser.take(problem.as_bytes()).unwrap().pop().unwrap();
        let Ok(Err(BoxError::Problem(problem))) = event.ends() else { unreachable!() };
        assert_eq!((problem.status, problem.slug()), (503, "locked"));
        assert!(parser.take(&[b'x'; 101]).is_err());
        assert!(Parser::new(100).take(b"event: result\ndata: {\n\n").is_err());
    }
}
