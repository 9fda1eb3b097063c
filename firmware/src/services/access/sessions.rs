//! Sessions: what an account gets when it signs in, and shows from then on.
//!
//! Invariant: a session is made by a sign-in that was right and by nothing else, ends a quarter of an hour after its last
//! request and eight hours after its first, and with its account; a restart ends all. Of its token the digest is kept.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::request::{Caller, ClientId, Role};

/// How long a session lasts that nobody uses, and how long one that somebody does.
pub(super) const IDLE: Duration = Duration::from_secs(15 * 60);
pub(super) const LONGEST: Duration = Duration::from_secs(8 * 3600);
/// Sessions of an account: one more ends the one that was used least lately.
const MOST: usize = 8;

/// A token that nobody can guess: so begins it, and 256 random bits. `None` without randomness.
pub(super) fn token(prefix: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(Zeroizing::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}

/// What is kept of a token.
pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

struct Session {
    account: String,
    role: Role,
    began: Duration,
    used: Duration,
}

impl Session {
    fn over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE || now.saturating_sub(self.began) >= LONGEST
    }
}

/// All of them, by the digest of their tokens.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<[u8; 32], Session>);

impl Sessions {
    /// Begins one.
    pub(super) fn begin(&mut self, token: &str, account: &str, role: Role, now: Duration) {
        self.0.retain(|_, session| !session.over(now));
        let own = self.0.iter().filter(|(_, session)| session.account == account);
        if own.clone().count() >= MOST {
            let oldest = own.min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest);
            oldest.map(|digest| self.0.remove(&digest));
        }
        let session = Session { account: account.to_owned(), role, began: now, used: now };
        self.0.insert(digest(token), session);
    }

    /// Whose it is, and uses it.
    pub(super) fn caller(&mut self, token: &str, now: Duration) -> Option<Caller> {
        let digest = digest(token);
        let session = self.0.get_mut(&digest)?;
        if session.over(now) {
            self.0.remove(&digest);
            return None;
        }
        session.used = now;
        let (id, name) = (ClientId::of_account(&session.account), session.account.clone());
        Some(Caller::new(id, session.role, name))
    }

    /// Ends one; false when there is none.
    pub(super) fn end(&mut self, token: &str) -> bool {
        self.0.remove(&digest(token)).is_some()
    }

    /// Ends all of an account.
    pub(super) fn end_all(&mut self, account: &str) {
        self.0.retain(|_, session| session.account != account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_after_a_day_s_work_in_any_case() {
        let mut sessions = Sessions::default();
        let token = token("aus_").unwrap();
        sessions.begin(&token, "ada", Role::Administrator, Duration::ZERO);
        assert_eq!(sessions.caller(&token, MINUTE * 14).unwrap().name, "ada");
        assert!(sessions.caller(&token, MINUTE * 29).is_none(), "15 minutes after the last use");
        assert!(sessions.caller(&token, MINUTE * 14).is_none(), "gone for good");
        sessions.begin(&token, "ada", Role::Administrator, Duration::ZERO);
        for minute in (0..8 * 60).step_by(10) {
            assert!(sessions.caller(&token, MINUTE * minute).is_some(), "{minute}");
        }
        assert!(sessions.caller(&token, LONGEST).is_none());
    }

    #[test]
    fn sessions_end_one_by_one_all_at_once_and_by_their_number() {
        let mut sessions = Sessions::default();
        let tokens: Vec<_> = (0..=MOST).map(|_| token("aus_").unwrap()).collect();
        for (token, minute) in tokens.iter().zip(0..) {
            sessions.begin(token, "ada", Role::Officer, MINUTE * minute);
        }
        let now = MINUTE * 9;
        assert!(sessions.caller(&tokens[0], now).is_none() && sessions.caller(&tokens[1], now).is_some());
        assert!(sessions.end(&tokens[1]) && !sessions.end(&tokens[1]));
        sessions.end_all("bob");
        assert!(sessions.caller(&tokens[2], now).is_some());
        sessions.end_all("ada");
        assert!(sessions.caller(&tokens[2], now).is_none());
    }
}
