//! What is said of directories and asked of them, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    directory::{
        ObjectId, Rights, State as Standing,
        follow::Watch,
        plan::{Act, Changed, Collision, Confirmation, Harm, Plan},
    },
    services::{DirectoryCounts, DirectoryStatus, Outcome},
};

/// What is listed of many, at most.
const MOST: usize = 1000;

/// The directories of the configuration, and those of which people are left.
#[derive(Serialize, ToSchema)]
pub(crate) struct DirectoriesBody {
    pub(super) directories: Vec<DirectoryBody>,
}

/// A directory.
#[derive(Serialize, ToSchema)]
pub(crate) struct DirectoryBody {
    /// What it is called in the configuration.
    name: String,
    /// `active-directory`, `edirectory` or `ldap`; absent when the configuration does not name it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// `following`; `starting` until it was read or not for the first time; `failing` when it could not be read (see
    /// `error`); `held` when what it says waits for an administrator (see `held`); `not-configured`.
    #[schema(example = "following")]
    state: String,
    /// Whether it was not read for so long that no certificate rests on it.
    stale: bool,
    /// When it was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    read: Option<Timestamp>,
    /// When everybody in it was last looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    swept: Option<Timestamp>,
    /// Why it could not be read, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Since when it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// Whom the box follows in it, by how they stand.
    people: PeopleBody,
    /// What was last done of it; absent when nothing was since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<LastBody>,
    /// What waits for an administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HeldBody>,
    /// What people share and may not: at most 1000.
    #[schema(value_type = Vec<Object>)]
    collisions: Vec<Collision>,
    /// Who in the directory cannot be taken, and why: at most 1000.
    unusable: Vec<UnusableBody>,
}

/// People, by how they stand in their directory.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct PeopleBody {
    active: usize,
    disabled: usize,
    expired: usize,
    gone: usize,
}

/// How many people something is done of.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountsBody {
    /// Made.
    created: usize,
    /// Called otherwise, in other groups, with another account.
    changed: usize,
    /// Not let in any more: disabled, or expired.
    disabled: usize,
    /// The same, because they are not there any more.
    gone: usize,
    /// Let in again.
    enabled: usize,
    /// Erased.
    erased: usize,
}

impl From<DirectoryCounts> for CountsBody {
    fn from(counts: DirectoryCounts) -> Self {
        let DirectoryCounts { created, changed, disabled, gone, enabled, erased } = counts;
        Self { created, changed, disabled, gone, enabled, erased }
    }
}

/// What was last done.
#[derive(Serialize, ToSchema)]
pub(crate) struct LastBody {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[serde(flatten)]
    counts: CountsBody,
}

/// What waits for an administrator: nothing of what the directory says is done until he confirms it.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeldBody {
    /// What he says as `confirm`: it is of these people, and of no others.
    confirm: String,
    /// People who would not be let in any more: disabled, or expired.
    disabled: usize,
    /// The same, because they are not there any more.
    gone: usize,
    /// People who would be erased.
    erased: usize,
    /// People of the directory whom the box follows.
    of: usize,
    /// Since when; absent where it does not wait yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
}

impl HeldBody {
    pub(super) fn new(confirmation: Confirmation, harm: Harm, since: Option<Timestamp>) -> Self {
        let Harm { disabled, gone, erased, of } = harm;
        Self { confirm: confirmation.0, disabled, gone, erased, of, since }
    }
}

/// Somebody who cannot be taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnusableBody {
    /// Who in the directory, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// Why.
    why: String,
}

pub(super) fn unusable(all: Vec<(Option<ObjectId>, String)>) -> Vec<UnusableBody> {
    let one = |(object, why): (Option<ObjectId>, String)| UnusableBody {
        object: object.map(|id| id.to_string()),
        why,
    };
    all.into_iter().take(MOST).map(one).collect()
}

impl DirectoryBody {
    pub(super) fn new(status: DirectoryStatus, watch: Option<&Watch>) -> Self {
        let mut people = PeopleBody::default();
        for (state, count) in &status.people {
            *match state {
                Standing::Active => &mut people.active,
                Standing::Disabled => &mut people.disabled,
                Standing::Expired => &mut people.expired,
                Standing::Gone => &mut people.gone,
            } = *count;
        }
        let state = if watch.is_none() {
            "not-configured"
        } else if status.error.is_some() {
            "failing"
        } else if status.held.is_some() {
            "held"
        } else if status.read.is_none() {
            "starting"
        } else {
            "following"
        };
        let (error, failing_since) = status.error.unzip();
        Self {
            name: status.name.into(),
            kind: watch.map(|watch| watch.kind.to_owned()),
            state: state.to_owned(),
            stale: status.stale,
            read: status.read,
            swept: status.swept,
            error,
            failing_since,
            people,
            last: status.last.map(|(counts, at)| LastBody { at, counts: counts.into() }),
            held: status.held.map(|held| HeldBody::new(held.confirmation, held.harm, Some(held.since))),
            collisions: status.collisions.into_iter().take(MOST).collect(),
            unusable: unusable(status.unusable),
        }
    }
}

