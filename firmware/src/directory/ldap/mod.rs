//! LDAP directories: eDirectory, OpenLDAP and others.
//!
//! Changes are found by content synchronisation (RFC 4533) where the server has it, which eDirectory has not, else by the mark
//! that every object has ([`marks`]). A reading goes as with Active Directory: how far the server has come, the groups that
//! matter, people.
//! Invariants: a change is told at least once; an entry is given as it is now. What is remembered between two readings is used
//! only with the cursor that it belongs to: a cursor that was never kept is as if its reading had not been.

mod groups;
mod marks;
mod person;
mod rights;
mod syncrepl;

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ldap3::Scope;
use serde::{Deserialize, Serialize};

use self::{groups::Groups, marks::Marks, person::Names, syncrepl::Refreshed};
use super::{
    Cursor, DirectoryError, Entry, Kind, Method, ObjectId, Reading, Rights, Settings,
    filter::{self, same_dn},
    gather::gathered,
    pending::Pending,
    person::Taken,
    roles::{self, Roles},
    servers,
    source::Reads,
    wire::{Answer, Connection, Found, Question, refusal},
};
use crate::clock::Clock;

/// From so many changes on everybody is read.
const MANY: usize = 5_000;
/// People who are looked up where they lie, as their groups changed; more are read with everybody.
const PLACES: usize = 500;
const READ: &str = "read people below `base`";

/// A directory that is followed.
pub(super) struct Ldap {
    settings: Settings,
    clock: Arc<dyn Clock>,
    base: String,
    names: Names,
    roles: Roles,
    /// People of the settings' filter.
    people: String,
    mapping: String,
    last: Option<String>,
    memory: Memory,
}

/// What the last reading knew.
#[derive(Debug, Default)]
struct Memory {
    people: Marks<Key>,
    group_marks: Marks<String>,
    groups: Groups,
    /// Who was there.
    known: BTreeSet<ObjectId>,
    /// How many did not say who they are.
    nameless: usize,
    /// The reading that all this is of.
    followed: Option<Followed>,
}

/// An identifier as octets.
type Key = [u8; 16];

/// What a cursor holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Position {
    mapping: String,
    followed: Followed,
    groups: String,
    pending: Pending,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "by")]
enum Followed {
    /// A cookie in Base64.
    Syncrepl { cookie: String },
    /// The digest of the marks.
    Sweep { marks: String },
}

/// A connection, and what its server said of itself.
struct Session {
    connection: Connection,
    contexts: Vec<String>,
    syncrepl: bool,
}

/// What has changed.
struct Changes {
    /// Not known: everything may have.
    objects: Option<BTreeSet<ObjectId>>,
    followed: Followed,
    people: Marks<Key>,
    known: BTreeSet<ObjectId>,
    nameless: usize,
}

impl Ldap {
    pub(super) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, DirectoryError> {
        let bad = |why: &str| Err(DirectoryError::Configuration(why.into()));
        match (settings.kind, settings.method) {
            (_, Method::Dirsync | Method::Usn) => return bad("DirSync and USN are Active Directory's"),
            (Kind::Edirectory, Method::Syncrepl) => {
                return bad("eDirectory has no `syncrepl`: `method = \"sweep\"`");
            }
            _ => {}
        }
        let Some(base) = settings.base.clone() else { return bad("an LDAP directory needs `base`") };
        let filter = filter::checked(settings.filter.as_deref())?;
        Ok(Self {
            names: Names::new(&settings),
            roles: Roles::new(&settings),
            people: filter::all(&[person::PEOPLE, &filter]),
            mapping: roles::mapping(&settings),
            last: None,
            memory: Memory::default(),
            base,
            settings,
            clock,
        })
    }

