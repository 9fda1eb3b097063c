//! What happens to people in an office, the same for every directory, and whether each reading sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use authenteon::{
    clock::SystemClock,
    directory::{
        Attributes, Cursor, DirectoryError, Entry, Kind, Method, ObjectId, Password, Protection, Reading,
        Settings, Source, Standing, source,
    },
    subject::GroupName,
};
use authenteon_tests::servers::namespace::Namespace;
use zeroize::Zeroizing;

/// An empty cycle takes no longer.
pub(crate) const EMPTY: Duration = Duration::from_millis(500);
/// A build that is not optimised may take so many times as long.
pub(crate) const SLACK: u32 = if cfg!(debug_assertions) { 4 } else { 1 };

/// Something is done on a runtime of one thread, in the network of a server.
pub(crate) fn within<T: Send>(namespace: &Namespace, work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    namespace.within(run).unwrap()
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.into()))
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::try_from(name.to_owned()).unwrap()
}

/// Settings with nothing in them that a kind could go without.
pub(crate) fn settings(kind: Kind, server: &str, ca: &Path, account: &str, secret: &str) -> Settings {
    Settings {
        name: "office".into(),
        kind,
        method: Method::Auto,
        domain: None,
        servers: vec![server.into()],
        name_servers: Vec::new(),
        port: None,
        protection: Protection::Ldaps,
        ca: ca.into(),
        account: account.into(),
        password: password(secret),
        base: None,
        filter: None,
        required_group: None,
        nested: true,
        attributes: Attributes::default(),
        groups: BTreeMap::new(),
        privileged_groups: Vec::new(),
        replication_right: false,
        patience: Duration::from_secs(60),
    }
}

pub(crate) fn made(settings: Settings) -> Box<dyn Source> {
    source(settings, Arc::new(SystemClock)).unwrap()
}

/// What happens to people, as each server has it.
pub(crate) trait Office: Sync {
    fn people(&self) -> usize;
    fn login(&self, number: usize) -> String {
        format!("p{number:05}")
    }
    fn add(&self, number: usize);
    /// Another name, and another place in the tree.
    fn rename(&self, number: usize, name: &str);
    /// To the unit of those who were there, by the name that [`Office::rename`] gave.
    fn move_away(&self, name: &str);
    fn disable(&self, number: usize, disabled: bool);
    /// In the group `team`, or not any more.
    fn team(&self, number: usize, joins: bool);
    /// The group `vault` lies in `staff`, or not any more.
    fn nest(&self, nested: bool);
    fn delete(&self, number: usize);
    /// The base that has everybody, and that which has those who are there.
    fn bases(&self) -> (&'static str, &'static str);
    fn ca(&self) -> PathBuf;
}

/// A directory that is followed, as the box follows it.
pub(crate) struct Follower {
    pub(crate) source: Box<dyn Source>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) people: BTreeMap<ObjectId, Entry>,
    settings: Settings,
}

impl Follower {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { source: made(settings.clone()), cursor: None, people: BTreeMap::new(), settings }
    }

    /// Another start of the box: what is kept is the cursor alone.
    pub(crate) fn restart(&mut self) {
        self.source = made(self.settings.clone());
    }

    /// A reading, taken over.
    pub(crate) async fn read(&mut self) -> Reading {
        let reading = self.source.read(self.cursor.as_ref()).await.unwrap();
        if reading.whole {
            self.people.clear();
        }
        for gone in &reading.gone {
            self.people.remove(gone);
        }
        for entry in &reading.entries {
            assert!(!reading.gone.contains(&entry.id));
            self.people.insert(entry.id, entry.clone());
        }
        self.cursor = Some(reading.cursor.clone());
        reading
    }

    /// A reading that has something about one person alone, or nobody: how long it took.
    async fn sees(&mut self, what: &str, who: Option<&str>) -> Entry {
        let began = Instant::now();
        let reading = self.read().await;
        println!("    {what}: {} ms", began.elapsed().as_millis());
        assert!(!reading.whole, "{what}: an increment");
        let told: BTreeSet<_> = reading.entries.iter().filter_map(|entry| entry.login.as_deref()).collect();
        match who {
            Some(login) => assert_eq!(told, BTreeSet::from([login]), "{what}"),
            None => assert!(!reading.entries.is_empty(), "{what}"),
        }
        reading.entries[0].clone()
    }

    pub(crate) fn by_login(&self, login: &str) -> Option<&Entry> {
        self.people.values().find(|entry| entry.login.as_deref() == Some(login))
    }

    /// Cycles in which nothing happens: how long the quickest took; many run on few cores here.
    async fn nothing(&mut self) {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            let reading = self.read().await;
            best = best.min(began.elapsed());
            assert!(!reading.whole);
        }
        let before = self.people.len();
        let reading = self.read().await;
        assert_eq!((reading.entries.len(), reading.unusable.len()), (0, 0), "nothing happened");
        assert_eq!(self.people.len(), before);
        println!("    empty cycle: {} ms", best.as_millis());
        assert!(best <= EMPTY * SLACK, "{best:?}");
    }
}

