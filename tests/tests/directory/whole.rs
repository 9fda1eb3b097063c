//! The whole box beside a directory: `authenteond` in the network of the server, asked over its API.
//!
//! A finger is enrolled on the box for somebody whom the directory has; what becomes of its owner there decides what becomes of
//! it here.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use authenteon_tests::{
    load::served::{Served, hand},
    servers::{
        people,
        samba::{self, DOMAIN, PASSWORD, Samba},
        slapd::{self, Options, SUFFIX, Slapd},
    },
};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    needs,
    office::{EMPTY, Office, SLACK},
};

/// A first synchronisation of ten thousand people takes no longer.
const FIRST: Duration = Duration::from_secs(15);
/// One that is asked for.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The shortest interval.
const CYCLE: u64 = 5;

/// A box beside a directory.
struct Beside<'a, O> {
    office: &'a O,
    served: Served,
}

fn samba_section(samba: &Samba, interval: u64) -> (String, tempfile::TempDir) {
    section(
        samba,
        interval,
        &format!(
            "kind = \"active-directory\"\nservers = [\"{}\"]\naccount = \"follower@corp.example\"\nreplication-right = \
             true\nfilter = \"(sAMAccountName=p*)\"\ngroups = {{ \"CN=staff,OU=Groups,{DOMAIN}\" = \"staff\" }}\n",
            samba::ADDRESS
        ),
        PASSWORD,
    )
}

fn slapd_section(slapd: &Slapd, kind: &str) -> (String, tempfile::TempDir) {
    section(
        slapd,
        3600,
        &format!(
            "kind = \"{kind}\"\nservers = [\"{}\"]\naccount = \"{}\"\nbase = \"{SUFFIX}\"\ngroups = {{ \
             \"cn=staff,ou=groups,{SUFFIX}\" = \"staff\" }}\nattributes = {{ name = \"fullName\", login = \"uid\" }}\n",
            slapd::ADDRESS,
            slapd::READER
        ),
        slapd::PASSWORD,
    )
}

/// A section of the configuration, and the folder with its password.
fn section(office: &impl Office, interval: u64, lines: &str, password: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let text = format!(
        "[[directory]]\nname = \"corp\"\nca = {:?}\npassword-file = {file:?}\ninterval-seconds = {interval}\n{lines}",
        office.ca()
    );
    (text, folder)
}