    async fn session(&mut self) -> Result<Session, DirectoryError> {
        let mut connection = servers::connect(&self.settings, &mut self.last).await?;
        let question = Question {
            base: "",
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &["namingContexts", "supportedControl"],
            controls: Vec::new(),
            doing: "read what the server says of itself",
        };
        let unreadable = || DirectoryError::Right("read the root DSE, which says what the server can".into());
        let root = connection.entry(&question).await?.ok_or_else(unreadable)?;
        let syncrepl =
            root.all("supportedControl").iter().any(|control| control == syncrepl::REQUEST.as_bytes());
        let texts = root.all("namingContexts").iter().filter_map(|value| std::str::from_utf8(value).ok());
        Ok(Session { contexts: texts.map(str::to_owned).collect(), syncrepl, connection })
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().millis() / 1000).unwrap_or(i64::MAX)
    }

    async fn changes(
        &self,
        session: &mut Session,
        since: Option<&Position>,
    ) -> Result<Changes, DirectoryError> {
        let synchronise = match (self.settings.kind, self.settings.method) {
            (Kind::Ldap, Method::Syncrepl) if !session.syncrepl => {
                let why = "the server has no RFC 4533 (`syncprov`): `method = \"sweep\"`";
                return Err(DirectoryError::Configuration(why.into()));
            }
            (Kind::Ldap, Method::Syncrepl) => true,
            (Kind::Ldap, Method::Auto) => session.syncrepl,
            _ => false,
        };
        if synchronise {
            match self.by_syncrepl(session, since).await {
                // It cannot be had in pages; what the account may read in pages is enough for a sweep.
                Err(DirectoryError::Partial(_) | DirectoryError::Right(_))
                    if self.settings.method == Method::Auto => {}
                other => return other,
            }
        }
        self.by_marks(session, since).await
    }

    async fn by_syncrepl(
        &self,
        session: &mut Session,
        since: Option<&Position>,
    ) -> Result<Changes, DirectoryError> {
        let connection = &mut session.connection;
        let cookie = since.and_then(|position| match &position.followed {
            Followed::Syncrepl { cookie } => STANDARD.decode(cookie).ok(),
            Followed::Sweep { .. } => None,
        });
        let mut refreshed =
            syncrepl::refresh(connection, &self.base, &self.people, cookie.as_deref()).await?;
        let known_cookie = cookie.is_some() && matches!(refreshed, Refreshed::Since(_));
        if matches!(refreshed, Refreshed::Unknown) {
            refreshed = syncrepl::refresh(connection, &self.base, &self.people, None).await?;
        }
        let Refreshed::Since(refresh) = refreshed else {
            return Err(DirectoryError::Protocol(
                "it wants a new synchronisation, and wants it again".into(),
            ));
        };
        let mut known = self.memory.known.clone();
        let mut objects = known_cookie.then(|| &refresh.changed | &refresh.deleted);
        if let (Some(objects), Some(present)) = (&mut objects, &refresh.present) {
            objects.extend(known.iter().filter(|id| !present.contains(id)));
        }
        // Without a memory of who was there, or with that of another reading, who is not there any more cannot be told.
        let remembered = since.is_some_and(|since| self.memory.followed.as_ref() == Some(&since.followed));
        if refresh.present.is_some() && !remembered {
            objects = None;
        }
        match &objects {
            Some(objects) => known.retain(|id| !objects.contains(id)),
            None => known.clear(),
        }
        let followed = Followed::Syncrepl { cookie: STANDARD.encode(refresh.cookie) };
        Ok(Changes { objects, followed, people: Marks::default(), known, nameless: 0 })
    }

    async fn by_marks(
        &self,
        session: &mut Session,
        since: Option<&Position>,
    ) -> Result<Changes, DirectoryError> {
        let at = self.clock.running();
        let attributes = [self.names.id(), marks::ATTRIBUTES[0], marks::ATTRIBUTES[1]];
        let (mut read, mut nameless) = (Vec::new(), 0);
        for found in self.everyone(session, &attributes).await? {
            let Some(id) = self.names.identify(&found) else {
                nameless += 1;
                continue;
            };
            let unreadable =
                || DirectoryError::Right("read modifyTimestamp of people, by which changes are found".into());
            read.push((id.to_octets(), marks::of(&found).ok_or_else(unreadable)?));
        }
        let mut people = Marks::read(read, at);
        let followed = Followed::Sweep { marks: people.digest() };
        let before = &self.memory.people;
        let remembered = since.is_some_and(|since| self.memory.followed.as_ref() == Some(&since.followed));
        // Whoever does not say any more who he is would seem to be gone: everybody is read, which finds that.
        let objects = (remembered && nameless <= self.memory.nameless).then(|| {
            let difference = people.since(before);
            let keys = difference.changed.into_iter().chain(difference.gone);
            keys.filter_map(|key| ObjectId::of_octets(&key).ok()).collect()
        });
        let known = people.keys().filter_map(|key| ObjectId::of_octets(key).ok()).collect();
        Ok(Changes { objects, followed, people, known, nameless })
    }

    /// The groups as they are now, their marks, and where those lie whose groups changed.
    async fn regrouped(
        &self,
        session: &mut Session,
        since: Option<&Position>,
        changes: &mut Changes,
    ) -> Result<(Groups, Marks<String>, BTreeSet<String>), DirectoryError> {
        if self.roles.is_empty() {
            return Ok((Groups::default(), Marks::default(), BTreeSet::new()));
        }
        let memory = &self.memory;
        let mut marks = self.group_marks(session).await?;
        let difference = marks.since(&memory.group_marks);
        let same = difference.changed.is_empty() && difference.gone.is_empty();
        let remembered = since.is_some_and(|since| since.groups == memory.groups.digest());
        if same && remembered && changes.objects.is_some() {
            return Ok((memory.groups.clone(), marks, BTreeSet::new()));
        }
        let groups = self.read_groups(session, &marks).await?;
        let mut places = BTreeSet::new();
        if since.is_none_or(|since| since.groups != groups.digest()) {
            match memory.groups.differing(&groups).filter(|_| remembered) {
                Some(differing) => places = differing,
                None => changes.objects = None,
            }
        }
        Ok((groups, marks, places))
    }

    /// The marks of all groups of the contexts in which those that matter lie.
    async fn group_marks(&self, session: &mut Session) -> Result<Marks<String>, DirectoryError> {
        let at = self.clock.running();
        let lie_in = |context: &&String| {
            let end = same_dn(context);
            self.roles
                .groups()
                .any(|(key, _)| key == end || key.ends_with(&format!(",{end}")) || end.is_empty())
        };
        let contexts: Vec<String> = session.contexts.iter().filter(lie_in).cloned().collect();
        let mut read = Vec::new();
        for context in &contexts {
            let question = Question {
                base: context,
                scope: Scope::Subtree,
                filter: groups::GROUPS,
                attributes: &marks::ATTRIBUTES,
                controls: Vec::new(),
                doing: "read the groups of the directory",
            };
            let found = whole(session.connection.all(&question).await?)?;
            read.extend(found.iter().map(|found| (same_dn(&found.dn), marks::of(found).unwrap_or_default())));
        }
        Ok(Marks::read(read, at))
    }

    fn taken(&self, found: &Found, groups: &Groups, now: i64) -> Taken {
        let (dn, says) = (same_dn(&found.dn), person::says_it_is_in(found));
        person::person(found, &self.names, &self.roles, |group| groups.contains(group, &dn, &says), now)
    }

    async fn everyone(
        &self,
        session: &mut Session,
        attributes: &[&str],
    ) -> Result<Vec<Found>, DirectoryError> {
        self.search(session, &self.base, Scope::Subtree, &self.people, attributes).await
    }

    async fn these(
        &self,
        session: &mut Session,
        objects: &BTreeSet<ObjectId>,
    ) -> Result<Vec<Found>, DirectoryError> {
        let escaped: Vec<String> = objects.iter().map(|id| self.names.escaped(*id)).collect();
        let mut found = Vec::new();
        for some in escaped.chunks(filter::AT_ONCE) {
            let filter = filter::all(&[&self.people, &filter::any_of(self.names.id(), some)]);
            found.extend(self.search(session, &self.base, Scope::Subtree, &filter, &self.names.all()).await?);
        }
        Ok(found)
    }

    /// People who lie at these places, if any do and they are below the base.
    async fn at(
        &self,
        session: &mut Session,
        places: &BTreeSet<String>,
    ) -> Result<Vec<Found>, DirectoryError> {
        let below = format!(",{}", same_dn(&self.base));
        let mut found = Vec::new();
        for place in places.iter().filter(|place| place.ends_with(&below)) {
            match self.search(session, place, Scope::Base, &self.people, &self.names.all()).await {
                Ok(some) => found.extend(some),
                // A group may name who is not there any more.
                Err(DirectoryError::Missing(_)) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(found)
    }

    async fn search(
        &self,
        session: &mut Session,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Vec<Found>, DirectoryError> {
        let question = Question { base, scope, filter, attributes, controls: Vec::new(), doing: READ };
        whole(session.connection.all(&question).await?)
    }

    async fn read_groups(
        &self,
        session: &mut Session,
        marks: &Marks<String>,
    ) -> Result<Groups, DirectoryError> {
        let how = groups::How { nested: self.settings.nested, by_person: self.names.says_its_groups() };
        groups::read(&mut session.connection, &self.roles, how, marks).await
    }

    async fn groups(&self, session: &mut Session) -> Result<Groups, DirectoryError> {
        if self.roles.is_empty() {
            return Ok(Groups::default());
        }
        let marks = self.group_marks(session).await?;
        self.read_groups(session, &marks).await
    }
}

/// What was found, if nothing of it lies elsewhere: people behind a reference would look as if they were gone.
fn whole(answer: Answer) -> Result<Vec<Found>, DirectoryError> {
    if answer.references.is_empty() {
        Ok(answer.found)
    } else {
        Err(DirectoryError::Referral(refusal::hosts(&answer.references)))
    }
}

impl Reads for Ldap {
    async fn reading(&mut self, since: Option<&Cursor>) -> Result<Reading, DirectoryError> {
        let since = since.and_then(|cursor| serde_json::from_value::<Position>(cursor.0.clone()).ok());
        let since = since.filter(|position| position.mapping == self.mapping);
        let mut session = self.session().await?;
        let mut changes = self.changes(&mut session, since.as_ref()).await?;
        let now = self.now();
        let mut pending = since.as_ref().map(|position| position.pending.clone()).unwrap_or_default();
        if let Some(objects) = &mut changes.objects {
            objects.extend(pending.due(now));
        }
        let (groups, group_marks, places) =
            self.regrouped(&mut session, since.as_ref(), &mut changes).await?;
        let changed = changes.objects.filter(|objects| objects.len() <= MANY && places.len() <= PLACES);
        let found = match &changed {
            Some(objects) => {
                let mut found = self.these(&mut session, objects).await?;
                found.extend(self.at(&mut session, &places).await?);
                found
            }
            None => self.everyone(&mut session, &self.names.all()).await?,
        };
        let mut known = changes.known;
        known.extend(found.iter().filter_map(|found| self.names.identify(found)));
        let taken = found.iter().map(|found| self.taken(found, &groups, now));
        let mut reading = gathered(changed, taken, &mut pending, now);
        let followed = Some(changes.followed.clone());
        let position = Position {
            mapping: self.mapping.clone(),
            followed: changes.followed,
            groups: groups.digest(),
            pending,
        };
        let cursor = serde_json::to_value(position);
        reading.cursor = Cursor(cursor.map_err(|why| DirectoryError::Protocol(why.to_string()))?);
        let (people, nameless) = (changes.people, changes.nameless);
        self.memory = Memory { people, group_marks, groups, known, nameless, followed };
        Ok(reading)
    }

    async fn identifiers(&mut self) -> Result<BTreeSet<ObjectId>, DirectoryError> {
        let mut session = self.session().await?;
        let groups = self.groups(&mut session).await?;
        let found = self.everyone(&mut session, &self.names.all()).await?;
        let mut identifiers = BTreeSet::new();
        for found in &found {
            match self.taken(found, &groups, self.now()) {
                Taken::Person(Entry { id, .. }, _) | Taken::Unusable { id: Some(id), .. } => {
                    identifiers.insert(id);
                }
                Taken::Unwanted(_) => {}
                Taken::Unusable { id: None, why, .. } => {
                    return Err(DirectoryError::Protocol(format!("somebody: {why}")));
                }
            }
        }
        Ok(identifiers)
    }

    async fn one(&mut self, id: ObjectId) -> Result<Option<Entry>, DirectoryError> {
        let mut session = self.session().await?;
        let found = self.these(&mut session, &BTreeSet::from([id])).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let groups = self.groups(&mut session).await?;
        self.taken(found, &groups, self.now()).wanted()
    }

    async fn rights(&mut self) -> Result<Rights, DirectoryError> {
        self.tried().await
    }
}
