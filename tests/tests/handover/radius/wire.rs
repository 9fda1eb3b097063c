//! What comes over the wire: again, without proof, cut, or by somebody else.

use authenteon::radius::{Attribute, Code, Packet, Secret};
use authenteon_tests::load::served::hand;
use serde_json::json;

use super::{
    BOX, OTHER_SECRET, Office, Raw, SECRET, STRANGER, Told, VPN, hidden, network, pap, proved, radclient,
    told,
};
use crate::needs;

#[test]
fn handover_radius_a_request_that_comes_again_gets_its_answer_and_a_replay_lets_nobody_in() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let fingers = hand(8).unwrap();
    let ada = office.person("Ada", &fingers);
    let code = office.code(&json!({ "subject_id": ada }), &mut fingers.probes.iter().cloned());
    let authenticator = [7; 16];
    let attributes = vec![
        Attribute::new(1, ada.as_bytes()),
        Attribute::new(2, &hidden(SECRET, authenticator, &code)),
        Attribute::new(33, b"of a proxy"),
        Attribute::new(33, b"of another"),
    ];
    let request = proved(SECRET, (Code::AccessRequest, 5, authenticator), attributes);
    let vpn = Raw::new(&network, VPN);
    let answer = vpn.ask(&request).unwrap();
    let read = Packet::read(&answer).unwrap();
    assert_eq!((read.code, read.identifier), (Code::AccessAccept, 5));
    assert_eq!(read.attributes[0].kind(), 80, "its Message-Authenticator comes first");
    let states: Vec<&[u8]> = read.all(33).collect();
    assert_eq!(states, [&b"of a proxy"[..], b"of another"]);
    assert_eq!(Secret::try_from(SECRET).unwrap().check(&Packet { authenticator, ..read }), Ok(()));
    assert_eq!(vpn.ask(&request), Some(answer.clone()), "it was lost, and is sent again");
    assert_eq!(vpn.ask(&[&request[..], &[0; 7]].concat()), Some(answer), "padding makes it no other one");
    let once = || {
        let accepts = office.audit("verified");
        accepts.iter().filter(|record| record["what"]["why"] == "one-time code").count()
    };
    assert_eq!(once(), 1);
    // From somewhere else it is from somebody else.
    let itself = Raw::new(&network, BOX);
    let replayed = Packet::read(&itself.ask(&request).unwrap()).unwrap();
    assert_eq!(replayed.code, Code::AccessReject);
    assert_eq!(Raw::new(&network, STRANGER).ask(&request), None);
    assert_eq!(once(), 1);
}

#[test]
fn handover_radius_what_is_not_proved_or_malformed_gets_no_answer_and_others_do() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let vpn = Raw::new(&network, VPN);
    let mut number = 0;
    let mut fresh = |code: Code| {
        number += 1;
        (code, number, [number; 16])
    };
    let is_there = |head| vpn.ask(&proved(SECRET, head, vec![])).is_some();
    assert!(is_there(fresh(Code::StatusServer)), "who is proved is told that there is somebody");
    let name = || Attribute::new(1, b"ada");
    let raw = |(code, identifier, authenticator): (Code, u8, [u8; 16]), attributes| {
        Packet { code, identifier, authenticator, attributes }.write()
    };
    // Who leaves it away, as before it was known why it must not be.
    let (_, said) =
        radclient(&network, VPN, BOX, SECRET, "User-Name = \"ada\"\nUser-Password = \"12345678\"\n");
    assert_eq!(told(&said), Told::Nothing, "{said}");
    let (_, said) = radclient(&network, VPN, BOX, "a wrong secret, of nobody", &pap("ada", "12345678"));
    assert_eq!(told(&said), Told::Nothing, "{said}");
    let good = proved(SECRET, fresh(Code::AccessRequest), vec![name()]);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let with_length = |low: u8| [&good[..3], &[low], &good[4..]].concat();
    let ignored = [
        ("no Message-Authenticator", raw(fresh(Code::AccessRequest), vec![name()])),
        ("zeros for one", raw(fresh(Code::AccessRequest), vec![name(), Attribute::new(80, &[0; 16])])),
        ("half of one", raw(fresh(Code::AccessRequest), vec![name(), Attribute::new(80, &[0; 8])])),
        ("two", proved(SECRET, fresh(Code::AccessRequest), vec![name(), Attribute::new(80, &[0; 16])])),
        ("another secret", proved(OTHER_SECRET, fresh(Code::AccessRequest), vec![name()])),
        ("changed on the way", changed),
        ("nothing", Vec::new()),
        ("one byte", vec![1]),
        ("cut", good[..good.len() - 1].to_vec()),
        ("shorter than a header", with_length(19)),
        ("longer than it is", with_length(255)),
        ("no status without proof", raw(fresh(Code::StatusServer), vec![])),
        ("accounting", proved(SECRET, fresh(Code::Other(4)), vec![name()])),
        ("an answer", proved(SECRET, fresh(Code::AccessAccept), vec![name()])),
        ("two names", proved(SECRET, fresh(Code::AccessRequest), vec![name(), name()])),
        (
            "half a password",
            proved(SECRET, fresh(Code::AccessRequest), vec![name(), Attribute::new(2, &[1; 15])]),
        ),
        (
            "too long a password",
            proved(SECRET, fresh(Code::AccessRequest), vec![name(), Attribute::new(2, &[1; 144])]),
        ),
    ];
    for (what, bytes) in &ignored {
        assert_eq!(vpn.ask(bytes), None, "{what}");
    }
    // An attribute that ends outside.
    let mut outside = proved(SECRET, fresh(Code::AccessRequest), vec![name()]);
    let at = outside.len() - 4;
    outside[at] = 200;
    assert_eq!(vpn.ask(&outside), None);
    assert_eq!(Raw::new(&network, STRANGER).ask(&good), None, "nobody may ask from there");
    assert!(is_there(fresh(Code::StatusServer)) && vpn.ask(&good).is_some(), "{}", office.served.said());
    let said = office.served.said();
    assert!(said.contains("is it the same secret on both sides?"), "{said}");
    assert!(!said.contains(SECRET) && !said.contains("panicked"), "{said}");
}
