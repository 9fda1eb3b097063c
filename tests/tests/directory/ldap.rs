//! OpenLDAP with eDirectory's schema: content synchronisation, and the way for servers without it, which is eDirectory's.

use std::{collections::BTreeMap, path::PathBuf, thread, time::Duration};

use authenteon::directory::{Cursor, DirectoryError, Kind, Method, Protection, Settings};
use authenteon_tests::servers::{
    people,
    slapd::{self, Options, PASSWORD, READER, SUFFIX, Slapd},
};
use base64::prelude::*;

use crate::{
    needs,
    office::{Follower, Office, follow, group, made, refusal, settings, within},
};

impl Office for Slapd {
    fn people(&self) -> usize {
        people()
    }
    fn add(&self, number: usize) {
        self.change(&slapd::person(number).replacen('\n', "\nchangetype: add\n", 1)).unwrap();
    }
    fn rename(&self, number: usize, name: &str) {
        let dn = slapd::dn(number);
        self.change(&format!(
            "dn: {dn}\nchangetype: modify\nreplace: fullName\nfullName: {name}\n\ndn: {dn}\nchangetype: modrdn\nnewrdn: \
             cn={name}\ndeleteoldrdn: 1\n"
        ))
        .unwrap();
    }
    fn move_away(&self, name: &str) {
        self.change(&format!(
            "dn: cn={name},ou=people,{SUFFIX}\nchangetype: modrdn\nnewrdn: cn={name}\ndeleteoldrdn: 1\nnewsuperior: \
             ou=former,{SUFFIX}\n"
        ))
        .unwrap();
    }
    fn disable(&self, number: usize, disabled: bool) {
        let disabled = if disabled { "TRUE" } else { "FALSE" };
        self.change(&format!(
            "dn: {}\nchangetype: modify\nreplace: loginDisabled\nloginDisabled: {disabled}\n",
            slapd::dn(number)
        ))
        .unwrap();
    }
    fn team(&self, number: usize, joins: bool) {
        let how = if joins { "add" } else { "delete" };
        self.change(&format!(
            "dn: cn=team,ou=groups,{SUFFIX}\nchangetype: modify\n{how}: member\nmember: {}\n",
            slapd::dn(number)
        ))
        .unwrap();
    }
    fn nest(&self, nested: bool) {
        let how = if nested { "add" } else { "delete" };
        self.change(&format!(
            "dn: cn=staff,ou=groups,{SUFFIX}\nchangetype: modify\n{how}: member\nmember: cn=vault,ou=groups,{SUFFIX}\n"
        ))
        .unwrap();
    }
    fn delete(&self, number: usize) {
        self.change(&format!("dn: {}\nchangetype: delete\n", slapd::dn(number))).unwrap();
    }
    fn bases(&self) -> (&'static str, &'static str) {
        (SUFFIX, "ou=people,o=acme")
    }
    fn ca(&self) -> PathBuf {
        self.authority.file.clone()
    }
}

pub(crate) fn office(slapd: &Slapd, kind: Kind) -> Settings {
    let mut settings = settings(kind, slapd::ADDRESS, &slapd.ca(), READER, PASSWORD);
    settings.base = Some(SUFFIX.into());
    settings.groups = BTreeMap::from([(format!("CN=staff, ou=Groups,{SUFFIX}"), group("staff"))]);
    settings.attributes.name = Some("fullName".into());
    settings.attributes.login = Some("uid".into());
    settings
}

#[test]
fn directory_openldap_is_followed_by_its_synchronisation() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options { syncprov: true, ..Options::default() }).unwrap();
    let settings = Settings { method: Method::Syncrepl, ..office(&slapd, Kind::Ldap) };
    within(&slapd.namespace, async || follow(&slapd, "RFC 4533", settings, true).await);
}

#[test]
fn directory_openldap_without_synchronisation_is_followed_by_marks() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options::default()).unwrap();
    let settings = office(&slapd, Kind::Ldap);
    within(&slapd.namespace, async || follow(&slapd, "sweep, entryCSN", settings, true).await);
}

