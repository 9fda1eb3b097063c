//! Who may ask about whom, and as whom a person is known at the box.
//!
//! Invariant: root asks about anybody, everybody else about himself; and an account of the system is asked about only as the
//! subject that the configuration names: whoever makes a login in a directory has made none of this machine's own.

use std::io;

use authenteon_agent_protocol::{Login, Why};
use authenteon_login::Who;
use nix::unistd::User;

use crate::config::Config;

/// An account of this machine, as the system knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its number.
    pub(crate) uid: u32,
}

/// Asks the system, which may ask a directory: this blocks. None is nobody of this machine.
///
/// # Errors
/// As of the system, which cannot say.
pub(crate) fn account(login: &Login) -> io::Result<Option<Account>> {
    let found = User::from_name(login.as_str())?;
    Ok(found.map(|found| Account { uid: found.uid.as_raw() }))
}

/// Whether somebody may ask about this login, and as whom.
///
/// # Errors
/// Why not.
pub(crate) fn claim(
    config: &Config,
    asking: u32,
    login: &Login,
    account: Option<Account>,
) -> Result<Who, Why> {
    if asking != 0 && account.is_none_or(|account| account.uid != asking) {
        return Err(Why::NotPermitted);
    }
    if let Some(subject) = config.users.get(login) {
        return Ok(Who::Subject(*subject));
    }
    if account.is_some_and(|account| account.uid < config.lowest_uid) {
        return Err(Why::SystemAccount);
    }
    Ok(Who::Login(login.to_string()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);

    fn config() -> Config {
        let text = "version = 1\nserver = \"https://box\"\ncacert = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\nsensor = \"s\"\n";
        let mut config: Config = toml::from_str(text).unwrap();
        config.users.insert("operator".parse().unwrap(), ONE);
        config
    }

    fn asked(asking: u32, login: &str, uid: Option<u32>) -> Result<Who, Why> {
        claim(&config(), asking, &login.parse::<Login>().unwrap(), uid.map(|uid| Account { uid }))
    }

    #[test]
    fn root_asks_about_anybody_and_everybody_else_about_himself() {
        let alice = Ok(Who::Login("alice".to_owned()));
        assert_eq!(asked(0, "alice", Some(5501)), alice);
        assert_eq!(asked(5501, "alice", Some(5501)), alice);
        assert_eq!(asked(5502, "alice", Some(5501)), Err(Why::NotPermitted));
        assert_eq!(asked(5502, "alice", None), Err(Why::NotPermitted));
        // Of somebody whom this machine does not know, nobody learns that from how long it takes.
        assert_eq!(asked(0, "alice", None), alice);
    }

    #[test]
    fn an_account_of_the_system_is_opened_only_as_the_subject_that_is_named() {
        assert_eq!(asked(0, "root", Some(0)), Err(Why::SystemAccount));
        assert_eq!(asked(0, "backup", Some(34)), Err(Why::SystemAccount));
        assert_eq!(asked(0, "operator", Some(11)), Ok(Who::Subject(ONE)));
        assert_eq!(asked(12, "operator", Some(11)), Err(Why::NotPermitted));
    }

    #[test]
    fn the_system_knows_root_and_not_everybody() {
        assert_eq!(account(&"root".parse().unwrap()).unwrap(), Some(Account { uid: 0 }));
        assert_eq!(account(&"nobody-of-this-name".parse().unwrap()).unwrap(), None);
    }
}
