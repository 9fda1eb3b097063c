//! Active Directory, and Samba as one.
//!
//! A reading: how far the controller has come (a cookie of DirSync, or its update sequence number), then the groups that
//! matter, then people, whole: everybody, or those that changed. So what changes while it is read comes again with the next.
//! Invariants: a change is told at least once; an entry is given as it is now, never as it was told.

mod changes;
mod groups;
mod person;
mod rights;
mod root;

use std::{collections::BTreeSet, sync::Arc};

use ldap3::Scope;
use serde::{Deserialize, Serialize};

use self::{
    changes::{Changed, Followed},
    groups::Groups,
    person::Names,
    root::{Controller, Root},
};
use super::{
    Cursor, DirectoryError, Entry, Method, ObjectId, Reading, Rights, Settings, filter,
    gather::gathered,
    pending::Pending,
    person::Taken,
    roles::{self, Roles},
    servers,
    source::Reads,
    wire::{Connection, Found, Question},
};
use crate::clock::Clock;

/// From so many changes on everybody is read: pages are cheaper than as many filters.
const MANY: usize = 5_000;
const READ: &str = "read people below `base`";

/// A domain that is followed.
pub(super) struct ActiveDirectory {
    settings: Settings,
    clock: Arc<dyn Clock>,
    names: Names,
    roles: Roles,
    /// `filter` of the settings, checked.
    filter: String,
    /// Number of the mapping, which the cursor has.
    mapping: String,
    /// Which controller answered last.
    last: Option<String>,
    /// The groups as the last reading had them.
    groups: Option<Groups>,
}

/// What a cursor holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Position {
    mapping: String,
    followed: Followed,
    controller: Controller,
    /// The groups' digest.
    groups: String,
    pending: Pending,
}

/// A connection, and what its server said of itself.
struct Session {
    connection: Connection,
    root: Root,
    /// Where people are looked for.
    base: String,
}

impl ActiveDirectory {
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, DirectoryError> {
        if matches!(settings.method, Method::Syncrepl | Method::Sweep) {
            let why = "Active Directory is followed by `dirsync` or `usn`";
            return Err(DirectoryError::Configuration(why.into()));
        }
        let filter = filter::checked(settings.filter.as_deref())?;
        if filter::attributes(&filter).iter().any(|name| name.eq_ignore_ascii_case("memberOf")) {
            let why =
                "`filter` looks at memberOf, of whose changes no controller tells: `required-group` instead";
            return Err(DirectoryError::Configuration(why.into()));
        }
        Ok(Self {
            names: Names::new(&settings),
            roles: Roles::new(&settings),
            filter,
            mapping: roles::mapping(&settings),
            last: None,
            groups: None,
            settings,
            clock,
        })
    }

    async fn session(&mut self) -> Result<Session, DirectoryError> {
        let mut connection = servers::connect(&self.settings, &mut self.last).await?;
        let root = Root::read(&mut connection).await?;
        let base = self.settings.base.clone().unwrap_or_else(|| root.domain.clone());
        Ok(Session { connection, root, base })
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().millis() / 1000).unwrap_or(i64::MAX)
    }

    /// What changed, by the best way there is.
    async fn changed(
        &self,
        session: &mut Session,
        since: Option<&Position>,
    ) -> Result<(Changed, Followed), DirectoryError> {
        let Session { connection, root, .. } = session;
        let by_usn = match (self.settings.method, root.dirsync) {
            (Method::Usn, _) => true,
            (Method::Dirsync, false) => {
                return Err(DirectoryError::Configuration(
                    "the server knows no DirSync: `method = \"usn\"`".into(),
                ));
            }
            (_, dirsync) => !dirsync,
        };
        if by_usn {
            let since = since.filter(|position| position.followed == Followed::Usn);
            return changes::by_usn(connection, root, since.map(|position| &position.controller)).await;
        }
        // A cookie of a controller that went back would tell of nothing until the controller had caught up.
        let cookie = since.and_then(|position| match &position.followed {
            Followed::Dirsync { all, cookie }
                if *all == self.settings.replication_right
                    && (root.controller.database != position.controller.database
                        || root.controller.goes_on_from(&position.controller)) =>
            {
                Some(cookie.as_str())
            }
            _ => None,
        });
        changes::by_dirsync(connection, root, &self.settings, cookie).await
    }

    /// The groups as they are now, read again if one of them changed; then who is in others than before has changed, too.
    async fn regrouped(
        &self,
        session: &mut Session,
        since: Option<&Position>,
        changed: &mut Option<BTreeSet<ObjectId>>,
    ) -> Result<Groups, DirectoryError> {
        if let (Some(groups), Some(objects), Some(since)) = (&self.groups, &*changed, since)
            && groups.made_of.is_disjoint(objects)
            && groups.digest() == since.groups
        {
            return Ok(groups.clone());
        }
        let groups = self.read_groups(session).await?;
        if let (Some(objects), Some(since)) = (&mut *changed, since)
            && groups.digest() != since.groups
        {
            let before = self.groups.as_ref().filter(|before| before.digest() == since.groups);
            match before.map(|before| before.differing(&groups)) {
                Some((differing, primary)) => {
                    objects.extend(differing);
                    objects.extend(self.of_primary(session, &primary).await?);
                }
                None => *changed = None,
            }
        }
        Ok(groups)
    }

    /// Who has one of these as primary group, by its number.
    async fn of_primary(
        &self,
        session: &mut Session,
        numbers: &BTreeSet<u32>,
    ) -> Result<Vec<ObjectId>, DirectoryError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let filter = filter::all(&[person::PEOPLE, &filter::any_of("primaryGroupID", &numbers)]);
        let question = Question {
            base: &session.base,
            scope: Scope::Subtree,
            filter: &filter,
            attributes: &["objectGUID"],
            controls: Vec::new(),
            doing: READ,
        };
        Ok(session.connection.all(&question).await?.found.iter().filter_map(person::id).collect())
    }

    async fn read_groups(&self, session: &mut Session) -> Result<Groups, DirectoryError> {
        groups::read(&mut session.connection, &session.root, &self.roles, self.settings.nested).await
    }

    fn taken(&self, found: &Found, groups: &Groups, now: i64) -> Taken {
        let is_in = |group: &str, id, primary| groups.contains(group, id, primary);
        person::person(found, &self.names, &self.roles, is_in, now)
    }

    async fn everyone(
        &self,
        session: &mut Session,
        attributes: &[&str],
    ) -> Result<Vec<Found>, DirectoryError> {
        let filter = filter::all(&[person::PEOPLE, &self.filter]);
        let question = Question {
            base: &session.base,
            scope: Scope::Subtree,
            filter: &filter,
            attributes,
            controls: Vec::new(),
            doing: READ,
        };
        // References lead to other domains and to DNS, which are not followed.
        Ok(session.connection.all(&question).await?.found)
    }

    /// Those of these objects that are people and wanted.
    async fn these(
        &self,
        session: &mut Session,
        objects: &BTreeSet<ObjectId>,
    ) -> Result<Vec<Found>, DirectoryError> {
        let escaped: Vec<String> =
            objects.iter().map(|id| filter::octets(&id.to_active_directory())).collect();
        let mut found = Vec::new();
        for some in escaped.chunks(filter::AT_ONCE) {
            let filter = filter::all(&[person::PEOPLE, &self.filter, &filter::any_of("objectGUID", some)]);
            let question = Question {
                base: &session.base,
                scope: Scope::Subtree,
                filter: &filter,
                attributes: &self.names.of_few(),
                controls: Vec::new(),
                doing: READ,
            };
            found.extend(session.connection.all(&question).await?.found);
        }
        Ok(found)
    }
}

