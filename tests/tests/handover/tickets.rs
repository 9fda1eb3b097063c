//! A login by a finger that leaves a Kerberos ticket: what a home on NFS opens with.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use authenteon_tests::servers::{
    mit::Mit,
    slapd::{self, Options, Slapd},
};
use hyper::Method;
use serde_json::json;

use crate::{
    machine::{LISTED, LISTED_UID, Machine, PATIENCE, Touch},
    needs,
    pam::{ssh_as, start_sshd, touching},
};

/// What opens the box.
const PASSPHRASE: &str = "correct horse battery staple";
/// Shows what a session has: the ticket, and whose file it is in.
const SHOWS: &str = "klist; stat -c 'owner %u mode %a' \"${KRB5CCNAME#FILE:}\"; echo cache $KRB5CCNAME";

/// `PAM_DELETE_CRED`, which `pamtester` has no name for: it is among what is not the one that establishes.
const DELETES: &str = "setcred(~PAM_ESTABLISH_CRED)";

/// The same of a session that `pamtester` opens, into a file.
fn shown(machine: &Machine<'_>) -> String {
    fs::read_to_string(machine.folder.path().join("session")).unwrap_or_default()
}

/// The cache that a session said it has.
fn cache(said: &str) -> &Path {
    let line = said.lines().find_map(|line| line.strip_prefix("cache FILE:"));
    Path::new(line.unwrap_or_else(|| panic!("no cache: {said}")))
}

fn is_his(said: &str) {
    assert!(said.contains(&format!("Default principal: {LISTED}@MIT.EXAMPLE")), "{said}");
    assert!(said.contains("krbtgt/MIT.EXAMPLE@MIT.EXAMPLE"), "{said}");
    assert!(said.contains(&format!("owner {LISTED_UID} mode 600")), "{said}");
    assert!(cache(said).starts_with("/tmp"), "{said}");
}

/// Programs that ask for a finger and a ticket with these options.
fn asks(machine: &Machine<'_>, service: &str, options: &str) {
    let script = machine.folder.path().join("shows");
    fs::write(&script, format!("#!/bin/sh\n{SHOWS}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let then = format!(
        "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_exec.so log={} {}\n",
        machine.folder.path().join("session").display(),
        script.display()
    );
    machine.asks_at(service, &machine.socket(), options, &then);
}

#[test]
fn handover_pam_a_login_by_a_finger_leaves_a_ticket_of_its_person_s_own_while_its_session_lasts() {
    needs!(Logins);
    needs!(Mit);
    let slapd = Slapd::start(10, Options { syncprov: true, ..Options::default() }).unwrap();
    let network = &slapd.namespace;
    let folder = tempfile::tempdir().unwrap();
    let [password, users] = ["password", "users.pem"].map(|name| folder.path().join(name));
    fs::write(&password, format!("{}\n", slapd::PASSWORD)).unwrap();
    let section = format!(
        "[[directory]]\nname = \"corp\"\npassword-file = {password:?}\ninterval-seconds = 3600\n{}",
        slapd.followed()
    );
    let mut mit = None;
    let machine = Machine::prepared(network, &section, LISTED, |machine| {
        let passphrase = json!({ "mode": "passphrase", "passphrase": PASSPHRASE });
        machine.ask("administrator", &Method::PUT, "/v1/system/at-rest", Some(&passphrase));
        let path = "/v1/certificates/authority";
        let made = machine.ask("administrator", &Method::POST, path, Some(&json!({})));
        fs::write(&users, made["certificate"].as_str().unwrap()).unwrap();
        let at = (network, slapd::ADDRESS);
        let realm = mit.insert(Mit::start(at, &slapd.authority, &users, &[LISTED]).unwrap());
        // As programs of the machine see it; whom it trusts, the agent says.
        let kerberos = fs::read_to_string(realm.kerberos()).unwrap();
        let kerberos: Vec<&str> = kerberos.lines().filter(|line| !line.contains("pkinit_anchors")).collect();
        network.etc("krb5.conf", &(kerberos.join("\n") + "\n")).unwrap();
        let anchors = machine.folder.path().join("kdc.pem");
        fs::copy(&slapd.authority.file, &anchors).unwrap();
        fs::set_permissions(&anchors, fs::Permissions::from_mode(0o644)).unwrap();
        format!("[ticket]\nanchors = {anchors:?}\n")
    });
    asks(&machine, "desk", "timeout=30 ticket");
    asks(&machine, "strict", "timeout=30 ticket=required");
    machine.asks_at(
        "sshd",
        &machine.socket(),
        "timeout=30 ticket",
        "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    );
    let session = ["authenticate", "acct_mgmt", "setcred(PAM_ESTABLISH_CRED)", "open_session"];
    let login = |service: &str, touch: u64, more: &[&str]| {
        let command = [&["pamtester", service, LISTED][..], &session, more].concat();
        touching(&machine, machine.as_root(&command), Touch::Alice(touch))
    };

    let began = Instant::now();
    let opened = login("desk", 4, &[]);
    println!("    pamtester, by a finger, with a ticket: {} ms", began.elapsed().as_millis());
    assert!(opened.success, "{opened:?}\n{}", machine.agent_said());
    is_his(&shown(&machine));
    // Its program ended without a word; the session may go on.
    let first = cache(&shown(&machine)).to_owned();
    assert!(first.exists());
    fs::remove_file(first).unwrap();
    fs::remove_file(machine.folder.path().join("session")).unwrap();

    let closed = login("strict", 5, &["close_session", DELETES]);
    assert!(closed.success, "{closed:?}\n{}", machine.agent_said());
    let said = shown(&machine);
    is_his(&said);
    assert!(!cache(&said).exists(), "it goes with the session");

    // sshd authenticates in a process, and establishes in another.
    let _sshd = start_sshd(&machine);
    let came = touching(&machine, ssh_as(&machine, LISTED, SHOWS), Touch::Alice(6));
    assert!(came.success, "{came:?}\n{}", machine.agent_said());
    is_his(&came.said);
    let began = Instant::now();
    while cache(&came.said).exists() {
        assert!(began.elapsed() < PATIENCE, "it goes with the session: {came:?}");
        thread::sleep(Duration::from_millis(50));
    }

    // What was given is not there any more, at the agent nor at PAM; and nobody is in a log by name.
    let left = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(left(&machine.socket().with_file_name("tickets")), 0);
    assert!(!machine.agent_said().contains(LISTED), "{}", machine.agent_said());

    // Without a Kerberos server the finger is good for a login, and for no ticket.
    drop(mit.take());
    fs::remove_file(machine.folder.path().join("session")).unwrap();
    let without = login("desk", 10, &[]);
    assert!(
        without.success && without.said.contains("No Kerberos ticket"),
        "{without:?}\n{}",
        machine.agent_said()
    );
    assert!(!shown(&machine).contains("Default principal"), "{}", shown(&machine));
    let refused = login("strict", 9, &[]);
    let said = machine.agent_said();
    assert!(!refused.success && refused.said.contains("No Kerberos ticket"), "{refused:?}\n{said}");
    assert!(refused.said.contains("Authentication failure"), "{refused:?}");
    // Nor without a certificate: the box gives none while its master key lies in a file.
    let in_a_file = json!({ "mode": "key-file", "current": PASSPHRASE });
    machine.ask("administrator", &Method::PUT, "/v1/system/at-rest", Some(&in_a_file));
    let without = login("desk", 11, &[]);
    assert!(without.success && without.said.contains("No Kerberos ticket"), "{without:?}\n{said}");
    assert!(!machine.agent_said().contains(LISTED), "{}", machine.agent_said());
}
