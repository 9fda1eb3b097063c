//! A request that waits while the person whom it names touches a reader.
//!
//! Nobody at the reader sees for which request he is accepted. Invariant: one request at a time waits for a person, and one
//! at a reader; when two come for the same person, neither is accepted, so that nobody is let in by a finger that was meant
//! for another one's request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authenteon_hal::{Frame, discovery::ReaderId, sensor::Signal};
use tokio::sync::Notify;

use super::desk::{Desk, Said, Silence, failed, request_id};
use crate::{
    clock::{Clock, SystemClock},
    policy::Decision,
    request::{Caller, Nonce},
    sample::Sample,
    sensors::{CaptureError, Progress},
    services::{DecideError, Services},
    subject::SubjectId,
    verify::{Proof, VerifyRequest},
};

/// A finger that is waited for.
pub(super) struct Push<'a> {
    pub(super) services: &'a Services,
    pub(super) caller: &'a Caller,
    pub(super) subject: SubjectId,
    pub(super) sensor: &'a ReaderId,
    pub(super) wait: Duration,
}

/// Who is waited for, and by whom that is given up.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<SubjectId, Arc<Notify>>>);

/// Somebody is waited for, until this is dropped.
struct Waiting<'a> {
    of: &'a Pending,
    subject: SubjectId,
    given_up: Arc<Notify>,
}

impl Pending {
    fn all(&self) -> MutexGuard<'_, HashMap<SubjectId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a person; when somebody does already, has him give up, and gives nothing.
    fn begin(&self, subject: SubjectId) -> Option<Waiting<'_>> {
        let mut all = self.all();
        if let Some(other) = all.get(&subject) {
            other.notify_one();
            return None;
        }
        let given_up = Arc::new(Notify::new());
        all.insert(subject, Arc::clone(&given_up));
        Some(Waiting { of: self, subject, given_up })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.of.all().remove(&self.subject);
    }
}

const TWICE: &str = "two requests waited for the same person at the same moment: neither is accepted";
const UNANSWERED: &str = "no finger was laid on the reader in time";

impl Desk {
    /// Waits for the finger, and decides.
    pub(super) async fn push(&self, push: Push<'_>, pending: &Pending) -> Result<Said, Silence> {
        let Some(waiting) = pending.begin(push.subject) else { return Ok(Said::no(TWICE)) };
        let claim = match self.sensors.claim(push.sensor) {
            Ok(claim) => claim,
            Err(CaptureError::Stopping) => return Err(Silence),
            Err(why) => return Ok(Said::no(why.to_string())),
        };
        let began = SystemClock.running();
        loop {
            let left = push.wait.saturating_sub(SystemClock.running().saturating_sub(began));
            let captured = tokio::select! {
                // First: a finger that comes at the same moment is nobody's any more.
                biased;
                () = waiting.given_up.notified() => {
                    claim.show(Signal::Refused);
                    return self.unanswered(&push, TWICE).await;
                }
                captured = claim.capture(left, Progress::none()) => captured,
            };
            let frame = match captured {
                Ok(frame) => frame,
                Err(CaptureError::Stopping) => return Err(Silence),
                Err(CaptureError::TimedOut) => {
                    claim.show(Signal::Refused);
                    return self.unanswered(&push, UNANSWERED).await;
                }
                Err(why) => return Ok(Said::no(why.to_string())),
            };
            match self.verified(&push, frame).await? {
                // While there is time, a finger that lay badly may be laid down again.
                None | Some(Decision::Retry { .. }) => claim.show(Signal::Retry),
                Some(decision) => {
                    let accepted = matches!(decision, Decision::Accept { .. });
                    claim.show(if accepted { Signal::Accepted } else { Signal::Refused });
                    return Ok(Said::of(&decision));
                }
            }
        }
    }

    /// The decision on a frame; none when the frame is of no use.
    async fn verified(&self, push: &Push<'_>, frame: Frame) -> Result<Option<Decision>, Silence> {
        let (services, caller) = (push.services.clone(), push.caller.clone());
        let request = VerifyRequest {
            request_id: request_id(),
            nonce: Nonce::random(),
            subject: push.subject,
            proof: Proof::from(Sample::Frame(frame)),
            pin: None,
            sensor: Some(push.sensor.clone()),
        };
        match self.on_core(move || services.verify(&caller, request)).await? {
            Ok(decision) => {
                self.count.verified(&decision);
                Ok(Some(decision))
            }
            Err(DecideError::Sample(_)) => Ok(None),
            Err(why) => Err(failed(&why)),
        }
    }

    /// Somebody was waited for, and did not come: whoever asks for others all day is seen in the audit.
    async fn unanswered(&self, push: &Push<'_>, why: &'static str) -> Result<Said, Silence> {
        let (services, caller) = (push.services.clone(), push.caller.clone());
        let (subject, sensor) = (push.subject, push.sensor.clone());
        let kept = self.on_core(move || services.push_unanswered(&caller, subject, &sensor, why)).await?;
        kept.map_err(|why| failed(&why))?;
        Ok(Said::no(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_waits_for_a_person_and_a_second_one_ends_both() {
        let pending = Pending::default();
        let (ada, bob) = (SubjectId::random(), SubjectId::random());
        let first = pending.begin(ada).unwrap();
        assert!(pending.begin(bob).is_some(), "for others others wait");
        assert!(pending.begin(ada).is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // It was told before it listened, and hears of it.
        runtime.block_on(first.given_up.notified());
        drop(first);
        assert!(pending.begin(ada).is_some(), "once it is over, it can be asked again");
    }
}
