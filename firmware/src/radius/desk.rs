//! Decides for those who ask by RADIUS, by the services and nothing else.
//!
//! Invariant: nobody is accepted but by an accept of the services, which is in the audit before the answer; while there are
//! no services, nobody is answered, so that a client asks another server.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::Semaphore;
use tracing::error;

use super::{
    clients::{Client, Mode},
    push::{Pending, Push},
    request::{Asked, Offer, Request},
};
use crate::{
    claim::Claim,
    factor::OneTimeCode,
    lock::Lock,
    policy::{Decision, RefuseReason},
    request::RequestId,
    sensors::Sensors,
    services::{Services, StoreError},
    subject::{Login, SubjectId},
};

/// What became of a packet, for who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody may come in.
    Accept,
    /// He may not.
    Reject,
    /// Somebody asked whether there is anybody.
    Status,
    /// It came before.
    Repeated,
    /// Nobody may ask from there.
    UnknownClient,
    /// It is no packet, or one that is not ours.
    Malformed,
    /// It proves nothing.
    Unproved,
    /// There is too much to do, or nothing that could decide.
    Unanswered,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Status => "status",
            Self::Repeated => "repeated",
            Self::UnknownClient => "unknown-client",
            Self::Malformed => "malformed",
            Self::Unproved => "unproved",
            Self::Unanswered => "unanswered",
        }
    }
}

/// Whoever counts.
pub trait Count: Send + Sync {
    /// That became of a packet.
    fn radius(&self, outcome: Outcome);

    /// A verification was decided.
    fn verified(&self, decision: &Decision);
}

/// What of the box those have who ask by RADIUS. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(crate) lock: Lock,
    pub(crate) claim: Option<Arc<Claim>>,
    pub(crate) sensors: Sensors,
    /// Permits for work on the matcher.
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) count: Arc<dyn Count>,
}

/// What is said to somebody who wants to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) accepted: bool,
    pub(super) word: Option<String>,
}

impl Said {
    pub(super) fn no(word: impl Into<String>) -> Self {
        Self { accepted: false, word: Some(word.into()) }
    }

    /// As much of a decision as the API says.
    pub(super) fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Accept { .. } => Self { accepted: true, word: None },
            Decision::Retry { hint } => Self::no(format!("try again: {hint}")),
            Decision::Refuse { reason } => Self::no(match reason {
                RefuseReason::LockedOut { retry_after_s } => {
                    format!("refused: locked-out, wait {retry_after_s} seconds")
                }
                reason => format!("refused: {}", reason.name()),
            }),
        }
    }
}

const ONLY_PAP: &str = "only PAP is served here: CHAP and MS-CHAP hide what the box has to see";
const NO_EAP: &str = "neither EAP nor 802.1X is served here: only PAP";
const NO_NAME: &str = "a User-Name is needed: a login, a user principal name or a subject's id";
const NO_CODE: &str = "in the place of a password a one-time code is needed: it has 8 digits";

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence;

impl Desk {
    /// The services, once the box is somebody's and open.
    fn services(&self) -> Result<&Services, Silence> {
        let unprovisioned = self.claim.as_ref().is_some_and(|claim| claim.unprovisioned());
        self.lock.services().filter(|_| !unprovisioned).ok_or(Silence)
    }

    /// The bytes of the answer to a request, if there is one.
    pub(super) async fn answer(
        &self,
        (client, from): (&Client, IpAddr),
        request: &Request,
        pending: &Pending,
    ) -> Result<Vec<u8>, Silence> {
        let services = self.services()?.clone();
        let Asked::Access { user, offer } = &request.asked else {
            self.count.radius(Outcome::Status);
            return Ok(request.answer(true, None));
        };
        let said = self.decide(services, (client, from), user.as_deref(), offer, pending).await?;
        self.count.radius(if said.accepted { Outcome::Accept } else { Outcome::Reject });
        Ok(request.answer(said.accepted, said.word.as_deref()))
    }

    async fn decide(
        &self,
        services: Services,
        (client, from): (&Client, IpAddr),
        user: Option<&str>,
        offer: &Offer,
        pending: &Pending,
    ) -> Result<Said, Silence> {
        match offer {
            Offer::Challenge => return Ok(Said::no(ONLY_PAP)),
            Offer::Conversation => return Ok(Said::no(NO_EAP)),
            Offer::Password(_) | Offer::Nothing => {}
        }
        let Some(user) = user.map(str::to_owned) else { return Ok(Said::no(NO_NAME)) };
        let asked = services.clone();
        // The first who asks has everybody's names read.
        let Some(subject) = self.on_core(move || claimed(&asked, &user)).await? else {
            return Ok(Said::no(NO_NAME));
        };
        let (subject, caller) = (subject.map_err(|why| failed(&why))?, client.caller(from));
        match &client.mode {
            Mode::Code => {
                let Offer::Password(typed) = offer else { return Ok(Said::no(NO_CODE)) };
                // What is no code guesses none, and counts against nobody: a program may send a password that it keeps.
                let code = std::str::from_utf8(typed).ok().and_then(|text| OneTimeCode::try_from(text).ok());
                let Some(code) = code else { return Ok(Said::no(NO_CODE)) };
                let decided = self
                    .on_core(move || services.verify_code(&caller, request_id(), subject, code))
                    .await?
                    .map_err(|why| failed(&why))?;
                self.count.verified(&decided);
                Ok(Said::of(&decided))
            }
            Mode::Push { sensor, wait } => {
                let push = Push { services: &services, caller: &caller, subject, sensor, wait: *wait };
                self.push(push, pending).await
            }
        }
    }

    /// Runs a service call on a blocking thread, at most as many at a time as there are cores.
    pub(super) async fn on_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Silence> {
        // The semaphore is never closed.
        let permit = self.cores.clone().acquire_owned().await.map_err(|_| Silence)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(|_| Silence)
    }
}

/// Whom a name claims to be: a subject's id is itself. Nothing when it names nobody.
fn claimed(services: &Services, user: &str) -> Option<Result<SubjectId, StoreError>> {
    if let Ok(id) = user.parse() {
        return Some(Ok(id));
    }
    let login = Login::try_from(user.to_owned()).ok()?;
    Some(services.claimed(&login))
}

/// A name for a request of the box's own making: RADIUS has none that is as long.
pub(super) fn request_id() -> RequestId {
    RequestId::random()
}

/// The services failed: nobody is told anything that is not in the audit.
pub(super) fn failed(why: &dyn std::error::Error) -> Silence {
    error!(%why, "a request by RADIUS is not answered");
    Silence
}
