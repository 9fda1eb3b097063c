//! What `pam_setcred` does: the ticket that came with the finger becomes the session's, and goes with it.
//!
//! Invariant: it is given to the person who was accepted and to nobody whom the program means later; and what goes wrong takes
//! nothing from the login, unless a ticket is required.

use authenteon_agent_protocol::Login;
use nix::unistd::User;
use pam::constants::{PAM_DELETE_CRED, PamFlag, PamResultCode};
use pam::module::PamHandle;

use crate::journal::Journal;
use crate::options::Ticket;
use crate::ticket::{self, Cache, SESSIONS, WAITING};
use crate::{environment, remembered};

/// Under which name a ticket waits. A program may establish credentials in another process than it authenticated in: `sshd`
/// does, and carries PAM's environment over.
const WAITS: &str = "AUTHENTEON_TICKET";
/// Where programs of the session look for it.
const CACHE: &str = "KRB5CCNAME";

/// Has a ticket wait for its session.
///
/// # Errors
/// Why it cannot.
pub(crate) fn keep(pamh: &mut PamHandle, login: &Login, cache: &Cache) -> Result<(), String> {
    let name = ticket::wait(WAITING.as_ref(), login, cache)?;
    environment::set(pamh, WAITS, &name)
}

/// `pam_setcred`.
pub(crate) fn set(
    pamh: &mut PamHandle,
    flags: PamFlag,
    wanted: Ticket,
    journal: &Journal<'_>,
) -> PamResultCode {
    if flags & PAM_DELETE_CRED != 0 {
        delete(pamh);
        return PamResultCode::PAM_SUCCESS;
    }
    let Some(name) = environment::get(pamh, WAITS) else {
        return PamResultCode::PAM_SUCCESS;
    };
    // It is fetched once, whatever comes of it.
    environment::unset(pamh, WAITS);
    match establish(pamh, &name) {
        Ok(()) => PamResultCode::PAM_SUCCESS,
        Err(why) => {
            journal.warning(&format!("no ticket for the session: {why}"));
            if wanted == Ticket::Required { PamResultCode::PAM_CRED_ERR } else { PamResultCode::PAM_SUCCESS }
        }
    }
}

fn establish(pamh: &mut PamHandle, name: &str) -> Result<(), String> {
    let login = pamh.get_user(None).map_err(|code| format!("{code:?}"))?;
    let login: Login = login.parse().map_err(str::to_owned)?;
    let cache = ticket::fetch(WAITING.as_ref(), name, &login)?;
    let found = User::from_name(login.as_str()).map_err(|why| why.to_string())?;
    let user = found.ok_or("nobody of this name is on this machine")?;
    // One session has one.
    delete(pamh);
    let path = ticket::place(SESSIONS.as_ref(), (user.uid.as_raw(), user.gid.as_raw()), &cache)?;
    let set = environment::set(pamh, CACHE, &format!("FILE:{}", path.display()));
    if set.is_err() {
        ticket::remove(&path);
    } else {
        remembered::placed(pamh, Some(path));
    }
    set
}

fn delete(pamh: &mut PamHandle) {
    if let Some(path) = remembered::where_placed(pamh) {
        ticket::remove(&path);
        environment::unset(pamh, CACHE);
        remembered::placed(pamh, None);
    }
}
