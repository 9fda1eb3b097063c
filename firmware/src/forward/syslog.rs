//! Syslog over TLS: messages of RFC 5424, each behind its length (RFC 5425).
//!
//! Syslog confirms nothing by itself. A session therefore ends with close_notify, and the receiver's own answers that it
//! has read all before it (RFC 5425, 4.4): that is the confirmation. One that comes before the box's is none: the receiver
//! went away by itself, and nobody knows what it read.
//!
//! Invariant: the message is the record byte for byte as it is stored, so that the receiver can verify the chain.

use std::{io, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{ForwardError, lost};
use crate::{
    audit::{Purpose, Severity, severity},
    services::Batch,
};

/// Log audit.
const FACILITY: u8 = 13;
/// The highest number of a message (RFC 5424, 7.3.1); it begins anew behind it.
const LAST_SEQUENCE: u64 = 2_147_483_647;
/// A close of the receiver's own that is under way when the last was sent arrives meanwhile.
const SETTLE: Duration = Duration::from_millis(250);
/// What the machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// A connection to a receiver.
pub(super) struct Session {
    stream: TlsStream<TcpStream>,
    unconfirmed: bool,
    host: String,
}

impl Session {
    pub(super) fn new(stream: TlsStream<TcpStream>, unconfirmed: bool) -> Self {
        let host = std::fs::read_to_string(HOSTNAME).unwrap_or_default();
        Self { stream, unconfirmed, host: printable(host.trim()) }
    }

    /// Sends a batch: records, then what the box signed.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), ForwardError> {
        let mut out = Vec::new();
        for bytes in &batch.records {
            let record: Value = serde_json::from_slice(bytes).unwrap_or_default();
            frame(&mut out, &of_record(&self.host, &record, bytes));
        }
        for head in &batch.heads {
            let text = serde_json::to_vec(head).map_err(lost)?;
            let at = head.at.to_string();
            let kind = if head.purpose == Purpose::Start { "signed-start" } else { "signed-head" };
            let about = About { severity: Severity::Info, at: &at, kind, number: head.number };
            frame(&mut out, &message(&self.host, &about, &text));
        }
        self.stream.write_all(&out).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        self.still_there(Duration::ZERO).await
    }

    /// Whether the receiver has not closed by itself, until so much later.
    async fn still_there(&mut self, later: Duration) -> Result<(), ForwardError> {
        let closed = async {
            let mut said = [0; 256];
            loop {
                match self.stream.read(&mut said).await {
                    Ok(0) => return ForwardError::ClosedEarly,
                    Ok(_) => {}
                    Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                        return ForwardError::ClosedEarly;
                    }
                    Err(why) => return lost(why),
                }
            }
        };
        timeout(later, closed).await.map_or(Ok(()), Err)
    }

    /// Ends the session, and waits for the receiver to say that it has read all.
    pub(super) async fn confirmed(mut self) -> Result<(), ForwardError> {
        self.still_there(SETTLE).await?;
        self.stream.shutdown().await.map_err(lost)?;
        let mut said = [0; 256];
        loop {
            match self.stream.read(&mut said).await {
                // Its close_notify.
                Ok(0) => return Ok(()),
                // It has nothing to say in syslog.
                Ok(_) => {}
                Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                    return if self.unconfirmed { Ok(()) } else { Err(ForwardError::Unconfirmed) };
                }
                Err(why) => return Err(lost(why)),
            }
        }
    }
}

/// What a message says beside its text.
struct About<'a> {
    severity: Severity,
    at: &'a str,
    kind: &'a str,
    number: u64,
}

fn of_record(host: &str, record: &Value, bytes: &[u8]) -> Vec<u8> {
    let what = &record["what"];
    let about = About {
        severity: severity(what),
        at: record["at"].as_str().unwrap_or("-"),
        kind: what["event"].as_str().unwrap_or("-"),
        number: record["number"].as_u64().unwrap_or_default(),
    };
    message(host, &about, bytes)
}

/// A message of RFC 5424. JSON is UTF-8, and says so by its byte order mark.
fn message(host: &str, about: &About<'_>, text: &[u8]) -> Vec<u8> {
    let About { severity, at, kind, number } = about;
    let priority = FACILITY * 8 + *severity as u8;
    let sequence = number.saturating_sub(1) % LAST_SEQUENCE + 1;
    let kind: String = kind.chars().filter(|c| c.is_ascii_graphic()).take(32).collect();
    let version = env!("CARGO_PKG_VERSION");
    let mut message = format!(
        "<{priority}>1 {at} {host} authenteon - {kind} [origin software=\"authenteon\" swVersion=\"{version}\"][meta sequenceId=\"{sequence}\"] \u{feff}"
    )
    .into_bytes();
    message.extend(text);
    message
}

/// Puts a message behind its length (RFC 5425, 4.3).
fn frame(out: &mut Vec<u8>, message: &[u8]) {
    out.extend(message.len().to_string().into_bytes());
    out.push(b' ');
    out.extend(message);
}

/// A host's name as a header may have it; `-` when there is nothing of it.
fn printable(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_message_with_its_urgency_time_and_kind_and_its_text_is_the_record() {
        let text = br#"{"number":7,"at":"2026-11-23T08:30:00.5Z","what":{"event":"verified","duress":true}}"#;
        let record = serde_json::from_slice(text).unwrap();
        let message = String::from_utf8(of_record("box-1", &record, text)).unwrap();
        let head = "<105>1 2026-11-23T08:30:00.5Z box-1 authenteon - verified [origin software=\"authenteon\" swVersion=\"";
        assert!(message.starts_with(head), "{message}");
        assert!(message.contains("][meta sequenceId=\"7\"] \u{feff}{\"number\":7,"), "{message}");
        assert!(message.as_bytes().ends_with(text));
    }

    #[test]
    fn a_message_stands_behind_its_length_in_bytes() {
        let mut out = Vec::new();
        frame(&mut out, "zwölf".as_bytes());
        assert_eq!(out, "6 zwölf".as_bytes());
        assert_eq!(printable("a b\n"), "ab");
        assert_eq!(printable(" "), "-");
    }

    #[test]
    fn numbers_of_messages_begin_anew_behind_the_highest() {
        let about = |number| About { severity: Severity::Info, at: "-", kind: "x", number };
        let says = |number, sequence: u64| {
            let text = String::from_utf8(message("-", &about(number), b"{}")).unwrap();
            assert!(text.contains(&format!("sequenceId=\"{sequence}\"")), "{text}");
        };
        says(LAST_SEQUENCE, LAST_SEQUENCE);
        says(LAST_SEQUENCE + 1, 1);
    }
}