impl<O: Office> Beside<'_, O> {
    fn ask(&self, role: &str, method: &Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.served.ask(role, method, path, body).unwrap()
    }

    fn sync(&self) -> (u16, Value) {
        self.ask("administrator", &Method::POST, "/v1/directory/corp/sync", Some(&json!({})))
    }

    /// Synchronised now: how long that took.
    fn synced(&self, what: &str) -> Duration {
        let began = Instant::now();
        let (status, outcome) = self.sync();
        let took = began.elapsed();
        println!("    {what}: {} ms", took.as_millis());
        assert_eq!(status, 200, "{what}: {outcome}");
        took
    }

    fn status(&self) -> Value {
        let (status, body) = self.ask("officer", &Method::GET, "/v1/directory", None);
        assert_eq!(status, 200, "{body}");
        body["directories"][0].clone()
    }

    /// Everybody on the box.
    fn subjects(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map(|last| format!("&after={}", last["subject_id"].as_str().unwrap()));
            let path = format!("/v1/subjects?limit=1000{}", after.unwrap_or_default());
            let (status, body) = self.ask("officer", &Method::GET, &path, None);
            assert_eq!(status, 200, "{body}");
            let page = body["subjects"].as_array().unwrap();
            all.extend(page.iter().cloned());
            if page.len() < 1000 {
                return all;
            }
        }
    }

    fn somebody(&self, number: usize) -> Value {
        let login = self.office.login(number);
        let found =
            self.subjects().into_iter().find(|subject| subject["directory"]["login"] == login.as_str());
        found.unwrap_or_else(|| panic!("{login} is not on the box"))
    }

    fn subject(&self, id: &Value) -> Value {
        let path = format!("/v1/subjects/{}", id.as_str().unwrap());
        let (status, body) = self.ask("officer", &Method::GET, &path, None);
        assert_eq!(status, 200, "{body}");
        body
    }

    fn verify(&self, id: &Value, sample: &Value) -> Value {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let (request, nonce) = (format!("whole-{number}"), format!("{number:032x}"));
        let body = json!({ "subject_id": id, "sample": sample, "request_id": request, "nonce": nonce });
        let (status, answer) = self.ask("station", &Method::POST, "/v1/verify", Some(&body));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Waits until everybody was read a first time.
    fn first(&self) -> Duration {
        let began = Instant::now();
        loop {
            let status = self.status();
            if status["people"]["active"] == self.office.people() {
                return began.elapsed();
            }
            assert!(began.elapsed() < FIRST * SLACK, "{status}\n{}", self.served.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Enrols a finger for somebody.
    fn enrol(&self, id: &Value, samples: &[Value]) {
        let path = format!("/v1/subjects/{}/fingers", id.as_str().unwrap());
        let finger = json!({ "position": "right-index", "samples": samples });
        let (status, body) = self.ask("officer", &Method::POST, &path, Some(&finger));
        assert_eq!(status, 201, "{body}");
    }

    /// Everything that happens to people, each seen by the next synchronisation.
    fn follows(&self, what: &str) {
        println!("{what}:");
        println!("    first of {}: {} ms", self.office.people(), self.first().as_millis());
        let hand = hand(16).unwrap();
        let mut probes = hand.probes.iter();
        // One print in some hundreds is not good enough to be matched; each is presented once.
        let mut present = |id: &Value| {
            let answers: Vec<Value> = probes.by_ref().take(3).map(|probe| self.verify(id, probe)).collect();
            let accepted = answers.iter().find(|answer| answer["decision"] == "accept");
            accepted.unwrap_or(&answers[0]).clone()
        };
        let owner = self.somebody(6)["subject_id"].clone();
        self.enrol(&owner, &hand.enrol);
        assert_eq!(present(&owner)["decision"], "accept");
        let mut longest = self.synced("nothing");
        assert!(longest <= EMPTY * SLACK, "{longest:?}");

        self.office.disable(6, true);
        longest = longest.max(self.synced("disabled"));
        let refused = present(&owner);
        assert!(
            refused["decision"] != "accept" && refused.to_string().contains("account-disabled"),
            "{refused}"
        );
        self.office.disable(6, false);
        longest = longest.max(self.synced("enabled again"));
        assert_eq!(present(&owner)["decision"], "accept", "with the finger that it had");

        let new = self.office.people() + 1;
        self.office.add(new);
        longest = longest.max(self.synced("added"));
        let added = self.somebody(new)["subject_id"].clone();
        self.office.rename(6, "Renamed Person");
        longest = longest.max(self.synced("renamed"));
        assert_eq!(self.subject(&owner)["name"], "Renamed Person");
        self.office.move_away("Renamed Person");
        longest = longest.max(self.synced("moved"));
        assert_eq!(present(&owner)["decision"], "accept", "the same person, the same finger");

        let staff = |number: usize| {
            let groups = self.somebody(number)["groups"].clone();
            groups.as_array().unwrap().iter().any(|group| group == "staff")
        };
        assert!(staff(2) && !staff(5));
        self.office.team(5, true);
        longest = longest.max(self.synced("in a group"));
        assert!(staff(5));

        self.office.delete(new);
        longest = longest.max(self.synced("deleted"));
        assert_eq!(self.subject(&added)["directory"]["state"], "gone");
        println!("    the longest: {} ms", longest.as_millis());
        assert!(longest <= AT_ONCE * SLACK, "{longest:?}");
        let status = self.status();
        assert_eq!((&status["state"], &status["stale"]), (&"following".into(), &false.into()), "{status}");
    }
}

#[test]
fn directory_a_box_follows_active_directory_and_refuses_the_finger_of_who_is_disabled() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let (section, _folder) = samba_section(&samba, 3600);
    let served = Served::start(samba.namespace.entrance(), &section).unwrap();
    Beside { office: &samba, served }.follows("a box and Samba");
}

#[test]
fn directory_a_box_follows_openldap_by_its_synchronisation() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options { syncprov: true, ..Options::default() }).unwrap();
    let (section, _folder) = slapd_section(&slapd, "ldap");
    let served = Served::start(slapd.namespace.entrance(), &section).unwrap();
    Beside { office: &slapd, served }.follows("a box and OpenLDAP, RFC 4533");
}

