//! What is done at the box and changes nothing that is stored: a record of it all the same.
//!
//! Invariant: what is given out, and what is ordered, is a record before it is answered.

use authenteon_hal::discovery::ReaderId;

use super::{Inner, Services, this_box};
use crate::{audit::Event, request::Caller, store::StoreError, subject::SubjectId};

impl Services {
    /// The bundle of an update came in.
    ///
    /// # Errors
    /// [`StoreError`], as for all of these: then it is not to be done.
    pub fn update_received(&self, by: &Caller, bytes: u64) -> Result<(), StoreError> {
        self.inner.act(by, &Event::UpdateReceived { bytes })
    }

    /// The box is to restart into the update that waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_trial_ordered(&self, by: &Caller, version: Option<String>) -> Result<(), StoreError> {
        self.inner.act(by, &Event::UpdateTrialOrdered { version })
    }

    /// The update that waits is to be given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_discard_ordered(&self, by: &Caller, version: Option<String>) -> Result<(), StoreError> {
        self.inner.act(by, &Event::UpdateDiscardOrdered { version })
    }

    /// A support bundle is given out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn support_bundle_made(&self, by: &Caller) -> Result<(), StoreError> {
        self.inner.act(by, &Event::SupportBundleMade)
    }

    /// A reader was tested.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sensor_tested(&self, by: &Caller, sensor: &ReaderId, passed: bool) -> Result<(), StoreError> {
        self.inner.act(by, &Event::SensorTested { sensor: sensor.clone(), passed })
    }

    /// A finger's picture is given out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn finger_captured(&self, by: &Caller, sensor: &ReaderId) -> Result<(), StoreError> {
        self.inner.act(by, &Event::FingerCaptured { sensor: sensor.clone() })
    }

    /// Somebody was asked for by RADIUS, and was not accepted because no finger was waited for to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn push_unanswered(
        &self,
        by: &Caller,
        claimed: SubjectId,
        sensor: &ReaderId,
        why: &str,
    ) -> Result<(), StoreError> {
        let (sensor, why) = (sensor.clone(), why.to_owned());
        self.inner.act(by, &Event::PushUnanswered { claimed, sensor, why })
    }

    /// The configuration was read again: which keys wait for a start, or nothing when it cannot be used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn configuration_read(&self, waiting: Option<Vec<String>>) -> Result<(), StoreError> {
        let event =
            waiting.map_or(Event::ConfigurationRefused, |waiting| Event::ConfigurationReloaded { waiting });
        self.inner.act(&this_box(), &event)
    }
}

impl Inner {
    /// Keeps it. The version before could not read its own audit with it, so it is not while an update is on trial.
    pub(super) fn act(&self, by: &Caller, event: &Event) -> Result<(), StoreError> {
        if self.store.is_earlier() {
            tracing::info!(
                "an act that the version before has no record of is not in the audit: an update is on trial"
            );
            return Ok(());
        }
        Inner::commit(self, by, &[], event)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::SystemClock,
        policy::Policy,
        request::{ClientId, Role},
        services::Wanted,
        store::MemoryStore,
    };

    #[test]
    fn every_act_that_changes_nothing_is_a_record_of_who_did_it() {
        let store = Arc::new(MemoryStore::new());
        let services = Services::open(store, Policy::default(), Arc::new(SystemClock)).unwrap();
        let (id, role) = (ClientId::of_certificate(&[1; 32]), Role::Administrator);
        let boss = Caller::new(id, role, "boss".into());
        let sensor: ReaderId = "serial-ttyS1".parse().unwrap();
        services.update_received(&boss, 7).unwrap();
        services.update_trial_ordered(&boss, Some("1.2.3".to_owned())).unwrap();
        services.update_discard_ordered(&boss, None).unwrap();
        services.support_bundle_made(&boss).unwrap();
        services.sensor_tested(&boss, &sensor, false).unwrap();
        services.finger_captured(&boss, &sensor).unwrap();
        services.push_unanswered(&boss, SubjectId::from_bytes([7; 16]), &sensor, "nobody came").unwrap();
        services.configuration_read(Some(vec!["server.listen".to_owned()])).unwrap();
        services.configuration_read(None).unwrap();
        let page = services.audit(&Wanted { after: 1, limit: 20, ..Wanted::default() }).unwrap();
        let kinds = page.records.iter().map(|record| record["what"]["event"].as_str().unwrap());
        let expected = [
            "update-received",
            "update-trial-ordered",
            "update-discard-ordered",
            "support-bundle-made",
            "sensor-tested",
            "finger-captured",
            "push-unanswered",
            "configuration-reloaded",
            "configuration-refused",
        ];
        assert_eq!(kinds.collect::<Vec<_>>(), expected);
        let by: Vec<_> = page.records.iter().map(|record| record["by"]["name"].as_str().unwrap()).collect();
        assert!(by[..7].iter().all(|by| *by == "boss") && by[7..] == ["this box", "this box"], "{by:?}");
        assert_eq!(page.records[4]["what"]["sensor"], "serial-ttyS1");
    }
}
