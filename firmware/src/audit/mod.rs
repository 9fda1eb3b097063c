//! The audit: what was decided and changed, by whom and why, each record chained to the one before by
//! its hash. Written in the same batch as the change it tells of; append-only.
//!
//! Invariant: no biometrics and no secrets; subjects by random id only.

mod basis;
mod chain;
mod severity;
mod sign;

use std::net::IpAddr;

use authenteon_hal::discovery::ReaderId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    directory::{
        SourceName,
        plan::{Changed, Harm},
    },
    policy::{Restriction, Rules, Scope},
    reader::{Reader, Standing},
    request::{Caller, ClientId, Role},
    store::AtRest,
    subject::{FingerPosition, SubjectId},
};

pub use self::{
    basis::Basis,
    chain::{ChainError, Head, verify, walk},
    severity::{Severity, severity},
    sign::{DeviceKey, Purpose, Signed},
};
pub(crate) use self::{
    chain::{hash, kept_in, last_moment},
    sign::{Kept, place},
};

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    SubjectCreated {
        subject: SubjectId,
    },
    SubjectDeleted {
        subject: SubjectId,
    },
    FingerEnrolled {
        subject: SubjectId,
        position: FingerPosition,
        impressions: usize,
        quality: u8,
    },
    FingerRemoved {
        subject: SubjectId,
        position: FingerPosition,
    },
    /// An enrolment refused because the finger is somebody else's already.
    DuplicateFinger {
        subject: SubjectId,
        other: SubjectId,
        score: f64,
    },
    Verified {
        request: String,
        claimed: SubjectId,
        decision: String,
        why: String,
        score: Option<f64>,
        needed: Option<f64>,
        /// It was a finger for duress: somebody forces this person. Nobody at the station learns it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duress: bool,
        /// Absent in records of before there was any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        basis: Option<Basis>,
        /// For whom an assertion of the accept was handed over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assertion: Option<String>,
    },
    Identified {
        request: String,
        /// Whose finger was found, also when the decision is no accept: a PIN was wrong, say.
        subject: Option<SubjectId>,
        decision: String,
        why: String,
        score: Option<f64>,
        needed: Option<f64>,
        impressions: usize,
        /// Different fingers that were presented; absent: one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingers: Option<usize>,
        /// As in a verification.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duress: bool,
        /// The same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        basis: Option<Basis>,
        /// The same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assertion: Option<String>,
    },
    /// What a station may have beside decisions, from now on.
    StationGranted {
        station: String,
        audiences: Vec<String>,
        may_issue: bool,
    },
    /// Another key signs assertions from now on.
    AssertionKeyMade {
        kid: String,
    },
    /// There is an authority for people's certificates.
    UserAuthorityMade {
        sha256: String,
    },
    /// A certificate of somebody for that key was made, after the accept of that request.
    UserCertified {
        subject: SubjectId,
        request: String,
        serial: String,
        key: String,
        expires: Timestamp,
    },
    /// The passphrase was given, after so many wrong ones since the start.
    Unlocked {
        wrong: u32,
    },
    /// What is stored has another master key.
    MasterKeyChanged {
        mode: AtRest,
    },
    /// A repair of the store gave up that this one was erased, or a finger of it: its key is gone, and it is erased.
    SubjectLost {
        subject: SubjectId,
    },
    /// Decisions follow these rules from now on.
    PolicyInForce {
        rules: Rules,
    },
    /// Somebody got a certificate.
    ClientAdded {
        client: ClientId,
        role: Role,
        name: String,
    },
    /// A client is called otherwise; its certificate stays.
    ClientRenamed {
        client: ClientId,
        role: Role,
        name: String,
        to: String,
    },
    /// Somebody may come in with a code, once.
    InvitationMade {
        invitation: String,
        role: Role,
        name: String,
        expires: Timestamp,
    },
    /// The code is worth nothing any more, and nobody came with it, or whoever did stays.
    InvitationWithdrawn {
        invitation: String,
        name: String,
    },
    /// Somebody may sign in with a password and a code, once he has set them up.
    AccountAdded {
        account: String,
        role: Role,
    },
    /// Its holder chose a password, and was told the secret of his codes.
    AccountSetUp {
        account: String,
    },
    /// Password and codes are taken away; its sessions ended.
    AccountReset {
        account: String,
    },
    /// An account is gone, with its sessions.
    AccountRemoved {
        account: String,
        role: Role,
    },
    /// Password and code were right.
    SignedIn {
        account: String,
    },
    /// They were not, so many times since they were.
    SignInRefused {
        account: String,
        wrong: u32,
    },
    /// A program may do what this role may, within its scopes.
    TokenMade {
        name: String,
        role: Role,
        scopes: Vec<String>,
        expires: Timestamp,
    },
    /// It may not any more.
    TokenRevoked {
        name: String,
    },
    /// A certificate is revoked.
    ClientRemoved {
        client: ClientId,
        role: Role,
        name: String,
    },
    /// A backup was begun, which is to be destroyed at that moment.
    BackupTaken {
        expires: Timestamp,
    },
    /// A backup of a store is being restored into this one.
    RestoreBegun {
        store: Uuid,
        taken: Timestamp,
        /// Nobody said who was erased since.
        without_erasures: bool,
        /// It should have been destroyed by then.
        expired: bool,
    },
    /// It is; this store's audit goes on, the other's is kept apart.
    BackupRestored {
        store: Uuid,
        taken: Timestamp,
        people: u64,
        fingers: u64,
        erasures: u64,
    },
    /// It is not: what was there of it was cleared away.
    RestoreUndone {
        store: Uuid,
    },
    /// Every stored value was read; so many had another copy in the index, which was made anew then.
    StoreVerified {
        values: u64,
        differences: u64,
    },
    /// A task of upkeep found damage there.
    StoreDamaged {
        place: String,
    },
    /// The journal was made as short as it can be.
    StoreCompacted,
    /// What is stored has other keys.
    KeysRotated,
    /// Records of the audit were given out as a file; without bounds, all that are kept.
    AuditExported {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// All that is kept about a person was given out; with the templates, or without.
    SubjectExported {
        subject: SubjectId,
        templates: bool,
    },
    /// Records up to this one were deleted: their time was over.
    AuditCut {
        through: u64,
        /// Of the audit of this other store, whose backup was restored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store: Option<Uuid>,
    },
    /// A reader is there that is not used.
    ReaderFound {
        reader: Reader,
        standing: Standing,
    },
    /// A reader is used from now on, and what was at its port no longer.
    ReaderAdopted {
        reader: Reader,
        instead_of: Vec<ReaderId>,
    },
    /// A reader is used no longer.
    ReaderReleased {
        reader: Reader,
    },
    /// A reader that was suspended is used again.
    ReaderResumed {
        reader: Reader,
    },
    /// The case was opened, and these readers are not used until somebody resumes them.
    CaseOpened {
        suspended: Vec<ReaderId>,
    },
    /// The case was closed.
    CaseClosed,
    /// A subject has another name, or these groups.
    SubjectChanged {
        subject: SubjectId,
        renamed: bool,
        groups: Option<Vec<String>>,
    },
    /// A group, a station or an operation is restricted, and by nothing else any more.
    Restricted {
        whom: String,
        restriction: Restriction,
    },
    /// It is not any more.
    Unrestricted {
        whom: String,
    },
    /// A subject has a PIN, another one than before.
    PinSet {
        subject: SubjectId,
    },
    PinRemoved {
        subject: SubjectId,
    },
    /// A finger is the one for duress, or is not any more.
    DuressMarked {
        subject: SubjectId,
        position: FingerPosition,
        duress: bool,
    },
    /// An officer gave a code that is good once in the place of a finger.
    RecoveryCodeIssued {
        subject: SubjectId,
        expires: Timestamp,
    },
    RecoveryCodeRevoked {
        subject: SubjectId,
    },
    /// The bundle of an update came in, so many bytes, and is being installed beside what runs.
    UpdateReceived {
        bytes: u64,
    },
    /// The box was told to restart into the update that waits, on trial.
    UpdateTrialOrdered {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// The update that waits was to be given up.
    UpdateDiscardOrdered {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// What the box knows of its own running was given out, for whoever helps.
    SupportBundleMade,
    /// The configuration was read again; what these keys say is used after the next start.
    ConfigurationReloaded {
        waiting: Vec<String>,
    },
    /// It was read again and cannot be used; why is in the log.
    ConfigurationRefused,
    /// A reader was tested.
    SensorTested {
        sensor: ReaderId,
        passed: bool,
    },
    /// A finger's picture was taken at a reader and given out. Whose it was, nobody asked.
    FingerCaptured {
        sensor: ReaderId,
    },
    /// An accept gave its person a one-time code; it was that request's.
    OneTimeCodeGiven {
        subject: SubjectId,
        request: String,
    },
    /// Somebody was asked for by RADIUS, and no finger was waited for to its end.
    PushUnanswered {
        claimed: SubjectId,
        sensor: ReaderId,
        why: String,
    },
    /// Somebody is in a directory, and is known here from now on.
    SubjectFollowed {
        subject: SubjectId,
        source: SourceName,
    },
    /// The directory says something else of somebody: what of him has changed; his groups, if they have.
    FollowedChanged {
        subject: SubjectId,
        source: SourceName,
        changed: Vec<Changed>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        groups: Option<Vec<String>>,
    },
    /// What was read of a directory was done: of so many people.
    DirectoryFollowed {
        source: SourceName,
        created: usize,
        changed: usize,
        disabled: usize,
        gone: usize,
        enabled: usize,
        erased: usize,
    },
    /// What was read would disable or erase so many that nothing of it is done before an administrator confirms it.
    DirectoryHeld {
        source: SourceName,
        harm: Harm,
    },
    /// He does.
    DirectoryConfirmed {
        source: SourceName,
        harm: Harm,
    },
    /// The account that a directory is read with has another password.
    DirectoryPasswordSet {
        source: SourceName,
    },
    /// Somebody's failures were taken away, and with them what was still to be waited.
    LockoutCleared {
        scope: Scope,
        id: String,
    },
}

impl Event {
    /// The same decision, with what it rested on; what is no decision stays as it is.
    #[must_use]
    pub fn resting_on(mut self, on: Basis) -> Self {
        if let Self::Verified { basis, .. } | Self::Identified { basis, .. } = &mut self {
            *basis = Some(on);
        }
        self
    }

    /// The same without what the version before could not read.
    #[must_use]
    pub fn for_the_version_before(mut self) -> Self {
        if let Self::Identified { fingers, .. } = &mut self {
            *fingers = None;
        }
        if let Self::Verified { assertion, .. } | Self::Identified { assertion, .. } = &mut self {
            *assertion = None;
        }
        self
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The certificate.
    pub client: ClientId,
    /// Its role then.
    pub role: Role,
    /// Its name then.
    pub name: String,
    /// Where its connection came from. Absent in records of before, and where the box did something by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { client: caller.id.clone(), role: caller.role, name: caller.name.clone(), from: caller.from }
    }
}

/// One record of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Numbered from one, without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of the record before, in hex; zeros before the first.
    pub previous: String,
    /// Who.
    pub by: Actor,
    /// What.
    pub what: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_says_what_it_rested_on_and_one_of_before_that_is_still_read() {
        let before = serde_json::json!({
            "event": "verified", "request": "r", "claimed": "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11",
            "decision": "accept", "why": "match", "score": 50.5, "needed": 40.0,
        });
        let event: Event = serde_json::from_value(before.clone()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), before);
        let on = Basis::new(&crate::policy::Policy::default(), Some("serial-ttyS1".to_owned()));
        let after = serde_json::to_value(event.resting_on(on)).unwrap();
        assert_eq!(
            (&after["basis"]["sensor"], &after["decision"]),
            (&"serial-ttyS1".into(), &before["decision"])
        );
        assert!(after["basis"]["template"].as_u64().is_some_and(|version| version >= 2), "{after}");
    }

    #[test]
    fn an_identification_of_before_two_fingers_is_still_read_and_the_version_before_reads_one_of_now() {
        let before = serde_json::json!({
            "event": "identified", "request": "r", "subject": null, "decision": "refuse",
            "why": "nobody matches", "score": 12.5, "needed": 40.0, "impressions": 6,
        });
        let event: Event = serde_json::from_value(before.clone()).unwrap();
        assert!(matches!(event, Event::Identified { fingers: None, .. }), "{event:?}");
        let mut now = before.clone();
        now["fingers"] = 2.into();
        let now: Event = serde_json::from_value(now).unwrap();
        assert_eq!(serde_json::to_value(&now).unwrap()["fingers"], 2);
        assert_eq!(serde_json::to_value(now.for_the_version_before()).unwrap(), before);
    }
}
