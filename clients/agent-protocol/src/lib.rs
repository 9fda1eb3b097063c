//! What is said over the socket of `authenteon-agent`: one [`Question`] a connection, then [`Word`]s until one ends it. Each is
//! a line of JSON.
//!
//! Invariant: no line is longer than [`LONGEST`], a login is never an option nor part of a path, and no word is taken for an
//! accept but [`Word::Accepted`].
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where the agent listens unless its configuration says otherwise.
pub const SOCKET: &str = "/run/authenteon-agent/agent.sock";
/// The user that the agent runs as unless it was set up otherwise.
pub const AGENT: &str = "authenteon-agent";
/// Bytes of a line at most, with its end.
pub const LONGEST: usize = 4096;
/// Seconds that a question may give the person, at most.
pub const PATIENCE: u32 = 300;
/// Which protocol this is. Agent and module come in one package; a program that was started before an update has the module
/// of before.
const VERSION: u32 = 1;
/// Bytes of a login at most: what Linux takes.
const LOGIN: usize = 256;

/// Why a line is none of these.
#[derive(Debug, thiserror::Error)]
pub enum NotUnderstood {
    /// It is longer than [`LONGEST`].
    #[error("a line of more than {LONGEST} bytes")]
    TooLong,
    /// It is not what is said here.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("version {0} of the protocol, and this is {VERSION}: restart what was not since the update")]
    Version(u32),
}

/// A name that somebody logs in with on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl Login {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Login {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, ':' | '/');
        if (1..=LOGIN).contains(&text.len()) && !text.starts_with('-') && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a login has 1 to 256 bytes, no blank, no ':' and no '/', and does not begin with '-'")
        }
    }
}

impl TryFrom<String> for Login {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Login> for String {
    fn from(login: Login) -> Self {
        login.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Is the finger that is laid down next this person's?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Question {
    version: u32,
    /// Who is to be verified.
    pub login: Login,
    /// Milliseconds until whoever asks does not wait any more.
    pub wait_ms: u32,
    /// Whether a Kerberos ticket is wanted with an accept; root alone is given one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ticket: bool,
}

/// What the agent says. The last three end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Word {
    /// The reader waits for a finger, from now on.
    PlaceFinger {},
    /// The print was of no use: what the person can do, before the reader waits again.
    Again {
        /// For people.
        hint: String,
    },
    /// It is.
    Accepted {
        /// A Kerberos ticket cache of the person, where one was wanted and got. It is the agent's file, and there until
        /// whoever asked hangs up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<PathBuf>,
        /// Why there is none, for people, where one was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_ticket: Option<String>,
    },
    /// It is not, or the box does not let the person in.
    Refused {
        /// For people, where the box says more than that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// That cannot be found out now.
    Unavailable {
        /// Why.
        why: Why,
    },
}

/// Why it cannot be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The box does not answer, or refuses us; the agent's log has more.
    Away,
    /// The reader, or somebody of this name, is being asked already.
    Busy,
    /// No finger was laid down in time.
    NoFinger,
    /// Who asks is neither root nor the person.
    NotPermitted,
    /// An account of the system, which no finger opens.
    SystemAccount,
    /// The system does not say in time who that is.
    NotLookedUp,
    /// The question is none.
    NotUnderstood,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "the box does not answer; the agent's log has more",
            Self::Busy => "the reader, or this person, is being asked already",
            Self::NoFinger => "no finger was laid down in time",
            Self::NotPermitted => "only root asks about others",
            Self::SystemAccount => "an account of the system, which no finger opens",
            Self::NotLookedUp => "the system does not say in time who that is",
            Self::NotUnderstood => "agent and module do not understand each other",
        })
    }
}

impl Question {
    /// About this person; whoever asks waits so long, [`PATIENCE`] at most.
    #[must_use]
    pub fn new(login: Login, wait_ms: u32) -> Self {
        Self { version: VERSION, login, wait_ms: wait_ms.min(PATIENCE * 1000), ticket: false }
    }

