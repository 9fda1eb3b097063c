//! RADIUS: a box asked by FreeRADIUS's own client, by FreeRADIUS as a proxy, and by who sends what nobody would.

mod codes;
mod proxy;
mod push;
mod wire;

use std::{
    io::Write as _,
    net::UdpSocket,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use authenteon::radius::{Attribute, Code, Packet, Secret};
use authenteon_tests::{
    load::served::{Hand, Served},
    servers::namespace::Namespace,
};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The box, two clients with a secret each, a proxy, and somebody who may not ask.
pub(super) const BOX: &str = "10.97.0.1";
pub(super) const VPN: &str = "10.97.0.2";
pub(super) const DESK: &str = "10.97.0.3";
pub(super) const PROXY: &str = "10.97.0.4";
pub(super) const STRANGER: &str = "10.97.0.5";
pub(super) const SECRET: &str = "a secret of the vpn and the box";
pub(super) const OTHER_SECRET: &str = "another one, of the desk and the box";
/// No answer comes any more after so long.
pub(super) const SILENCE: Duration = Duration::from_millis(700);

pub(super) fn network() -> Namespace {
    Namespace::new(&[BOX, VPN, DESK, PROXY, STRANGER]).unwrap()
}

/// A box with RADIUS, in a network of its own or somebody's.
pub(super) struct Office {
    pub(super) served: Served,
    _folder: TempDir,
}

impl Office {
    /// With more lines in its configuration; clients are added to what they say.
    pub(super) fn start(network: &Namespace, lines: &str, clients: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, secret: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            file
        };
        let client = |name: &str, address: &str, secret: &str, more: &str| {
            let file = file(name, secret);
            format!(
                "[[radius.client]]\nname = \"{name}\"\naddresses = [\"{address}\"]\nsecret-file = {file:?}\n{more}"
            )
        };
        // Over TLS packets come in by one interface alone, where there is but one.
        let interface = if clients.contains("radsec") { "interface = \"lo\"\n" } else { "" };
        let text = [
            format!("[radius]\nlisten = [\"{BOX}\"]\n{interface}"),
            client("vpn", VPN, SECRET, ""),
            client("itself", BOX, SECRET, ""),
            client("proxy", PROXY, OTHER_SECRET, ""),
            clients.replace("OTHER_SECRET", &file("other", OTHER_SECRET).display().to_string()),
            lines.to_owned(),
        ];
        let served = Served::start(network.entrance(), &text.concat()).unwrap();
        let (itself, began) = (Raw::new(network, BOX), Instant::now());
        let mut number = 0;
        // It listens a moment after the API does.
        while itself.ask(&proved(SECRET, (Code::StatusServer, number, [0xEE; 16]), vec![])).is_none() {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", served.said());
            thread::sleep(Duration::from_millis(20));
            number += 1;
        }
        Self { served, _folder: folder }
    }

    pub(super) fn ask(&self, role: &str, method: &Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.served.ask(role, method, path, body).unwrap()
    }

    /// Somebody new with a finger.
    pub(super) fn person(&self, name: &str, fingers: &Hand) -> String {
        let (status, body) =
            self.ask("officer", &Method::POST, "/v1/subjects", Some(&json!({ "name": name })));
        assert_eq!(status, 201, "{body}");
        let id = body["subject_id"].as_str().unwrap().to_owned();
        self.enrol(&id, fingers);
        id
    }

    pub(super) fn enrol(&self, id: &str, fingers: &Hand) {
        let finger = json!({ "position": "right-index", "samples": fingers.enrol });
        let (status, body) =
            self.ask("officer", &Method::POST, &format!("/v1/subjects/{id}/fingers"), Some(&finger));
        assert_eq!(status, 201, "{body}");
    }

    /// The name of a request that was accepted.
    pub(super) fn accept(&self, whom: &Value, fingers: &mut impl Iterator<Item = Value>) -> String {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        // One print in some hundreds is not good enough to be matched; each is presented once.
        for sample in fingers.take(3) {
            let number = ASKED.fetch_add(1, Ordering::Relaxed);
            let request = format!("radius-{number}");
            let mut body =
                json!({ "sample": sample, "request_id": request, "nonce": format!("{number:032x}") });
            body.as_object_mut().unwrap().extend(whom.as_object().unwrap().clone());
            let (status, answer) = self.ask("station", &Method::POST, "/v1/verify", Some(&body));
            assert_eq!(status, 200, "{answer}");
            if answer["decision"] == "accept" {
                return request;
            }
        }
        panic!("no print of three was accepted");
    }

    /// A code for somebody.
    pub(super) fn code(&self, whom: &Value, fingers: &mut impl Iterator<Item = Value>) -> String {
        let request = self.accept(whom, fingers);
        let (status, given) = self.redeem(&request);
        assert_eq!(status, 201, "{given}");
        given["one_time_code"].as_str().unwrap().to_owned()
    }

    pub(super) fn redeem(&self, request: &str) -> (u16, Value) {
        self.ask("station", &Method::POST, "/v1/one-time-codes", Some(&json!({ "request_id": request })))
    }

    /// Everything that the audit has of a kind.
    pub(super) fn audit(&self, kind: &str) -> Vec<Value> {
        let (status, page) = self.ask("auditor", &Method::GET, "/v1/audit?limit=1000", None);
        assert_eq!(status, 200, "{page}");
        let records = page["records"].as_array().unwrap().iter();
        records.filter(|record| record["what"]["event"] == kind).cloned().collect()
    }
}

