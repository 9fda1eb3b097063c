//! One-time codes: of whom, for how long, and what else is typed in their place.

use std::time::Instant;

use authenteon_tests::{
    load::served::hand,
    servers::slapd::{self, Options, Slapd},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};

use super::{BOX, Office, PROXY, SECRET, Told, VPN, code_of, network, pap, radclient, told, wrong};
use crate::needs;

#[test]
fn handover_radius_a_code_that_a_finger_gave_lets_its_person_in_once_and_nobody_else() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let fingers = hand(20).unwrap();
    let mut probes = fingers.probes.iter().cloned();
    let ada = office.person("Ada", &fingers);
    let of_ada = json!({ "subject_id": ada });
    let request = office.accept(&of_ada, &mut probes);
    let (status, given) = office.redeem(&request);
    assert_eq!((status, &given["good_for_s"]), (201, &json!(60)), "{given}");
    let code = given["one_time_code"].as_str().unwrap();
    assert!(code.len() >= 8 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
    assert_eq!(office.redeem(&request).0, 409, "an accept gives one code");
    assert_eq!(office.redeem("of-nobody").0, 404);
    let bob = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";
    assert_eq!(code_of(&network, bob, code), Told::Reject, "the code is Ada's");
    assert_eq!(code_of(&network, &ada, &wrong(code)), Told::Reject);
    let began = Instant::now();
    let (answer, said) = radclient(&network, VPN, BOX, SECRET, &pap(&ada, code));
    println!("a right code: {} ms with the start of radclient", began.elapsed().as_millis());
    assert_eq!(answer, Told::Accept, "{said}\n{}", office.served.said());
    assert!(
        said.split("Received").nth(1).is_some_and(|answer| answer.contains("Message-Authenticator")),
        "{said}"
    );
    assert_eq!(code_of(&network, &ada, code), Told::Reject, "once");
    // As the other client of FreeRADIUS asks.
    let code = office.code(&of_ada, &mut probes);
    let radtest = |password: &str| {
        let mut command = network.command("radtest");
        let output = command.args([&ada, password, BOX, "0", SECRET]).output().unwrap();
        told(&String::from_utf8_lossy(&output.stdout))
    };
    assert_eq!(radtest("secret"), Told::Reject);
    assert_eq!(radtest(&code), Told::Accept);
    let decided = office.audit("verified");
    let by: Vec<&Value> = decided.iter().filter(|record| record["by"]["name"] == "radius.vpn").collect();
    let why: Vec<&str> = by.iter().map(|record| record["what"]["why"].as_str().unwrap()).collect();
    assert_eq!(why, ["wrong one-time code", "wrong one-time code", "one-time code", "wrong one-time code"]);
    assert_eq!(by[2]["by"]["from"], VPN);
    assert_eq!(office.audit("one-time-code-given").len(), 2);
    let said = office.served.said();
    assert!(!said.contains(&ada) && !said.contains(&code), "neither people nor codes are in the log");
}