    /// The same, with a ticket or without one.
    #[must_use]
    pub fn with_ticket(self, ticket: bool) -> Self {
        Self { ticket, ..self }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn read(line: &[u8]) -> Result<Self, NotUnderstood> {
        if line.len() > LONGEST {
            return Err(NotUnderstood::TooLong);
        }
        let read: Self = serde_json::from_slice(line)?;
        if read.version != VERSION {
            return Err(NotUnderstood::Version(read.version));
        }
        Ok(Self::new(read.login, read.wait_ms).with_ticket(read.ticket))
    }

    /// As a line.
    ///
    /// # Errors
    /// [`NotUnderstood`]: it would be too long.
    pub fn line(&self) -> Result<Vec<u8>, NotUnderstood> {
        line(self)
    }
}

impl Word {
    /// Reads one.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn read(line: &[u8]) -> Result<Self, NotUnderstood> {
        if line.len() > LONGEST {
            return Err(NotUnderstood::TooLong);
        }
        Ok(serde_json::from_slice(line)?)
    }

    /// As a line.
    ///
    /// # Errors
    /// [`NotUnderstood`]: it would be too long.
    pub fn line(&self) -> Result<Vec<u8>, NotUnderstood> {
        line(self)
    }
}

fn line(said: &impl Serialize) -> Result<Vec<u8>, NotUnderstood> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    if line.len() > LONGEST { Err(NotUnderstood::TooLong) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login(text: &str) -> Login {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_said_is_understood() {
        let question = Question::new(login("alice@corp.example"), 20_000);
        let line = question.line().unwrap();
        assert!(line.ends_with(b"\n") && !line.trim_ascii_end().contains(&b'\n'));
        assert_eq!(Question::read(&line).unwrap(), question);
        // An agent of before understands whoever wants no ticket.
        assert!(!String::from_utf8(line).unwrap().contains("ticket"));
        let wanting = question.with_ticket(true);
        assert_eq!(Question::read(&wanting.line().unwrap()).unwrap(), wanting);
        for word in [
            Word::PlaceFinger {},
            Word::Again { hint: "press\nharder".into() },
            Word::Accepted { ticket: None, no_ticket: None },
            Word::Accepted { ticket: Some("/run/user/1000/krb5cc".into()), no_ticket: None },
            Word::Accepted { ticket: None, no_ticket: Some("Kerberos is away".into()) },
            Word::Refused { hint: Some("locked out".into()) },
            Word::Unavailable { why: Why::NoFinger },
        ] {
            let line = word.line().unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "{word:?}");
            assert_eq!(Word::read(&line).unwrap(), word);
        }
    }

    #[test]
    fn a_login_is_no_option_no_path_and_no_line_of_a_password_file() {
        for bad in ["", "-x", "a b", "a/b", "../a", "a:b", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(bad.parse::<Login>().is_err(), "{bad:?}");
        }
        for good in ["alice", "CORP\\alice", "alice@corp.example", "j\u{fc}rgen", "o'neill"] {
            assert!(good.parse::<Login>().is_ok(), "{good}");
        }
    }

    #[test]
    fn another_version_and_what_nobody_knows_is_not_understood() {
        let question = br#"{"version":2,"login":"alice","wait-ms":1}"#;
        assert!(matches!(Question::read(question), Err(NotUnderstood::Version(2))));
        for bad in [
            &br#"{"version":1,"login":"alice","wait-ms":1,"subject":"x"}"#[..],
            br#"{"version":1,"login":"-a","wait-ms":1}"#,
            br#"{"version":1,"login":"alice"}"#,
            &[b' '; LONGEST + 1],
            b"",
        ] {
            assert!(Question::read(bad).is_err());
        }
        for bad in [
            &br#"{"word":"accepted","for":"mallory"}"#[..],
            br#"{"word":"accept"}"#,
            br#"{"word":"place-finger","accepted":true}"#,
            br#""accepted""#,
            b"true",
        ] {
            assert!(Word::read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn nobody_waits_longer_than_patience() {
        let asked = br#"{"version":1,"login":"alice","wait-ms":4000000000}"#;
        assert_eq!(Question::read(asked).unwrap().wait_ms, PATIENCE * 1000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_understood_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(question) = Question::read(&bytes) {
                prop_assert!(question.login.as_str().parse::<Login>().is_ok());
            }
            let _ = Word::read(&bytes);
        }

        #[test]
        fn any_login_comes_back_as_it_was(text in "\\PC{1,60}") {
            if let Ok(login) = text.parse::<Login>() {
                let line = Question::new(login.clone(), 1).line().unwrap();
                prop_assert_eq!(Question::read(&line).unwrap().login, login);
            }
        }
    }
}