impl Reads for ActiveDirectory {
    async fn reading(&mut self, since: Option<&Cursor>) -> Result<Reading, DirectoryError> {
        let since = since.and_then(|cursor| serde_json::from_value::<Position>(cursor.0.clone()).ok());
        let since = since.filter(|position| position.mapping == self.mapping);
        let mut session = self.session().await?;
        let (changed, followed) = self.changed(&mut session, since.as_ref()).await?;
        let now = self.now();
        let mut pending = since.as_ref().map(|position| position.pending.clone()).unwrap_or_default();
        let mut changed = match changed {
            Changed::These(objects) => {
                Some(objects.into_iter().chain(pending.due(now)).collect::<BTreeSet<_>>())
            }
            Changed::Unknown => None,
        };
        let groups = self.regrouped(&mut session, since.as_ref(), &mut changed).await?;
        let changed = changed.filter(|objects| objects.len() <= MANY);
        let found = match &changed {
            Some(objects) => self.these(&mut session, objects).await?,
            None => self.everyone(&mut session, &self.names.all()).await?,
        };
        let taken = found.iter().map(|found| self.taken(found, &groups, now));
        let mut reading = gathered(changed, taken, &mut pending, now);
        let position = Position {
            mapping: self.mapping.clone(),
            followed,
            controller: session.root.controller,
            groups: groups.digest(),
            pending,
        };
        let cursor = serde_json::to_value(position);
        reading.cursor = Cursor(cursor.map_err(|why| DirectoryError::Protocol(why.to_string()))?);
        self.groups = Some(groups);
        Ok(reading)
    }

    async fn identifiers(&mut self) -> Result<BTreeSet<ObjectId>, DirectoryError> {
        let mut session = self.session().await?;
        let groups = self.read_groups(&mut session).await?;
        // A group that was deleted unseen: the next reading is of everybody.
        self.groups.take_if(|before| *before != groups);
        let found = self.everyone(&mut session, &["objectGUID", "primaryGroupID"]).await?;
        let mut identifiers = BTreeSet::new();
        for found in &found {
            let malformed =
                || DirectoryError::Protocol("somebody's objectGUID is missing or malformed".into());
            let id = person::id(found).ok_or_else(malformed)?;
            let primary = found.number("primaryGroupID").and_then(|number| u32::try_from(number).ok());
            if self.roles.judge(|group| groups.contains(group, id, primary)).wanted {
                identifiers.insert(id);
            }
        }
        Ok(identifiers)
    }

    async fn one(&mut self, id: ObjectId) -> Result<Option<Entry>, DirectoryError> {
        let mut session = self.session().await?;
        let found = self.these(&mut session, &BTreeSet::from([id])).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let groups = self.read_groups(&mut session).await?;
        self.taken(found, &groups, self.now()).wanted()
    }

    async fn rights(&mut self) -> Result<Rights, DirectoryError> {
        self.tried().await
    }
}