/// Everything that happens, one after the other; `deletions`: whether an increment tells of them.
pub(crate) async fn follow(office: &impl Office, what: &str, settings: Settings, deletions: bool) {
    println!("{what}:");
    let mut follower = Follower::new(settings.clone());
    let began = Instant::now();
    let first = follower.read().await;
    println!("    first reading of {}: {} ms", first.entries.len(), began.elapsed().as_millis());
    assert!(first.whole && first.unusable.is_empty(), "{:?}", first.unusable.first());
    assert_eq!(first.entries.len(), office.people());
    let staff = group("staff");
    let groups =
        |follower: &Follower, number| follower.by_login(&office.login(number)).unwrap().groups.clone();
    for (number, is_in) in [(1, true), (2, true), (3, true), (4, false), (5, false)] {
        assert_eq!(groups(&follower, number).contains(&staff), is_in, "{number}");
    }
    follower.nothing().await;

    let new = office.people() + 1;
    office.add(new);
    let added = follower.sees("added", Some(&office.login(new))).await;
    office.rename(new, "Renamed Person");
    let renamed = follower.sees("renamed", None).await;
    assert_eq!((renamed.id, renamed.name.as_deref()), (added.id, Some("Renamed Person")));
    assert_ne!(renamed.dn, added.dn);
    office.move_away("Renamed Person");
    let moved = follower.sees("moved", None).await;
    assert_eq!(moved.id, added.id);
    assert!(moved.dn.to_lowercase().contains("ou=former"), "{}", moved.dn);

    office.disable(6, true);
    assert_eq!(follower.sees("disabled", Some(&office.login(6))).await.standing, Standing::Disabled);
    office.disable(6, false);
    assert_eq!(follower.sees("enabled again", Some(&office.login(6))).await.standing, Standing::Active);

    office.team(5, true);
    follower.sees("in a group", Some(&office.login(5))).await;
    assert!(groups(&follower, 5).contains(&staff));
    office.team(5, false);
    follower.sees("in it no more", Some(&office.login(5))).await;
    assert!(!groups(&follower, 5).contains(&staff));
    office.nest(true);
    let began = Instant::now();
    follower.read().await;
    println!("    a group in another: {} ms", began.elapsed().as_millis());
    assert!(groups(&follower, 4).contains(&staff));

    // What happens while the box is off is seen when it is on again.
    office.disable(7, true);
    office.nest(false);
    follower.restart();
    follower.read().await;
    assert_eq!(follower.by_login(&office.login(7)).unwrap().standing, Standing::Disabled);
    assert!(!groups(&follower, 4).contains(&staff));

    let gone = follower.by_login(&office.login(8)).unwrap().id;
    assert_eq!(follower.source.person(gone).await.unwrap().unwrap().id, gone);
    office.delete(8);
    let began = Instant::now();
    let reading = follower.read().await;
    println!("    deleted: {} ms", began.elapsed().as_millis());
    assert_eq!(reading.gone.contains(&gone), deletions);
    let swept = follower.source.everybody().await.unwrap();
    assert!(!swept.contains(&gone) && swept.len() == office.people());
    assert_eq!(follower.source.person(gone).await.unwrap(), None);

    // The same things once more for who follows one unit only.
    let (_, base) = office.bases();
    let mut narrow = Follower::new(Settings { base: Some(base.into()), ..settings.clone() });
    assert_eq!(
        narrow.read().await.entries.len(),
        office.people() - 1,
        "one moved away, one was deleted, one is new"
    );
    let id = narrow.by_login(&office.login(9)).unwrap().id;
    office.rename(9, "Somebody Else");
    office.move_away("Somebody Else");
    assert!(narrow.read().await.gone.contains(&id), "who is moved out is gone");
    // Another mapping makes the cursor useless.
    let only = Settings { required_group: settings.groups.keys().next().cloned(), ..settings };
    let mut required = Follower { source: made(only.clone()), settings: only, ..follower };
    let reading = required.read().await;
    assert!(reading.whole);
    assert_eq!(required.people.len(), 3, "members of `staff` and of `team` in it");
    office.team(3, false);
    required.read().await;
    assert_eq!(required.people.len(), 2);
    office.team(3, true);
    required.read().await;
    assert_eq!(required.people.len(), 3);
}

/// The error of a first reading.
pub(crate) async fn refusal(settings: Settings) -> DirectoryError {
    made(settings).read(None).await.unwrap_err()
}
