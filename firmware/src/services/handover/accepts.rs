//! Accepts of the last minute, and what they were used for.
//!
//! Invariant: an accept is good for each purpose once, for the caller that asked for it, and not after its time. They are in
//! memory alone: a restart ends them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    credential::users::KeyDigest,
    request::{Caller, ClientId, RequestId},
    services::Services,
    subject::SubjectId,
};

/// How long an accept is good for something.
pub(super) const GOOD: Duration = Duration::from_secs(60);
/// Accepts that are remembered: more than a box gives in that time.
const MOST: usize = 20_000;

/// What an accept can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A certificate for Kerberos.
    Certificate,
    /// A code for who asks over RADIUS.
    OneTimeCode,
}

/// An accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Who was accepted.
    pub subject: SubjectId,
    /// The key that the request committed to, if it wants a certificate.
    pub key: Option<KeyDigest>,
    /// Whether the finger was laid on a reader of the box.
    pub at_own_reader: bool,
    /// When.
    pub at: Timestamp,
}

/// Why an accept is not good for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// There is none.
    #[error("this caller had no accept of this request_id within the last {} s", GOOD.as_secs())]
    Unknown,
    /// It was.
    #[error("this accept was used for that already: have the finger presented again")]
    Used,
}

struct Kept {
    accepted: Accepted,
    at: Duration,
    used: BTreeSet<Purpose>,
}

type Name = (ClientId, RequestId);

/// Those of the last minute.
#[derive(Default)]
pub(in crate::services) struct Accepts {
    kept: BTreeMap<Name, Kept>,
    order: VecDeque<(Duration, Name)>,
}

impl Accepts {
    /// Notes one; gives how long it is good.
    pub(super) fn note(
        &mut self,
        by: &Caller,
        request: &RequestId,
        accepted: Accepted,
        now: Duration,
    ) -> Duration {
        while let Some((at, _)) = self.order.front()
            && (now.saturating_sub(*at) > GOOD || self.order.len() >= MOST)
        {
            if let Some((at, name)) = self.order.pop_front()
                && self.kept.get(&name).is_some_and(|kept| kept.at == at)
            {
                self.kept.remove(&name);
            }
        }
        let name = (by.id.clone(), request.clone());
        self.order.push_back((now, name.clone()));
        self.kept.insert(name, Kept { accepted, at: now, used: BTreeSet::new() });
        GOOD
    }

    fn redeem(
        &mut self,
        by: &Caller,
        request: &RequestId,
        what: Purpose,
        now: Duration,
    ) -> Result<Accepted, NotAccepted> {
        let kept = self.kept.get_mut(&(by.id.clone(), request.clone()));
        let kept = kept.filter(|kept| now.saturating_sub(kept.at) <= GOOD).ok_or(NotAccepted::Unknown)?;
        if !kept.used.insert(what) {
            return Err(NotAccepted::Used);
        }
        Ok(kept.accepted.clone())
    }

    fn give_back(&mut self, by: &Caller, request: &RequestId, what: Purpose) {
        if let Some(kept) = self.kept.get_mut(&(by.id.clone(), request.clone())) {
            kept.used.remove(&what);
        }
    }
}

impl Services {
    /// Uses an accept of the same caller for something.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub fn redeem(&self, by: &Caller, request: &RequestId, what: Purpose) -> Result<Accepted, NotAccepted> {
        let inner = &self.inner;
        inner.accepts().redeem(by, request, what, inner.clock.running())
    }

    /// Nothing came of it: it may be used again.
    pub fn give_back(&self, by: &Caller, request: &RequestId, what: Purpose) {
        self.inner.accepts().give_back(by, request, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Role;

    fn station(number: u8) -> Caller {
        Caller::new(ClientId::of_certificate(&[number; 32]), Role::Station, format!("desk-{number}"))
    }

    fn accepted() -> Accepted {
        let at = Timestamp::from_millis(1);
        Accepted { subject: SubjectId::random(), key: None, at_own_reader: false, at }
    }

    #[test]
    fn an_accept_is_good_once_for_each_purpose_for_its_caller_and_for_a_minute() {
        let mut accepts = Accepts::default();
        let request = RequestId::try_from("one".to_owned()).unwrap();
        let (desk, other) = (station(1), station(2));
        let given = accepted();
        let at = Duration::from_secs(1000);
        accepts.note(&desk, &request, given.clone(), at);
        let mut redeem =
            |by: &Caller, what, after| accepts.redeem(by, &request, what, at + Duration::from_secs(after));
        assert_eq!(redeem(&other, Purpose::Certificate, 1), Err(NotAccepted::Unknown));
        assert_eq!(redeem(&desk, Purpose::Certificate, 60), Ok(given.clone()));
        assert_eq!(redeem(&desk, Purpose::Certificate, 60), Err(NotAccepted::Used));
        assert_eq!(redeem(&desk, Purpose::OneTimeCode, 61), Err(NotAccepted::Unknown), "too late");
        assert_eq!(redeem(&desk, Purpose::OneTimeCode, 59), Ok(given));
        accepts.give_back(&desk, &request, Purpose::Certificate);
        assert!(accepts.redeem(&desk, &request, Purpose::Certificate, at).is_ok());
    }

    #[test]
    fn what_is_over_is_forgotten_and_a_name_that_comes_again_is_another_accept() {
        let mut accepts = Accepts::default();
        let request = RequestId::try_from("one".to_owned()).unwrap();
        let desk = station(1);
        accepts.note(&desk, &request, accepted(), Duration::ZERO);
        let again = accepted();
        accepts.note(&desk, &request, again.clone(), Duration::from_secs(50));
        accepts.note(&station(2), &request, accepted(), Duration::from_secs(100));
        assert_eq!(accepts.order.len(), 2);
        let redeemed = accepts.redeem(&desk, &request, Purpose::Certificate, Duration::from_secs(100));
        assert_eq!(redeemed, Ok(again));
    }
}
