//! The log: text or JSON on standard error, at levels that can be changed while the daemon runs, and its last lines in
//! memory for a support bundle.
//!
//! Invariant: what is kept in memory is bounded in lines and bytes; a filter that cannot be read changes nothing.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::warn;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::config::Log;

/// What is kept of the log.
const LINES: usize = 1000;
const BYTES: usize = 256 << 10;

/// The log of this process.
#[derive(Clone)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    last: LastLines,
}

/// The last lines of the log, as JSON objects. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl LastLines {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut kept = self.kept();
        kept.bytes += line.len();
        kept.lines.push_back(line.to_vec());
        while kept.lines.len() > LINES || kept.bytes > BYTES {
            let Some(oldest) = kept.lines.pop_front() else { return };
            kept.bytes -= oldest.len();
        }
    }

    /// All of them, the oldest first, each with its end.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.kept().lines.iter().flatten().copied().collect()
    }
}

/// A line is written in one go.
impl Write for LastLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LastLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Logging {
    /// Logs to standard error from now on. A filter that cannot be read logs what is normal, and says so.
    pub(crate) fn start(log: &Log) -> Self {
        let (filter, bad) = match EnvFilter::try_new(&log.filter) {
            Ok(filter) => (filter, None),
            Err(why) => (EnvFilter::new("info"), Some(why)),
        };
        let (layer, filter) = reload::Layer::new(filter);
        let last = LastLines::default();
        let shown = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
        let shown = if log.json { shown.json().boxed() } else { shown.boxed() };
        let kept = fmt::layer().json().with_ansi(false).with_writer(last.clone());
        // Only a second initialisation fails, and the first goes on working.
        let _ = tracing_subscriber::registry().with(layer).with(shown).with(kept).try_init();
        if let Some(why) = bad {
            warn!(%why, "log.filter cannot be read");
        }
        Self { filter, last }
    }

    /// Logs by this filter from now on.
    pub(crate) fn filter(&self, filter: &str) {
        let done = EnvFilter::try_new(filter).map_err(|why| why.to_string());
        let done = done.and_then(|filter| self.filter.reload(filter).map_err(|why| why.to_string()));
        if let Err(why) = done {
            warn!(%why, "log.filter stays as it was");
        }
    }

    /// What was logged last.
    pub(crate) fn last_lines(&self) -> LastLines {
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more_than_there_is_room_for() {
        let last = LastLines::default();
        for number in 0..LINES + 5 {
            last.push(format!("{number}\n").as_bytes());
        }
        let text = String::from_utf8(last.text()).unwrap();
        assert_eq!(text.lines().count(), LINES);
        assert!(text.starts_with("5\n") && text.ends_with("1004\n"));
        let long = vec![b'x'; BYTES / 2];
        for _ in 0..3 {
            last.push(&long);
        }
        assert_eq!(last.text().len(), BYTES / 2 * 2);
        last.push(&vec![b'x'; BYTES + 1]);
        assert_eq!(last.text(), b"");
    }

    #[test]
    fn an_event_is_one_line_of_json_with_the_span_that_it_belongs_to() {
        let last = LastLines::default();
        let subscriber = tracing_subscriber::registry()
            .with(fmt::layer().json().with_ansi(false).with_writer(last.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let _within = tracing::info_span!("request", id = "look-for-me").entered();
            tracing::info!(number = 7, "happened");
        });
        let text = String::from_utf8(last.text()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["span"]["id"], &line["fields"]["number"]), (&"look-for-me".into(), &7.into()));
    }
}
