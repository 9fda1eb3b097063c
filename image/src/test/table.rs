//! What passed, with its seconds, and the figures that were asked for.

use std::time::Instant;

use crate::failure::Failure;

/// The results so far.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    figures: Vec<(String, String)>,
}

struct Row {
    name: String,
    seconds: f64,
    failed: Option<String>,
}

impl Table {
    /// Runs a check and notes how it went.
    pub(super) fn check<T>(&mut self, name: &str, check: impl FnOnce() -> Result<T, Failure>) -> Option<T> {
        let began = Instant::now();
        let done = check();
        let seconds = began.elapsed().as_secs_f64();
        let failed = done.as_ref().err().map(ToString::to_string);
        eprintln!("{:<6} {seconds:>7.1} s  {name}", if failed.is_some() { "FAILED" } else { "ok" });
        if let Some(why) = &failed {
            eprintln!("{why}");
        }
        self.rows.push(Row { name: name.to_owned(), seconds, failed });
        done.ok()
    }

    /// Adds what was checked beside.
    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.figures.extend(other.figures);
    }

    /// Notes a figure.
    pub(super) fn figure(&mut self, name: &str, value: String) {
        self.figures.push((name.to_owned(), value));
    }

    #[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
    pub(super) fn print(&self) {
        println!("\n{:<72} {:>8}", "what", "seconds");
        for row in &self.rows {
            let mark = if row.failed.is_some() { "  FAILED" } else { "" };
            println!("{:<72} {:>8.1}{mark}", row.name, row.seconds);
        }
        println!();
        for (name, value) in &self.figures {
            println!("{name:<72} {value}");
        }
    }

    /// Whether everything passed.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let failed = self.rows.iter().filter(|row| row.failed.is_some()).count();
        if failed == 0 {
            return Ok(());
        }
        Err(Failure::Wrong(format!("{failed} of {} checks failed", self.rows.len())))
    }
}