#[test]
fn directory_a_cookie_that_openldap_cannot_go_on_from_makes_a_whole_reading() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options { syncprov: true, ..Options::default() }).unwrap();
    let settings = Settings { method: Method::Syncrepl, ..office(&slapd, Kind::Ldap) };
    within(&slapd.namespace, async || {
        let mut follower = Follower::new(settings);
        follower.read().await;
        // Of nothing that it gives, and of a time that it has not come to: it was put back from a backup.
        let newer = "rid=000,csn=20991231235959.000000Z#000000#000#000000";
        for cookie in ["no cookie", "", newer] {
            let Cursor(mut value) = follower.cursor.clone().unwrap();
            value["followed"]["cookie"] = BASE64_STANDARD.encode(cookie).into();
            follower.cursor = Some(Cursor(value));
            follower.restart();
            follower.read().await;
            assert_eq!(follower.people.len(), people(), "{cookie:?}");
            slapd.disable(6, true);
            let seen = follower.read().await;
            assert!(!seen.whole && seen.entries.len() == 1, "{cookie:?}: {}", seen.entries.len());
            slapd.disable(6, false);
            follower.read().await;
        }
    });
}

/// Marks of whole seconds, `GUID` and `loginDisabled`: as eDirectory has it.
#[test]
fn directory_the_schema_of_edirectory_is_followed_by_times_of_whole_seconds() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options { timestamps_only: true, ..Options::default() }).unwrap();
    let settings = office(&slapd, Kind::Edirectory);
    within(&slapd.namespace, async || {
        let mut follower = Follower::new(settings);
        let first = follower.read().await;
        assert_eq!((first.whole, first.entries.len()), (true, people()));
        // Twice within one second: the second time has the same mark.
        for round in 0..4 {
            for disabled in [true, false] {
                slapd.disable(6, disabled);
                follower.read().await;
                let standing = follower.by_login("p00006").unwrap().standing;
                assert_eq!(standing == authenteon::directory::Standing::Disabled, disabled, "round {round}");
            }
        }
        // A group that the person itself names.
        slapd
            .change(&format!(
                "dn: {}\nchangetype: modify\nadd: groupMembership\ngroupMembership: cn=team,ou=groups,{SUFFIX}\n",
                slapd::dn(20)
            ))
            .unwrap();
        follower.read().await;
        assert!(follower.by_login("p00020").unwrap().groups.contains(&group("staff")));
        let id = follower.by_login("p00008").unwrap().id;
        slapd.delete(8);
        assert!(follower.read().await.gone.contains(&id));
        // Once all marks have settled, nothing is read twice.
        tokio::time::sleep(Duration::from_secs(3)).await;
        follower.read().await;
        assert_eq!(follower.read().await.entries.len(), 0);
    });
}

#[test]
fn directory_a_size_limit_is_no_limit_for_pages_and_is_said_where_it_is() {
    needs!(Slapd);
    let options = Options { syncprov: true, more: "sizelimit 100".into(), ..Options::default() };
    let mut slapd = Slapd::start(people(), options).unwrap();
    // Who asks for everything at once is given a hundred.
    let unpaged =
        ["-x", "-LLL", "-H", "ldap://10.98.0.1", "-D", READER, "-w", PASSWORD, "-b", SUFFIX, "cn=p*", "1.1"];
    let said = slapd.namespace.run("ldapsearch", &unpaged, "").unwrap_err().to_string();
    assert!(said.contains("Size limit exceeded") || said.contains("(4)"), "{said}");
    let settings = office(&slapd, Kind::Ldap);
    let limited = slapd.restart_with(
        "limits dn.exact=\"cn=reader,o=acme\" size.soft=100 size.hard=100 size.prtotal=unlimited",
    );
    limited.unwrap();
    within(&slapd.namespace, async || {
        let mut follower = Follower::new(settings.clone());
        assert_eq!(follower.read().await.entries.len(), people(), "in pages");
        let rights = follower.source.test().await.unwrap();
        assert_eq!(
            (rights.method.as_str(), rights.people),
            ("sweep", people()),
            "synchronisation has no pages"
        );
        let asked = Settings { method: Method::Syncrepl, ..settings.clone() };
        assert!(matches!(refusal(asked).await, DirectoryError::Partial(_)));
    });
    slapd
        .restart_with("limits dn.exact=\"cn=reader,o=acme\" size.soft=100 size.hard=100 size.prtotal=200")
        .unwrap();
    within(&slapd.namespace, async || {
        let DirectoryError::Partial(why) = refusal(settings).await else {
            panic!("less than all is an error")
        };
        assert!(why.contains("limit"), "{why}");
    });
}

