//! What a command has to say: once for people, once for programs.

use serde_json::Value;

use crate::exit::Exit;

/// The end of a command that the box answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// For people.
    pub(crate) text: String,
    /// For programs: the box's own answer wherever there is one.
    pub(crate) json: Value,
}

impl Outcome {
    /// A command that did what it should.
    pub(crate) fn done(text: impl Into<String>, json: Value) -> Self {
        Self { exit: Exit::Ok, text: text.into(), json }
    }
}