/// What a client was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Accept,
    Reject,
    Nothing,
}

pub(super) fn told(said: &str) -> Told {
    if said.contains("Received Access-Accept") {
        Told::Accept
    } else if said.contains("Received Access-Reject") {
        Told::Reject
    } else {
        Told::Nothing
    }
}

/// Asks with FreeRADIUS's client from an address: what it was told, and all that it says. It checks the authenticators of the
/// answer by itself.
pub(super) fn radclient(
    network: &Namespace,
    from: &str,
    to: &str,
    secret: &str,
    lines: &str,
) -> (Told, String) {
    let lines = format!("{lines}\nPacket-Src-IP-Address = {from}\n");
    let mut command = network.command("radclient");
    command.args(["-x", "-t", "3", "-r", "2", &format!("{to}:1812"), "auth", secret]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (told(&said), said)
}

pub(super) fn pap(user: &str, password: &str) -> String {
    format!("User-Name = \"{user}\"\nUser-Password = \"{password}\"\nMessage-Authenticator = 0x00")
}

pub(super) fn code_of(network: &Namespace, user: &str, code: &str) -> Told {
    radclient(network, VPN, BOX, SECRET, &pap(user, code)).0
}

/// Another code than this one.
pub(super) fn wrong(code: &str) -> String {
    let last = code.as_bytes()[7];
    format!("{}{}", &code[..7], if last == b'9' { '0' } else { char::from(last + 1) })
}

/// A socket of one client, in the network.
pub(super) struct Raw {
    socket: UdpSocket,
}

impl Raw {
    pub(super) fn new(network: &Namespace, from: &str) -> Self {
        let socket = network.within(|| UdpSocket::bind((from, 0)).unwrap()).unwrap();
        socket.connect((BOX, 1812)).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        Self { socket }
    }

    /// The answer to these bytes, if one comes.
    pub(super) fn ask(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.socket.send(bytes).unwrap();
        let mut answer = [0; 4096];
        let length = self.socket.recv(&mut answer).ok()?;
        Some(answer[..length].to_vec())
    }
}

/// A request with these attributes, proved by a secret.
pub(super) fn proved(
    secret: &str,
    (code, identifier, authenticator): (Code, u8, [u8; 16]),
    attributes: Vec<Attribute>,
) -> Vec<u8> {
    let secret = Secret::try_from(secret).unwrap();
    let blank = Packet { code, identifier, authenticator, attributes: Vec::new() };
    // What proves an answer proves a request, with its own authenticator in it.
    let proved = Packet::read(&secret.answer(&blank, code, attributes)).unwrap();
    Packet { authenticator, ..proved }.write()
}

/// A password of up to sixteen bytes, hidden.
pub(super) fn hidden(secret: &str, authenticator: [u8; 16], password: &str) -> Vec<u8> {
    let secret = Secret::try_from(secret).unwrap();
    let mut block = [0; 16];
    block[..password.len()].copy_from_slice(password.as_bytes());
    let blank = Packet { code: Code::AccessRequest, identifier: 0, authenticator, attributes: Vec::new() };
    // One block is hidden and read in the same way.
    let mut hidden = secret.password(&blank, &block).unwrap().to_vec();
    hidden.resize(16, 0);
    hidden
}
