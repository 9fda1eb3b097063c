//! What stands behind the module in a file of `/etc/pam.d`.
//!
//! Invariant: an option that is not wholly understood is none: then nobody is asked, and the next module is.

use std::path::PathBuf;
use std::time::Duration;

use authenteon_agent_protocol::{AGENT, PATIENCE, SOCKET};

/// Long enough to walk to a reader, and for two tries.
const TIMEOUT: Duration = Duration::from_secs(30);
const PROMPT: &str = "Place your finger";
/// Characters of a prompt at most.
const LONGEST: usize = 200;

/// Whether a login leaves a Kerberos ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// It does not.
    No,
    /// It does, where one can be had.
    Wanted,
    /// It does, or there is none.
    Required,
}

/// How the module works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `socket=`: where the agent listens.
    pub(crate) socket: PathBuf,
    /// `agent=`: as which user the agent runs. What listens there as another one, but for root, is asked nothing.
    pub(crate) agent: String,
    /// `ticket`, `ticket=required`.
    pub(crate) ticket: Ticket,
    /// `timeout=`: seconds until the next module is asked.
    pub(crate) timeout: Duration,
    /// `prompt=`: what the person is told once the reader waits.
    pub(crate) prompt: String,
    /// `enter`: asks for Enter behind the prompt, for programs that show nothing before they ask for something.
    pub(crate) enter: bool,
    /// `debug`: says more in the system's log.
    pub(crate) debug: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(SOCKET),
            agent: AGENT.to_owned(),
            ticket: Ticket::No,
            timeout: TIMEOUT,
            prompt: PROMPT.to_owned(),
            enter: false,
            debug: false,
        }
    }
}

impl Options {
    /// Reads them; the last one of a name counts.
    ///
    /// # Errors
    /// What is wrong, for an administrator.
    pub(crate) fn parse<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            let text = std::str::from_utf8(argument).map_err(|_| "an option that is not UTF-8".to_owned())?;
            match text.split_once('=').unwrap_or((text, "")) {
                ("debug", "") => options.debug = true,
                ("enter", "") => options.enter = true,
                ("ticket", "") => options.ticket = Ticket::Wanted,
                ("ticket", "required") => options.ticket = Ticket::Required,
                ("ticket", _) => return Err("ticket= is followed by required, or by nothing".to_owned()),
                ("agent", "") => return Err("agent= needs the name of a user".to_owned()),
                ("agent", user) => user.clone_into(&mut options.agent),
                ("socket", path) if path.starts_with('/') => options.socket = PathBuf::from(path),
                ("socket", _) => return Err("socket= needs a path that begins with '/'".to_owned()),
                ("timeout", seconds) => options.timeout = timeout(seconds)?,
                ("prompt", prompt) => options.prompt = self::prompt(prompt)?,
                _ => {
                    return Err(format!(
                        "{text:?} is no option: socket=, agent=, timeout=, prompt=, ticket, enter and debug are"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn timeout(seconds: &str) -> Result<Duration, String> {
    let read = seconds.parse().ok().filter(|seconds| (1..=PATIENCE).contains(seconds));
    let read = read.ok_or_else(|| format!("timeout= needs 1 to {PATIENCE} seconds"))?;
    Ok(Duration::from_secs(read.into()))
}

fn prompt(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("prompt= needs 1 to {LONGEST} characters of one line"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(|argument| argument.as_bytes()))
    }

    #[test]
    fn without_options_the_usual_agent_is_asked() {
        assert_eq!(parse(&[]), Ok(Options::default()));
    }

    #[test]
    fn each_option_does_what_it_says() {
        let arguments = ["socket=/tmp/a", "timeout=5", "prompt=Touch the reader", "enter", "debug"];
        let more = ["agent=finger", "ticket=required"];
        let options = parse(&[&arguments[..], &more[..]].concat()).unwrap();
        let expected = Options {
            socket: "/tmp/a".into(),
            agent: "finger".to_owned(),
            ticket: Ticket::Required,
            timeout: Duration::from_secs(5),
            prompt: "Touch the reader".to_owned(),
            enter: true,
            debug: true,
        };
        assert_eq!(options, expected);
        assert_eq!(parse(&["ticket"]).unwrap().ticket, Ticket::Wanted);
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (bad, said) in [
            ("sockett=/a", "sockett=/a"),
            ("socket=a", "socket="),
            ("socket=", "socket="),
            ("timeout=0", "timeout="),
            ("timeout=301", "timeout="),
            ("timeout=-1", "timeout="),
            ("timeout=", "timeout="),
            ("prompt=", "prompt="),
            ("prompt=a\u{1b}[2J", "prompt="),
            ("debug=yes", "debug=yes"),
            ("enter=1", "enter=1"),
            ("ticket=yes", "ticket="),
            ("agent=", "agent="),
            ("nullok", "nullok"),
        ] {
            assert!(parse(&[bad]).is_err_and(|why| why.contains(said)), "{bad}");
        }
        assert!(Options::parse([&b"prompt=\xff"[..]].into_iter()).is_err());
        assert!(parse(&[&format!("prompt={}", "x".repeat(201))]).is_err());
    }
}
