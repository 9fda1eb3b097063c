//! A person at a reader of the box: what he is to do is shown while the box waits for him.
//!
//! Invariant: it is shown on standard error only: as a line at a terminal, as one JSON object a line with `--json`, and not
//! at all otherwise.

use std::io::Write;
use std::time::Duration;

use authenteon_box::{Client, Event};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::{Value, json};

use crate::error::CtlError;

/// How what happens is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    /// For programs.
    pub(crate) json: bool,
}

impl Live {
    /// Asks the box for something at one of its readers, and shows how far it is.
    pub(crate) async fn ask(self, client: &mut Client, path: &str, body: &Value) -> Result<Value, CtlError> {
        let line = prompt("Waiting for the reader");
        let answer = client.follow(path, body, &mut |event| self.show(&line, event)).await;
        line.finish_and_clear();
        Ok(answer?)
    }

    /// Shows what happened at the reader.
    pub(crate) fn show(self, line: &ProgressBar, event: &Event) {
        if self.json {
            let mut told = event.data.clone();
            if let Some(fields) = told.as_object_mut() {
                fields.insert("event".to_owned(), json!(event.name));
            }
            // Who does not listen any more still gets the answer.
            let _ = writeln!(std::io::stderr().lock(), "{told}");
        } else {
            line.set_message(event.words());
        }
    }
}

/// Something to look at while a person is waited for, gone with the value; nothing where no terminal is.
pub(crate) fn prompt(text: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(text.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