#[test]
fn directory_a_box_follows_the_schema_of_edirectory() {
    needs!(Slapd);
    let slapd = Slapd::start(people(), Options { timestamps_only: true, ..Options::default() }).unwrap();
    let (section, _folder) = slapd_section(&slapd, "edirectory");
    let served = Served::start(slapd.namespace.entrance(), &section).unwrap();
    Beside { office: &slapd, served }.follows("a box and OpenLDAP with eDirectory's schema");
}

#[test]
fn directory_a_disabled_finger_is_refused_within_one_cycle_without_being_asked_for() {
    needs!(Samba);
    let samba = Samba::start(people()).unwrap();
    let (section, _folder) = samba_section(&samba, CYCLE);
    let served = Served::start(samba.namespace.entrance(), &section).unwrap();
    let beside = Beside { office: &samba, served };
    beside.first();
    let hand = hand(20).unwrap();
    let owner = beside.somebody(6)["subject_id"].clone();
    beside.enrol(&owner, &hand.enrol);
    samba.disable(6, true);
    let began = Instant::now();
    let refused = hand.probes.iter().any(|probe| {
        thread::sleep(Duration::from_millis(500));
        beside.verify(&owner, probe).to_string().contains("account-disabled")
    });
    println!("refused {} ms after it was disabled; the cycle is {CYCLE} s", began.elapsed().as_millis());
    assert!(refused && began.elapsed() < Duration::from_secs(CYCLE + 3));
}

/// Kills the controller while the box synchronises, and starts it again.
fn killed(samba: &mut Samba, served: &Served, after: Duration) -> u16 {
    let process = samba.process().unwrap().to_string();
    let status = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            served.ask("administrator", &Method::POST, "/v1/directory/corp/sync", Some(&json!({}))).unwrap().0
        });
        thread::sleep(after);
        std::process::Command::new("kill").args(["-KILL", &process]).output().unwrap();
        asked.join().unwrap()
    });
    samba.restart().unwrap();
    status
}

#[test]
fn directory_a_controller_that_dies_while_a_box_reads_it_takes_nobody_along() {
    needs!(Samba);
    let mut samba = Samba::start(people()).unwrap();
    let (section, _folder) = samba_section(&samba, 3600);
    samba.kill();
    // The first reading of the box finds nobody there.
    let served = Served::start(samba.namespace.entrance(), &section).unwrap();
    samba.restart().unwrap();
    let mut broken = 0;
    for after in [30, 100, 200, 400] {
        let status = killed(&mut samba, &served, Duration::from_millis(after));
        println!("killed in a first reading after {after} ms: {status}");
        broken += usize::from(status == 502);
    }
    assert!(broken > 0, "none was in time");
    let beside = Beside { office: &samba, served };
    beside.synced("after that");
    beside.first();
    let before = beside.subjects();
    assert_eq!(before.len(), people());
    let Beside { served, .. } = beside;
    for (round, after) in [20, 60, 120].into_iter().enumerate() {
        samba.disable(10 + round, true);
        println!(
            "killed in an increment after {after} ms: {}",
            killed(&mut samba, &served, Duration::from_millis(after))
        );
    }
    let beside = Beside { office: &samba, served };
    beside.synced("after that");
    let status = beside.status();
    assert_eq!(status["people"]["disabled"], 3, "{status}");
    assert_eq!(status["people"]["active"], people() - 3, "{status}");
    assert_eq!(beside.subjects().len(), people(), "nobody twice, nobody lost");
}
