//! FreeRADIUS between a client and the box, over UDP and over TLS.

use authenteon_tests::{
    load::served::hand,
    servers::{
        authority::Authority,
        freeradius::{Behind, Proxy},
    },
};
use serde_json::json;

use super::{BOX, OTHER_SECRET, Office, PROXY, SECRET, Told, VPN, network, pap, radclient, wrong};
use crate::needs;

#[test]
fn handover_radius_a_proxy_of_freeradius_gets_accept_and_reject() {
    needs!(Radius);
    let network = network();
    let office = Office::start(&network, "", "");
    let fingers = hand(8).unwrap();
    let ada = office.person("Ada", &fingers);
    let proxy = Proxy::start(&network, PROXY, SECRET, Behind::Udp(BOX, OTHER_SECRET)).unwrap();
    let code = office.code(&json!({ "subject_id": ada }), &mut fingers.probes.iter().cloned());
    let ask = |code: &str| radclient(&network, VPN, PROXY, SECRET, &pap(&ada, code));
    let (answer, said) = ask(&wrong(&code));
    assert_eq!(answer, Told::Reject, "{said}\n{}", proxy.said());
    let (answer, said) = ask(&code);
    assert_eq!(answer, Told::Accept, "{said}\n{}\n{}", proxy.said(), office.served.said());
    assert_eq!(ask(&code).0, Told::Reject, "once");
    let by = office.audit("verified");
    assert_eq!(by.last().unwrap()["by"]["name"], "radius.proxy");
}

#[test]
fn handover_radius_a_proxy_asks_over_tls_with_a_certificate_and_nobody_without_one_does() {
    needs!(Radius);
    let network = network();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "radsec").unwrap();
    let of_box = authority.server(&["box.example", BOX], false).unwrap();
    let of_proxy = authority.client("proxy.example").unwrap();
    let of_nobody = authority.client("nobody.example").unwrap();
    let clients = format!(
        "[[radius.client]]\nname = \"over-tls\"\ncertificate-name = \"proxy.example\"\n[radius.radsec]\nlisten = \
         [\"{BOX}\"]\nca = {:?}\ncertificate = {:?}\nkey-file = {:?}\n",
        authority.file, of_box.certificate, of_box.key,
    );
    let office = Office::start(&network, "", &clients);
    let fingers = hand(8).unwrap();
    let ada = office.person("Ada", &fingers);
    let proxy = Proxy::start(&network, PROXY, SECRET, Behind::Tls(BOX, &of_proxy, &authority.file)).unwrap();
    let code = office.code(&json!({ "subject_id": ada }), &mut fingers.probes.iter().cloned());
    let ask = |code: &str| radclient(&network, VPN, PROXY, SECRET, &pap(&ada, code));
    let (answer, said) = ask(&wrong(&code));
    assert_eq!(answer, Told::Reject, "{said}\n{}\n{}", proxy.said(), office.served.said());
    let (answer, said) = ask(&code);
    assert_eq!(answer, Told::Accept, "{said}\n{}\n{}", proxy.said(), office.served.said());
    assert_eq!(office.audit("verified").last().unwrap()["by"]["name"], "radius.over-tls");
    drop(proxy);
    // One of the same authority whom the configuration does not name, and one of another.
    let strangers = Authority::new(folder.path(), "strangers").unwrap();
    let of_stranger = strangers.client("proxy.example").unwrap();
    for identity in [&of_nobody, &of_stranger] {
        let proxy =
            Proxy::start(&network, PROXY, SECRET, Behind::Tls(BOX, identity, &authority.file)).unwrap();
        assert_ne!(ask(&code).0, Told::Accept, "{}", proxy.said());
    }
    let decided = office.audit("verified");
    let of_radius = decided.iter().filter(|record| record["by"]["name"] == "radius.over-tls").count();
    assert_eq!(of_radius, 2, "nobody else was heard");
}