/// What is to be done now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncBody {
    /// Only say what would be done.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Have it done though so many are disabled, gone or erased: what `held` says to confirm.
    #[serde(default)]
    pub(super) confirm: Option<String>,
}

/// What a directory says, and whether it is done.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutcomeBody {
    /// Whether it is done.
    done: bool,
    /// Of how many people.
    #[serde(flatten)]
    counts: CountsBody,
    /// That it is not done, or would not be, before an administrator confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HeldBody>,
    /// Of whom, where it is not done: at most 1000.
    acts: Vec<ActBody>,
    /// How many more.
    left_out: usize,
    /// What people share and may not: at most 1000.
    #[schema(value_type = Vec<Object>)]
    collisions: Vec<Collision>,
    /// Who in the directory cannot be taken, and why: at most 1000.
    unusable: Vec<UnusableBody>,
}

/// What is to be done of one person.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActBody {
    /// `create`, `update` or `erase`.
    act: String,
    /// Who in the directory.
    #[schema(format = "uuid")]
    object: String,
    /// Who here; absent for who is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    subject_id: Option<String>,
    /// What he is called.
    name: String,
    /// What he logs in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    /// How he stands then: `active`, `disabled`, `expired` or `gone`.
    state: String,
    /// What changes of him: `name`, `login`, `upn`, `sid`, `groups`, `privileged`, `withheld`, `disabled`, `expired`, `enabled`,
    /// `gone`, `returned`.
    #[schema(value_type = Vec<String>)]
    changed: Vec<Changed>,
}

impl From<Act> for ActBody {
    fn from(act: Act) -> Self {
        let (word, subject, object, state, person, changed) = match act {
            Act::Create { object, person } => ("create", None, object, Standing::Active, person, Vec::new()),
            Act::Update { subject, link, person, changed } => {
                ("update", Some(subject), link.object, link.state, person, changed.into_iter().collect())
            }
            Act::Erase { subject, link, person } => {
                ("erase", Some(subject), link.object, link.state, person, Vec::new())
            }
        };
        Self {
            act: word.to_owned(),
            object: object.to_string(),
            subject_id: subject.map(|id| id.to_string()),
            name: person.name.into(),
            login: person.account.login,
            state: state.name().to_owned(),
            changed,
        }
    }
}

impl From<Outcome> for OutcomeBody {
    fn from(Outcome { plan, done }: Outcome) -> Self {
        let Plan { mut acts, collisions, unusable: unknown, harm, held } = plan;
        let counts = DirectoryCounts::of(&acts).into();
        // What is done is in the audit.
        let left_out = if done { 0 } else { acts.len().saturating_sub(MOST) };
        acts.truncate(if done { 0 } else { MOST });
        Self {
            held: held.filter(|_| !done).map(|confirmation| HeldBody::new(confirmation, harm, None)),
            done,
            counts,
            acts: acts.into_iter().map(ActBody::from).collect(),
            left_out,
            collisions: collisions.into_iter().take(MOST).collect(),
            unusable: unusable(unknown),
        }
    }
}

/// What the account may do in the directory.
#[derive(Serialize, ToSchema)]
pub(crate) struct RightsBody {
    /// How changes are read: `dirsync`, `dirsync-object-security`, `usn`, `syncrepl` or `sweep`.
    method: String,
    /// Whether deletions are seen at once; else they are with the next daily sweep.
    deletions: bool,
    /// How many people the mapping finds.
    people: usize,
    /// Each right that is missing, and the command that gives it.
    advice: Vec<String>,
}

impl From<Rights> for RightsBody {
    fn from(Rights { method, deletions, people, advice }: Rights) -> Self {
        Self { method, deletions, people, advice }
    }
}

/// The password of the account that a directory is read with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectoryPasswordBody {
    /// It: 1 to 1024 bytes.
    #[schema(format = Password)]
    pub(super) password: String,
}
