//! Samba as an Active Directory: each way to follow it, and what can go wrong with a domain controller.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use authenteon::directory::{Cursor, DirectoryError, Kind, Method, Protection, Settings};
use authenteon_tests::servers::{
    people,
    samba::{self, DOMAIN, HOST, PASSWORD, Samba},
};

use crate::{
    needs,
    office::{Follower, Office, follow, group, made, settings, within},
};

impl Office for Samba {
    fn people(&self) -> usize {
        people()
    }
    fn add(&self, number: usize) {
        self.change(&added(number)).unwrap();
    }
    fn rename(&self, number: usize, name: &str) {
        let dn = samba::dn(number);
        self.change(&format!(
            "dn: {dn}\nchangetype: modify\nreplace: displayName\ndisplayName: {name}\n\ndn: {dn}\nchangetype: \
             modrdn\nnewrdn: CN={name}\ndeleteoldrdn: 1\n"
        ))
        .unwrap();
    }
    fn move_away(&self, name: &str) {
        self.change(&format!(
            "dn: CN={name},OU=People,{DOMAIN}\nchangetype: modrdn\nnewrdn: CN={name}\ndeleteoldrdn: 1\nnewsuperior: \
             OU=Former,{DOMAIN}\n"
        ))
        .unwrap();
    }
    fn disable(&self, number: usize, disabled: bool) {
        let control = if disabled { 546 } else { 544 };
        self.change(&format!(
            "dn: {}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {control}\n",
            samba::dn(number)
        ))
        .unwrap();
    }
    fn team(&self, number: usize, joins: bool) {
        let how = if joins { "add" } else { "delete" };
        self.change(&format!(
            "dn: CN=team,OU=Groups,{DOMAIN}\nchangetype: modify\n{how}: member\nmember: {}\n",
            samba::dn(number)
        ))
        .unwrap();
    }
    fn nest(&self, nested: bool) {
        let how = if nested { "add" } else { "delete" };
        self.change(&format!(
            "dn: CN=staff,OU=Groups,{DOMAIN}\nchangetype: modify\n{how}: member\nmember: CN=vault,OU=Groups,{DOMAIN}\n"
        ))
        .unwrap();
    }
    fn delete(&self, number: usize) {
        self.change(&format!("dn: {}\nchangetype: delete\n", samba::dn(number))).unwrap();
    }
    fn bases(&self) -> (&'static str, &'static str) {
        (DOMAIN, "OU=People,DC=corp,DC=example")
    }
    fn ca(&self) -> PathBuf {
        self.authority.file.clone()
    }
}

fn added(number: usize) -> String {
    samba::person(number).replacen('\n', "\nchangetype: add\n", 1)
}

/// Everybody whose login begins with a `p`, by this account.
pub(crate) fn office(samba: &Samba, account: &str) -> Settings {
    let account = format!("{account}@corp.example");
    Settings {
        filter: Some("(sAMAccountName=p*)".into()),
        groups: BTreeMap::from([(format!("cn=staff, ou=groups,{DOMAIN}"), group("staff"))]),
        ..settings(Kind::ActiveDirectory, samba::ADDRESS, &samba.ca(), &account, PASSWORD)
    }
}

#[test]
fn directory_active_directory_is_followed_by_dirsync() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let settings =
        Settings { method: Method::Dirsync, replication_right: true, ..office(&samba, "follower") };
    within(&samba.namespace, async || follow(&samba, "DirSync, all objects", settings, true).await);
}

#[test]
fn directory_active_directory_is_followed_by_a_plain_account() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let settings = office(&samba, "reader");
    // It may not list deleted objects, so they are found by the sweep.
    within(&samba.namespace, async || follow(&samba, "DirSync, object security", settings, false).await);
}

#[test]
fn directory_active_directory_is_followed_by_usn() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let settings = Settings { method: Method::Usn, ..office(&samba, "follower") };
    within(&samba.namespace, async || follow(&samba, "uSNChanged", settings, true).await);
}

#[test]
fn directory_active_directory_without_a_filter_has_everybody_who_can_log_in() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let follower = Settings { replication_right: true, ..office(&samba, "follower") };
    for method in [Method::Dirsync, Method::Usn] {
        let settings = Settings { method, filter: None, ..follower.clone() };
        within(&samba.namespace, async || {
            let mut follower = Follower::new(settings);
            assert!(follower.read().await.whole);
            for login in ["p00001", "Administrator", "follower"] {
                assert!(follower.by_login(login).is_some(), "{method:?}: {login}");
            }
            assert!(
                follower.by_login(&format!("{}$", HOST.split('.').next().unwrap())).is_none(),
                "a computer"
            );
            let again = follower.read().await;
            assert!(!again.whole && again.entries.is_empty(), "{method:?}: nothing happened");
        });
    }
}