#[test]
fn handover_radius_a_login_of_the_directory_is_enough_until_it_is_disabled_and_guesses_lock_it_out() {
    needs!(Radius);
    needs!(Slapd);
    let slapd = Slapd::start(12, Options { syncprov: true, ..Options::default() }).unwrap();
    for address in [BOX, VPN, PROXY] {
        slapd.namespace.run("ip", &["addr", "add", &format!("{address}/32"), "dev", "lo"], "").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, slapd::PASSWORD).unwrap();
    let directory = format!(
        "[[directory]]\nname = \"corp\"\npassword-file = {password:?}\ninterval-seconds = 3600\n{}",
        slapd.followed()
    );
    let office = Office::start(&slapd.namespace, &directory, "");
    let sync = || {
        let path = "/v1/directory/corp/sync";
        let (status, body) = office.ask("administrator", &Method::POST, path, Some(&json!({})));
        assert_eq!(status, 200, "{body}");
    };
    sync();
    let (_, people) = office.ask("officer", &Method::GET, "/v1/subjects?limit=100", None);
    let id = |login: &str| {
        let all = people["subjects"].as_array().unwrap();
        let found = all.iter().find(|subject| subject["directory"]["login"] == login).unwrap();
        found["subject_id"].as_str().unwrap().to_owned()
    };
    let fingers = hand(24).unwrap();
    let mut probes = fingers.probes.iter().cloned();
    office.enrol(&id("p00006"), &fingers);
    let whom = json!({ "login": "p00006" });
    let code = office.code(&whom, &mut probes);
    assert_eq!(code_of(&slapd.namespace, "p00005", &code), Told::Reject);
    assert_eq!(code_of(&slapd.namespace, "CORP\\\\P00006", &code), Told::Accept);
    let code = office.code(&whom, &mut probes);
    // Disabled between the finger and the code.
    slapd
        .change(&format!(
            "dn: {}\nchangetype: modify\nreplace: loginDisabled\nloginDisabled: TRUE\n",
            slapd::dn(6)
        ))
        .unwrap();
    sync();
    assert_eq!(code_of(&slapd.namespace, "p00006", &code), Told::Reject);
    slapd
        .change(&format!(
            "dn: {}\nchangetype: modify\nreplace: loginDisabled\nloginDisabled: FALSE\n",
            slapd::dn(6)
        ))
        .unwrap();
    sync();
    // Guesses: the fifth locks, and a right code is of no use then.
    let code = office.code(&whom, &mut probes);
    for _ in 0..5 {
        assert_eq!(code_of(&slapd.namespace, "p00006", &wrong(&code)), Told::Reject);
    }
    let (answer, said) = radclient(&slapd.namespace, VPN, BOX, SECRET, &pap("p00006", &code));
    assert!(answer == Told::Reject && said.contains("locked-out"), "{said}");
    // Whoever is nobody is locked out alike.
    for _ in 0..5 {
        assert_eq!(code_of(&slapd.namespace, "nobody", "12345678"), Told::Reject);
    }
    let (answer, said) = radclient(&slapd.namespace, VPN, BOX, SECRET, &pap("nobody", "12345678"));
    assert!(answer == Told::Reject && said.contains("locked-out"), "{said}");
    let (status, locked) = office.ask("officer", &Method::GET, "/v1/lockouts", None);
    assert_eq!(status, 200);
    assert!(!locked.to_string().contains("radius.vpn"), "nobody locks the VPN for the others: {locked}");
}

#[test]
fn handover_radius_what_is_no_code_is_told_what_is_needed_and_counts_against_nobody() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let nobody = "0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11";
    let said = |lines: &str| {
        let (answer, said) = radclient(&network, VPN, BOX, SECRET, lines);
        assert_eq!(answer, Told::Reject, "{said}");
        said
    };
    for _ in 0..8 {
        assert!(said(&pap(nobody, "password")).contains("8 digits"));
    }
    assert!(said(&format!("User-Name = {nobody}\nMessage-Authenticator = 0x00")).contains("8 digits"));
    let chap = format!("User-Name = {nobody}\nCHAP-Password = \"12345678\"\nMessage-Authenticator = 0x00");
    assert!(said(&chap).contains("only PAP"));
    let mschap =
        format!("User-Name = {nobody}\nMS-CHAP-Password = \"12345678\"\nMessage-Authenticator = 0x00");
    assert!(said(&mschap).contains("only PAP"));
    let eap = format!("User-Name = {nobody}\nEAP-Message = 0x0200000a01626f62\nMessage-Authenticator = 0x00");
    assert!(said(&eap).contains("802.1X"));
    assert!(said("User-Password = \"12345678\"\nMessage-Authenticator = 0x00").contains("User-Name"));
    assert_eq!(office.audit("verified").len(), 0, "nobody guessed anything");
    let (_, lockouts) = office.ask("officer", &Method::GET, "/v1/lockouts", None);
    assert!(!lockouts.to_string().contains(nobody), "{lockouts}");
}

#[test]
fn handover_radius_the_command_line_shows_the_code_of_an_accept_and_none_of_a_refusal() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let fingers = hand(3).unwrap();
    let ada = office.person("Ada", &fingers);
    let folder = tempfile::tempdir().unwrap();
    let verify = |whom: &str, number: usize| {
        let print = folder.path().join(format!("{number}.png"));
        std::fs::write(&print, STANDARD.decode(fingers.probes[number]["data"].as_str().unwrap()).unwrap())
            .unwrap();
        let mut command = office.served.ctl(&network, "station").unwrap();
        let output = command.args(["verify", "--one-time-code", whom]).arg(&print).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let refused = verify("0b7a3c52-5a0e-4d8e-9c1a-2f6d7f0e8a11", 0);
    assert!(refused.contains("not-matched") && !refused.contains("one-time code"), "{refused}");
    // One print in some hundreds is not good enough to be matched.
    let said = [verify(&ada, 1), verify(&ada, 2)];
    let code = said.iter().rev().find_map(|said| said.split("one-time code: ").nth(1)?.get(..8));
    let code = code.unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(code_of(&network, &ada, code), Told::Accept, "{said:?}");
}
