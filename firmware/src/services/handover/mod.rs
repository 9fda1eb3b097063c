//! What an accept is good for beside its answer: an assertion for a service, a certificate for Kerberos, a code. Stations pass
//! these on; the box decides who may have which.
//!
//! Invariant: all of it is of one accept of the same caller, within a minute of it, and each once; what is handed over is in
//! the audit before it leaves.

mod accepts;
mod certificate;
mod grants;
mod keys;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tracing::error;

use super::{Ground, Inner, Services, lockout::Attempt};
use crate::{
    clock::Timestamp,
    credential::{
        assertion::{self, Audience, Claims, Means},
        users::KeyDigest,
    },
    directory::Identifier,
    policy::Decision,
    request::{Caller, Nonce, RequestId, hex},
    subject::{GroupName, SubjectId},
};

pub(super) use self::{accepts::Accepts, certificate::Rates, grants::Grants, keys::Keys};
pub use self::{
    accepts::{Accepted, NotAccepted, Purpose},
    certificate::{Due, UserAuthorityFacts, UserCertificateError as NoCertificate},
    grants::{Grant, GrantError},
    keys::KeysError,
};

/// What the version before, which may have to go on with the store, knows nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an update is on trial: this can be done once it is kept")]
pub struct OnTrial;

/// What is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoverSettings {
    /// What the box calls itself in assertions.
    pub issuer: String,
    /// How long an assertion is good.
    pub assertion: Duration,
    /// How long a certificate is good.
    pub certificate: Duration,
    /// Whose people may get certificates; none: everybody who may otherwise.
    pub groups: Option<BTreeSet<GroupName>>,
    /// Certificates that a station, and the box, give in a minute.
    pub most_a_minute: (usize, usize),
    /// Where the list of revoked certificates is fetched.
    pub list: Option<String>,
}

impl Default for HandoverSettings {
    fn default() -> Self {
        Self {
            issuer: "https://box.authenteon.invalid".to_owned(),
            assertion: assertion::LONGEST,
            certificate: Duration::from_secs(300),
            groups: None,
            most_a_minute: (30, 300),
            list: None,
        }
    }
}

/// What a station wants beside the decision, if that is an accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// An assertion for this audience.
    pub assertion: Option<Audience>,
    /// A certificate for this key, which it asks for when it is accepted.
    pub certificate: Option<KeyDigest>,
}

/// A wish that may be fulfilled: that is asked before anybody lays a finger down, so that nobody does for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Wish);

impl Allowed {
    /// What is wanted.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.0
    }
}

/// What goes with an accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// An assertion.
    pub assertion: Option<String>,
    /// Until when a certificate can be asked for.
    pub certificate_until: Option<Timestamp>,
}

/// A decision, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// What goes with it.
    pub handed: Handed,
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        Self { decision, handed: Handed::default() }
    }
}

/// Why what is wanted is given to nobody, whatever the decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// The station may not ask for this audience.
    #[error(
        "this station may not ask for assertions for this audience: an administrator allows it with `authenteonctl station \
         grant NAME --audience URL`"
    )]
    Audience,
    /// The station may not have people's certificates.
    #[error(
        "this station may not ask for certificates of people with samples of its own: an administrator allows it with \
         `authenteonctl station grant NAME --may-issue`, or the finger is laid on a reader of the box"
    )]
    MayNotIssue,
    /// Nothing is presented.
    #[error("with grace nothing is handed over: a finger has to be presented")]
    Grace,
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The audit could not tell of it.
    #[error(transparent)]
    OnTrial(#[from] OnTrial),
}

/// What a request says of what is to be handed over.
pub(crate) struct Handing<'a> {
    pub(crate) wanted: &'a Wish,
    pub(crate) nonce: &'a Nonce,
}

/// What the services keep of it.
#[derive(Default)]
pub(super) struct Handover {
    pub(super) grants: Grants,
    accepts: Mutex<Accepts>,
    keys: Mutex<Option<Arc<Keys>>>,
    authority: Mutex<Option<Arc<crate::credential::users::UserAuthority>>>,
    rates: Mutex<Rates>,
    settings: OnceLock<HandoverSettings>,
}

impl Wish {
    /// Whether it is anything.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Of the request: the same name with another wish is another request. One without is as it always was.
    pub(crate) fn digested(&self, body: Sha256) -> Sha256 {
        let body = match &self.assertion {
            Some(audience) => {
                body.chain_update(b"assertion").chain_update(audience.as_ref()).chain_update([0])
            }
            None => body,
        };
        match &self.certificate {
            Some(KeyDigest(key)) => body.chain_update(b"certificate").chain_update(key),
            None => body,
        }
    }
}