#[test]
fn directory_who_lies_elsewhere_is_not_taken_for_gone() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options::default()).unwrap();
    let settings = office(&slapd, Kind::Ldap);
    slapd
        .change(&format!(
            "dn: ou=abroad,ou=people,{SUFFIX}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: \
             abroad\nref: ldap://abroad.example/ou=people,{SUFFIX}\n"
        ))
        .unwrap();
    within(&slapd.namespace, async || {
        assert_eq!(refusal(settings.clone()).await, DirectoryError::Referral("abroad.example".into()));
        let elsewhere = Settings { base: Some("o=other".into()), ..settings };
        assert!(matches!(refusal(elsewhere).await, DirectoryError::Missing(_) | DirectoryError::Referral(_)));
    });
}

#[test]
fn directory_what_is_missing_or_malformed_in_an_entry_is_said_of_that_entry() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options::default()).unwrap();
    let settings = office(&slapd, Kind::Edirectory);
    within(&slapd.namespace, async || {
        let mut follower = Follower::new(settings);
        assert!(follower.read().await.whole);
        slapd.change(&format!("dn: {}\nchangetype: modify\ndelete: fullName\n", slapd::dn(3))).unwrap();
        follower.read().await;
        assert_eq!(follower.by_login("p00003").unwrap().name, None);
        slapd
            .change(&format!("dn: {}\nchangetype: modify\nreplace: GUID\nGUID: short\n", slapd::dn(4)))
            .unwrap();
        // Who is malformed is not found by its identifier any more; that is no reason to think it gone.
        follower.restart();
        let reading = follower.read().await;
        assert!(!reading.whole && reading.gone.is_empty());
        assert_eq!(reading.entries.len(), people() - 1);
        assert!(
            matches!(reading.unusable.as_slice(), [(None, why)] if why.contains("GUID")),
            "{:?}",
            reading.unusable
        );
        assert!(follower.source.everybody().await.is_err());
    });
}

#[test]
fn directory_rights_that_are_missing_in_openldap_are_named_with_what_gives_them() {
    needs!(Slapd);
    let hidden = "access to attrs=loginDisabled,modifyTimestamp by * none";
    let options = Options { timestamps_only: true, more: hidden.into(), ..Options::default() };
    let mut slapd = Slapd::start(people(), options).unwrap();
    let settings = office(&slapd, Kind::Edirectory);
    within(&slapd.namespace, async || {
        let rights = made(settings.clone()).test().await.unwrap();
        let advice = rights.advice.join("\n");
        assert!(advice.contains("modifyTimestamp") && advice.contains("loginDisabled"), "{advice}");
        assert!(advice.contains("[All Attributes Rights]"), "{advice}");
        assert!(matches!(refusal(settings.clone()).await, DirectoryError::Right(_)));
    });
    slapd.restart_with("access to dn.subtree=\"ou=people,o=acme\" by * none").unwrap();
    within(&slapd.namespace, async || {
        let rights = made(settings).test().await.unwrap();
        assert_eq!(rights.people, 0);
        assert!(rights.advice.iter().any(|advice| advice.contains("nobody is found")), "{:?}", rights.advice);
    });
}

#[test]
fn directory_openldap_that_dies_in_a_reading_loses_nothing() {
    needs!(Slapd);
    for syncprov in [true, false] {
        let mut slapd = Slapd::start(people(), Options { syncprov, ..Options::default() }).unwrap();
        let settings = Settings { protection: Protection::StartTls, ..office(&slapd, Kind::Ldap) };
        let mut follower = Follower::new(settings);
        within(&slapd.namespace, async || assert_eq!(follower.read().await.entries.len(), people()));
        for round in 0..6u64 {
            slapd.disable(10, round % 2 == 0);
            let cursor = follower.cursor.clone();
            let process = slapd.process().unwrap().to_string();
            let (namespace, source) = (&slapd.namespace, &mut follower.source);
            let ended = thread::scope(|scope| {
                let reading = scope.spawn(|| within(namespace, async || source.read(cursor.as_ref()).await));
                thread::sleep(Duration::from_millis(round * 12));
                std::process::Command::new("kill").args(["-KILL", &process]).output().unwrap();
                reading.join().unwrap()
            });
            println!(
                "killed after {} ms: {}",
                round * 12,
                ended.map_or_else(|why| why.to_string(), |_| "read".into())
            );
            slapd.restart().unwrap();
        }
        // The last change that was made is there, whatever was lost on the way.
        within(&slapd.namespace, async || {
            follower.read().await;
            assert_eq!(
                follower.by_login("p00010").unwrap().standing,
                authenteon::directory::Standing::Active
            );
            assert_eq!(follower.people.len(), people());
        });
    }
}