#[test]
fn directory_controllers_are_found_by_dns_and_a_dead_one_is_passed_over() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let settings = office(&samba, "reader");
    within(&samba.namespace, async || {
        let by_dns = Settings {
            domain: Some("corp.example".into()),
            servers: Vec::new(),
            name_servers: vec![samba::ADDRESS.parse().unwrap()],
            ..settings.clone()
        };
        assert_eq!(made(by_dns).everybody().await.unwrap().len(), people());
        let named = Settings { servers: vec!["127.0.0.9".into(), HOST.into()], ..settings.clone() };
        let named = Settings { name_servers: vec![samba::ADDRESS.parse().unwrap()], ..named };
        let mut source = made(named);
        assert_eq!(source.everybody().await.unwrap().len(), people());
        let began = Instant::now();
        source.everybody().await.unwrap();
        println!("the one that answered is asked first: {} ms", began.elapsed().as_millis());
        let upgraded = Settings { protection: Protection::StartTls, ..settings };
        assert_eq!(made(upgraded).everybody().await.unwrap().len(), people());
    });
}

#[test]
fn directory_a_controller_from_a_backup_is_read_anew() {
    needs!(Samba);
    let mut samba = Samba::start(people()).unwrap();
    samba.stop();
    let backup = samba.backup().unwrap();
    samba.restart().unwrap();
    let plain = office(&samba, "reader");
    let mut followers =
        [Method::Dirsync, Method::Usn].map(|method| Follower::new(Settings { method, ..plain.clone() }));
    // Further than a start of the controller comes by itself.
    (1..=30).for_each(|number| samba.disable(number, true));
    within(&samba.namespace, async || {
        for follower in &mut followers {
            follower.read().await;
            assert!(!follower.read().await.whole);
        }
    });
    samba.stop();
    samba.restore(&backup).unwrap();
    samba.restart().unwrap();
    samba.add(people() + 1);
    within(&samba.namespace, async || {
        for follower in &mut followers {
            let reading = follower.read().await;
            assert!(reading.whole, "what went back is not gone on from");
            assert_eq!(follower.people.len(), people() + 1);
        }
    });
}

#[test]
fn directory_a_cookie_that_is_refused_makes_a_whole_reading() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let mut follower = Follower::new(office(&samba, "reader"));
    within(&samba.namespace, async || {
        follower.read().await;
        assert!(!follower.read().await.whole);
        for cookie in ["AAAA", "", "no Base64"] {
            let Cursor(mut value) = follower.cursor.clone().unwrap();
            value["followed"]["cookie"] = cookie.into();
            follower.cursor = Some(Cursor(value));
            let reading = follower.read().await;
            assert!(reading.whole && reading.entries.len() == people(), "{cookie:?}");
        }
        follower.cursor = Some(Cursor(serde_json::json!({"of": "another version"})));
        assert!(follower.read().await.whole);
    });
}

/// Kills the controller this long after a reading began, and starts it again: how the reading ended.
fn killed_while_reading(
    samba: &mut Samba,
    follower: &mut Follower,
    after: Duration,
) -> Result<usize, DirectoryError> {
    let cursor = follower.cursor.clone();
    let (namespace, source) = (&samba.namespace, &mut follower.source);
    let child = samba.process().unwrap();
    let ended = thread::scope(|scope| {
        let reading = scope.spawn(|| within(namespace, async || source.read(cursor.as_ref()).await));
        thread::sleep(after);
        std::process::Command::new("kill").args(["-KILL", &child.to_string()]).output().unwrap();
        reading.join().unwrap()
    });
    samba.restart().unwrap();
    ended.map(|reading| reading.entries.len())
}

#[test]
fn directory_a_controller_that_dies_in_a_reading_loses_nothing() {
    needs!(Samba);
    let mut samba = Samba::start(people()).unwrap();
    let mut follower = Follower::new(office(&samba, "follower"));
    let mut broken = 0;
    for after in [20, 60, 120, 250, 500] {
        match killed_while_reading(&mut samba, &mut follower, Duration::from_millis(after)) {
            Ok(read) => assert_eq!(read, people(), "a reading is whole or an error"),
            Err(why) => {
                println!("killed after {after} ms: {why}");
                broken += 1;
            }
        }
    }
    assert!(broken > 0, "none was in time");
    within(&samba.namespace, async || assert_eq!(follower.read().await.entries.len(), people()));
    let mut broken = 0;
    for (round, after) in [20, 60, 120].into_iter().enumerate() {
        samba.disable(10 + round, true);
        match killed_while_reading(&mut samba, &mut follower, Duration::from_millis(after)) {
            Ok(read) => assert!((1..=1 + round).contains(&read), "{read}"),
            Err(why) => {
                println!("killed in an increment after {after} ms: {why}");
                broken += 1;
            }
        }
    }
    println!("{broken} increments were broken");
    let reading = within(&samba.namespace, async || follower.read().await);
    assert_eq!(reading.entries.len(), 3, "all of what no kept cursor has seen: {:?}", reading.whole);
}