impl Handover {
    fn settings(&self) -> HandoverSettings {
        self.settings.get().cloned().unwrap_or_default()
    }
}

impl Services {
    /// What is configured; only what is said first counts.
    pub fn configure_handover(&self, settings: HandoverSettings) {
        // Said once, at the start.
        let _ = self.inner.handover.settings.set(settings);
    }

    /// Whether a caller may want this at all, before anybody lays a finger down. What it takes is made ready.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn may_hand_over(
        &self,
        by: &Caller,
        wanted: &Wish,
        at_own_reader: bool,
    ) -> Result<Allowed, HandoverError> {
        let grant = self.inner.handover.grants.of(&by.name).unwrap_or_default();
        if let Some(audience) = &wanted.assertion {
            if !grant.audiences.contains(audience) {
                return Err(HandoverError::Audience);
            }
            self.inner.assertion_keys()?;
        }
        if wanted.certificate.is_some() {
            if !grant.may_issue && !at_own_reader {
                return Err(HandoverError::MayNotIssue);
            }
            self.inner.not_on_trial()?;
        }
        Ok(Allowed(wanted.clone()))
    }
}

impl Inner {
    /// Refuses what lasts while the version before may have to go on with it.
    fn not_on_trial(&self) -> Result<(), OnTrial> {
        if self.store.is_earlier() { Err(OnTrial) } else { Ok(()) }
    }

    /// What goes with a decision that was made now.
    pub(crate) fn hand_over(
        &self,
        (attempt, request): (&Attempt<'_>, &RequestId),
        decision: &Decision,
        Handing { wanted, nonce }: &Handing<'_>,
        means: &[Means],
    ) -> Handed {
        let Decision::Accept { subject } = decision else { return Handed::default() };
        if means.is_empty() {
            return Handed::default();
        }
        let now = self.clock.now();
        let accepted = Accepted {
            subject: *subject,
            key: wanted.certificate,
            at_own_reader: attempt.sensor.is_some(),
            at: now,
        };
        let until = self.accepts().note(attempt.by, request, accepted, self.clock.running());
        let audience = wanted.assertion.as_ref();
        let assertion = audience.and_then(|audience| {
            let claims = self.claims(*subject, audience, (attempt.by, request, nonce), means, now);
            let signed = self.assertion_keys().map_err(|why| why.to_string());
            let signed = signed.and_then(|keys| keys.sign(&claims).map_err(|why| why.to_string()));
            // The decision stands; the station sees that it has none.
            signed.map_err(|why| error!(%why, "an assertion was not made")).ok()
        });
        let certificate_until = wanted.certificate.map(|_| now.later(until));
        Handed { assertion, certificate_until }
    }

    fn claims(
        &self,
        sub: SubjectId,
        audience: &Audience,
        (by, request, nonce): (&Caller, &RequestId, &Nonce),
        means: &[Means],
        now: Timestamp,
    ) -> Claims {
        let HandoverSettings { issuer, assertion, .. } = self.handover.settings();
        // Who is in no directory has none; nor has he whom the store cannot give now.
        let account = self.subject(sub).ok().flatten().and_then(|record| record.account).unwrap_or_default();
        let name = |which| account.holds(which).map(str::to_owned);
        let iat = assertion::seconds(now);
        let jti = Sha256::new().chain_update(by.id.as_str()).chain_update([0]).chain_update(request.as_ref());
        let jti: [u8; 32] = jti.chain_update(now.millis().to_be_bytes()).finalize().into();
        Claims {
            iss: issuer,
            sub,
            aud: audience.clone(),
            iat,
            exp: iat + assertion.min(assertion::LONGEST).as_secs(),
            jti: hex(&jti[..16]),
            nonce: nonce.as_ref().to_owned(),
            amr: means.to_vec(),
            preferred_username: name(Identifier::Login),
            upn: name(Identifier::Upn),
        }
    }

    fn accepts(&self) -> std::sync::MutexGuard<'_, Accepts> {
        self.handover.accepts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How somebody proved who he is: nothing when he presented nothing.
pub(crate) fn means(ground: &Ground, samples: usize, pin: bool) -> Vec<Means> {
    let mut means: BTreeSet<Means> = match ground {
        Ground::Code => BTreeSet::from([Means::Otp]),
        _ if samples > 0 => BTreeSet::from([Means::Fpt]),
        _ => return Vec::new(),
    };
    if pin {
        means.extend([Means::Pin, Means::Mfa]);
    }
    means.into_iter().collect()
}

#[cfg(test)]
mod tests;
