//! PIN, finger under duress and recovery code of a person, as officers give and take them.
//!
//! Invariant: each change is durable with its audit record before it is in force, and none of the records tells a secret.

use std::time::Duration;

use super::{
    Inner, Services, SubjectError,
    factors::{Factors, put_factors},
};
use crate::{
    audit::Event,
    clock::Timestamp,
    enrol::EnrolError,
    factor::{Issued, NotAPin, Pin, PinHash, RecoveryCode},
    request::Caller,
    store::StoreError,
    subject::{FingerPosition, SubjectId},
};

/// Why a PIN was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is one that anybody tries first.
    #[error(transparent)]
    Not(#[from] NotAPin),
    /// There is nobody to keep it for, or the store failed.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

impl Services {
    /// Changes what is kept of a person, whole or not at all.
    fn change_factors(
        &self,
        by: &Caller,
        id: SubjectId,
        event: Event,
        change: impl FnOnce(&mut Factors),
    ) -> Result<(), SubjectError> {
        let inner = &self.inner;
        inner.people_may_change()?;
        let _people = inner.people();
        inner.people_may_change()?;
        inner.subject(id)?.ok_or(SubjectError::Unknown)?;
        let mut factors = Factors::clone(&inner.factors.of(id));
        change(&mut factors);
        Inner::commit(inner, by, &[put_factors(id, &factors)?], &event)?;
        inner.keep_factors(id, factors);
        Ok(())
    }

    /// Gives a person a PIN, in the place of the one of before.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn set_pin(&self, by: &Caller, id: SubjectId, pin: &Pin) -> Result<(), PinError> {
        pin.check()?;
        let failed = || SubjectError::Store(StoreError::Io("a PIN cannot be derived".to_owned()));
        let hash = PinHash::new(pin).ok_or_else(failed)?;
        self.change_factors(by, id, Event::PinSet { subject: id }, |factors| factors.pin = Some(hash))?;
        Ok(())
    }

    /// Takes a person's PIN away; it need not be there.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn remove_pin(&self, by: &Caller, id: SubjectId) -> Result<(), SubjectError> {
        self.change_factors(by, id, Event::PinRemoved { subject: id }, |factors| factors.pin = None)
    }

    /// Gives a code that is good once, for so long, in the place of the one of before.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn issue_recovery_code(
        &self,
        by: &Caller,
        id: SubjectId,
        valid: Duration,
    ) -> Result<(RecoveryCode, Timestamp), SubjectError> {
        let failed = || SubjectError::Store(StoreError::Io("the system gives no random numbers".to_owned()));
        let code = RecoveryCode::random().ok_or_else(failed)?;
        let now = self.inner.clock.now();
        let valid = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let expires = Timestamp::from_millis(now.millis().saturating_add(valid));
        let issued = Issued::new(&code, now, expires);
        let event = Event::RecoveryCodeIssued { subject: id, expires };
        self.change_factors(by, id, event, |factors| factors.recovery = Some(issued))?;
        Ok((code, expires))
    }

    /// Takes a code back; it need not be there.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn revoke_recovery_code(&self, by: &Caller, id: SubjectId) -> Result<(), SubjectError> {
        let event = Event::RecoveryCodeRevoked { subject: id };
        self.change_factors(by, id, event, |factors| factors.recovery = None)
    }

    /// Says that a finger is the one for duress, or is not any more.
    ///
    /// # Errors
    /// [`EnrolError::UnknownSubject`], [`EnrolError::UnknownFinger`] or [`EnrolError::Store`].
    pub fn mark_duress(
        &self,
        by: &Caller,
        id: SubjectId,
        position: FingerPosition,
        duress: bool,
    ) -> Result<(), EnrolError> {
        let record = self.inner.subject(id)?.ok_or(EnrolError::UnknownSubject)?;
        if !record.fingers.iter().any(|finger| finger.position == position) {
            return Err(EnrolError::UnknownFinger);
        }
        let event = Event::DuressMarked { subject: id, position, duress };
        let change = |factors: &mut Factors| {
            if duress {
                factors.duress.insert(position);
            } else {
                factors.duress.remove(&position);
            }
        };
        self.change_factors(by, id, event, change).map_err(|why| match why {
            SubjectError::Unknown => EnrolError::UnknownSubject,
            SubjectError::Store(why) => EnrolError::Store(why),
        })
    }
}

#[cfg(test)]
mod tests;
