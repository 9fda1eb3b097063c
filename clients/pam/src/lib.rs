//! `pam_authenteon.so`: asks the agent of this machine whether a finger is that of the person who logs in, and tells PAM.
//!
//! It knows no TLS, no network and no key, and keeps nothing of a finger. Invariant: success is said only when the agent said
//! [`Word::Accepted`] to this question in time; what cannot be found out is `PAM_AUTHINFO_UNAVAIL`, so that the next module is
//! asked, a password as a rule; and nothing here panics into the program that loaded it.
//!
//! [`Word::Accepted`]: authenteon_agent_protocol::Word::Accepted

mod ask;
mod credentials;
mod environment;
mod interrupt;
mod journal;
mod options;
mod remembered;
mod ticket;

use std::ffi::CStr;
use std::time::Instant;

use authenteon_agent_protocol::Login;
use nix::unistd::geteuid;
use pam::constants::{PAM_ERROR_MSG, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO, PamFlag, PamResultCode};
use pam::conv::Conv;
use pam::items::Service;
use pam::module::{PamHandle, PamHooks};

use crate::ask::{Outcome, Shown, ask};
use crate::interrupt::Interrupt;
use crate::journal::Journal;
use crate::options::{Options, Ticket};
use crate::ticket::Cache;

/// What a panic would do to the program that loaded this: `packaging/build-deb` takes no module that says otherwise.
#[cfg(panic = "unwind")]
const PANICS: &str = "pam_authenteon: panics are caught";
#[cfg(not(panic = "unwind"))]
const PANICS: &str = "pam_authenteon: panics are not caught";

struct Module;

/// What libpam calls.
#[allow(missing_docs, reason = "the names are libpam's, and its manual describes them")]
mod entries {
    use super::Module;

    pam::pam_hooks!(Module);
}

impl PamHooks for Module {
    /// `PAM_SILENT` is not looked at: `sudo` sets it always, and nobody would know that the reader waits for him.
    fn sm_authenticate(pamh: &mut PamHandle, args: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        let service = service(pamh);
        // Whoever was accepted before is not, when he is asked about again.
        remembered::accepted(pamh, None);
        let mut options = match Options::parse(args.iter().map(|arg| arg.to_bytes())) {
            Ok(options) => options,
            Err(why) => {
                Journal::new(&service, false).warning(&format!("nobody was asked: {why}"));
                return PamResultCode::PAM_AUTHINFO_UNAVAIL;
            }
        };
        let journal = Journal::new(&service, options.debug);
        journal.debug(PANICS);
        if !geteuid().is_root() {
            // Nobody else can make a file somebody's own: a screen lock goes on with the ticket that its session has.
            options.ticket = Ticket::No;
        }
        let login = match pamh.get_user(None) {
            Ok(user) => user.parse::<Login>(),
            Err(code) => return code,
        };
        let Ok(login) = login else {
            journal.debug("such a name is nobody's");
            return PamResultCode::PAM_USER_UNKNOWN;
        };
        let deadline = Instant::now() + options.timeout;
        // While somebody waits for a finger, Ctrl-C ends the waiting, and not the program.
        let interrupt = Interrupt::listen();
        let mut show = |shown: Shown<'_>| tell(pamh, &options, shown);
        let outcome = ask(&options, login.clone(), deadline, interrupt.as_ref(), &mut show);
        drop(interrupt);
        match outcome {
            Outcome::Accepted(ticket) => {
                journal.debug("accepted");
                if let Some(Err(why)) = ticket.map(|ticket| kept(pamh, &login, ticket)) {
                    journal.warning(&format!("no ticket: {why}"));
                    tell(pamh, &options, Shown::Hint(&format!("No Kerberos ticket: {why}")));
                    if options.ticket == Ticket::Required {
                        return PamResultCode::PAM_AUTH_ERR;
                    }
                }
                remembered::accepted(pamh, Some(login));
                PamResultCode::PAM_SUCCESS
            }
            Outcome::Refused => {
                journal.debug("refused");
                PamResultCode::PAM_AUTH_ERR
            }
            Outcome::Away(why) => {
                journal.warning(&format!("the next module is asked: {why}"));
                PamResultCode::PAM_AUTHINFO_UNAVAIL
            }
        }
    }

    /// Success where no ticket came with the finger: `sshd` asks in another process than the one that authenticated.
    fn sm_setcred(pamh: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        let options = Options::parse(args.iter().map(|arg| arg.to_bytes())).unwrap_or_default();
        if options.ticket == Ticket::No || !geteuid().is_root() {
            return PamResultCode::PAM_SUCCESS;
        }
        let service = service(pamh);
        credentials::set(pamh, flags, options.ticket, &Journal::new(&service, options.debug))
    }

    /// The box, which knows whether the person may come in, was asked with the finger. Whoever came in otherwise, and whoever
    /// the program means now, is not for us to judge.
    fn acct_mgmt(pamh: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        let login = pamh.get_user(None).ok().and_then(|user| user.parse::<Login>().ok());
        match login {
            Some(login) if remembered::was_accepted(pamh, &login) => PamResultCode::PAM_SUCCESS,
            _ => PamResultCode::PAM_IGNORE,
        }
    }
}

/// Has a ticket that came wait for the session.
fn kept(pamh: &mut PamHandle, login: &Login, ticket: Result<Cache, String>) -> Result<(), String> {
    credentials::keep(pamh, login, &ticket?)
}

/// Which program asks, for the journal.
fn service(pamh: &PamHandle) -> String {
    let item = pamh.get_item::<Service<'_>>().ok().flatten();
    item.map(|service| service.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Says something to the person; false is a prompt that he ended. A program that shows nothing is none that waits for us: the
/// finger counts all the same.
fn tell(pamh: &PamHandle, options: &Options, shown: Shown<'_>) -> bool {
    let Ok(Some(conversation)) = pamh.get_item::<Conv<'_>>() else { return true };
    let question = format!("{}, then press Enter: ", options.prompt);
    let (style, text) = match shown {
        Shown::Place if options.enter => (PAM_PROMPT_ECHO_ON, question.as_str()),
        Shown::Place => (PAM_TEXT_INFO, options.prompt.as_str()),
        Shown::Hint(hint) => (PAM_TEXT_INFO, hint),
        Shown::Refusal(hint) => (PAM_ERROR_MSG, hint),
    };
    let sent = conversation.send(style, text);
    // Some programs, those without a terminal among them, show nothing.
    style != PAM_PROMPT_ECHO_ON || sent.is_ok()
}
