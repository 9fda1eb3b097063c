//! The whole chain, as a person sees it: a finger is laid on the box's reader, `authenteonctl login --kinit` leaves a ticket, and
//! with it a file opens.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use authenteon_hal::Frame;
use authenteon_tests::{
    servers::{
        ganesha::{Ganesha, Realm},
        mit::{self, Mit},
        namespace::{Entrance, Namespace},
        people,
        samba::{self, Samba},
        slapd::{self, Options, Slapd},
    },
    sets::png,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    needs,
    office::Office,
    reader::{Reader, print},
};

/// A box with a reader, in the network of a directory, whose authority for people nobody trusts yet.
struct Opened {
    office: Office,
    reader: Reader,
    folder: TempDir,
    /// That authority.
    authority: PathBuf,
}

/// The same with a realm that trusts it.
struct Chain<'a> {
    opened: Opened,
    network: &'a Namespace,
    kerberos: PathBuf,
}

/// Of p00006 on the machine that serves files; the next one is that of p00007.
const UID: u32 = 6006;

/// A ticket cache.
struct Ticket(PathBuf);

/// How long each link took.
#[derive(Debug)]
struct Links {
    /// From the finger on the glass until the reader has seen it.
    seen: Duration,
    /// Until its frame is at the box: what the wire of the reader takes.
    uploaded: Duration,
    /// Until the station has the decision.
    decided: Duration,
    /// Until it has the certificate.
    certified: Duration,
    /// Until the ticket lies in its cache.
    ticket: Duration,
}

impl Opened {
    /// A box that follows a directory by these lines. `paced`: its reader's frames take as long as on a wire.
    fn beside(network: Entrance, (directory, password): (&str, &str), paced: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Reader::plugged_in(paced);
        let office = Office::open(network, &format!("{directory}{}", reader.section()), password, "");
        reader.adopt(&office.served);
        let authority = folder.path().join("users.pem");
        fs::write(&authority, office.authority()).unwrap();
        Self { office, reader, folder, authority }
    }
}

impl Chain<'_> {
    /// Fingers become those of who have these logins; their frames were taken elsewhere.
    fn enrol(&self, people: &[(&str, u64)]) {
        let Opened { office, .. } = &self.opened;
        for (login, finger) in people {
            let taken = |impression| {
                let frame = print(*finger, impression);
                let png = png(frame.width(), frame.height(), frame.pixels(), false).unwrap();
                json!({ "format": "png", "data": STANDARD.encode(png) })
            };
            let samples: Vec<Value> = (1..=3).map(taken).collect();
            let finger = json!({ "position": "right-index", "samples": samples });
            let path = format!("/v1/subjects/{}/fingers", office.somebody(login).as_str().unwrap());
            let (status, body) = office.ask("officer", &Method::POST, &path, &finger);
            assert_eq!(status, 201, "{body}");
        }
    }

    /// A ticket of somebody by his finger, laid on the reader; one print in some hundreds is not good enough.
    fn ticket(&self, login: &str, finger: u64) -> Ticket {
        let cache = self.opened.folder.path().join(login);
        let got =
            (11..14).find_map(|impression| self.presented(login, &print(finger, impression), &cache).ok());
        let links = got.unwrap_or_else(|| panic!("{login}: none of three became a ticket"));
        println!("    {login}: {links}");
        Ticket(cache)
    }

    /// One try.
    fn presented(&self, login: &str, print: &Frame, cache: &Path) -> Result<Links, String> {
        let Opened { office, reader, .. } = &self.opened;
        let mut command = office.served.ctl(self.network, "station").unwrap();
        command.env("KRB5_CONFIG", &self.kerberos).args(["--json", "login", "--kinit", login]);
        command.args(["--sensor", reader.sensor(), "--wait", "60", "--cache"]).arg(cache);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let told = thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.map(|line| (Instant::now(), line)).collect::<Vec<_>>()
        });
        let laid_down = reader.touch(&office.served, print);
        let output = child.wait_with_output().unwrap();
        let ticket = laid_down.elapsed();
        let told = told.join().unwrap();
        if !output.status.success() {
            let said = format!("{} {told:?}", String::from_utf8_lossy(&output.stdout));
            println!("    {login}: {said}");
            return Err(said);
        }
        let when = |name: &str| {
            let event =
                |line: &str| serde_json::from_str::<Value>(line).ok().filter(|told| told["event"] == name);
            let found = told.iter().find(|(_, line)| event(line).is_some());
            let (at, _) = found.unwrap_or_else(|| panic!("nobody told of {name}: {told:?}"));
            at.saturating_duration_since(laid_down)
        };
        Ok(Links {
            seen: when("hold"),
            uploaded: when("lift"),
            decided: when("accepted"),
            certified: when("certified"),
            ticket,
        })
    }

    /// What a program says with a ticket.
    fn with(&self, ticket: &Ticket, mut command: Command) -> Result<String, String> {
        command.env("KRB5_CONFIG", &self.kerberos).env("KRB5CCNAME", format!("FILE:{}", ticket.0.display()));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// What comes of reading a file over NFS: with a ticket to this service, or without one.
    fn over_nfs(&self, address: &str, shown: Option<(&Ticket, &str)>, file: &str) -> Value {
        let command = Ganesha::client(self.network, address, shown.map(|(_, service)| service), file);
        let said = match shown {
            Some((ticket, _)) => self.with(ticket, command),
            None => self.with(&Ticket("/nowhere".into()), command),
        };
        let said = said.unwrap_or_else(|why| panic!("{why}"));
        serde_json::from_str(&said).unwrap()
    }
}

impl std::fmt::Display for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = |end: Duration, begin: Duration| end.saturating_sub(begin).as_millis();
        let upload = self.uploaded.saturating_sub(self.seen);
        write!(
            f,
            "finger seen {} ms, frame uploaded {} ms, decision {} ms, certificate {} ms, ticket {} ms: {} ms without the upload",
            self.seen.as_millis(),
            upload.as_millis(),
            since(self.decided, self.uploaded),
            since(self.certified, self.decided),
            since(self.ticket, self.certified),
            since(self.ticket, upload),
        )
    }
}

/// Who these are on the machine that serves files.
fn accounts(network: &Namespace, people: &[(&str, u32)]) {
    for (etc, form) in [("passwd", ":x:UID:UID::/:/bin/sh\n"), ("group", ":x:UID:\n")] {
        let mut text = fs::read_to_string(Path::new("/etc").join(etc)).unwrap();
        text.extend(
            people.iter().map(|(login, uid)| format!("{login}{}", form.replace("UID", &uid.to_string()))),
        );
        network.etc(etc, &text).unwrap();
    }
}

/// A file that nobody but its owner may read.
fn private(path: &Path, owner: u32) {
    fs::write(path, "nfs hello").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(path, Some(owner), Some(owner)).unwrap();
}

/// The person of this number comes in by a certificate alone.
fn fingers_only(samba: &Samba, number: usize) {
    let change = format!(
        "dn: {}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {}\n",
        samba::dn(number),
        0x40200
    );
    samba.change(&change).unwrap();
}

#[test]
fn handover_a_finger_on_the_reader_becomes_a_ticket_of_active_directory_and_opens_files_over_smb_and_nfs() {
    needs!(Kerberos);
    needs!(Nfs);
    let mut samba = Samba::start(people()).unwrap();
    let opened = Opened::beside(samba.namespace.entrance(), (&samba.followed(), samba::PASSWORD), true);
    samba.with_kerberos(&opened.authority).unwrap();
    [6, 7].iter().for_each(|number| fingers_only(&samba, *number));
    let keytab = samba.service("nfs").unwrap();
    let kerberos = samba.kerberos().unwrap().to_owned();
    let network = &samba.namespace;
    let realm = Realm { name: "CORP.EXAMPLE", kerberos: &kerberos, keytab: &keytab };
    let chain = Chain { opened, network, kerberos: kerberos.clone() };
    chain.enrol(&[("p00006", 1), ("p00007", 2)]);
    let ticket = chain.ticket("p00006", 1);

    fs::write(samba.shared().join("hello"), "smb hello").unwrap();
    let readable = Command::new("chmod").args(["-R", "a+rX"]).arg(samba.shared()).status().unwrap();
    assert!(readable.success());
    let mut smb = network.command("smbclient");
    smb.args(["--use-kerberos=required", "//dc1.corp.example/files", "-c", "get hello /dev/stdout"]);
    let began = Instant::now();
    let said = chain.with(&ticket, smb).unwrap();
    println!("    a file over SMB: {} ms", began.elapsed().as_millis());
    assert!(said.contains("smb hello"), "{said}");

    opens_his_own_over_nfs(&chain, samba::ADDRESS, realm, &format!("nfs@{}", samba::HOST), &ticket);
}

#[test]
fn handover_a_finger_on_the_reader_becomes_a_ticket_of_an_mit_realm_and_opens_a_file_over_nfs() {
    needs!(Mit);
    needs!(Nfs);
    let slapd = Slapd::start(people(), Options { syncprov: true, ..Options::default() }).unwrap();
    let network = &slapd.namespace;
    let opened = Opened::beside(network.entrance(), (&slapd.followed(), slapd::PASSWORD), false);
    let at = (network, slapd::ADDRESS);
    let mit = Mit::start(at, &slapd.authority, &opened.authority, &["p00006", "p00007"]).unwrap();
    let keytab = mit.service(network, "nfs/files.mit.example").unwrap();
    let kerberos = mit.kerberos();
    let realm = Realm { name: mit::REALM, kerberos: &kerberos, keytab: &keytab };
    let chain = Chain { opened, network, kerberos: kerberos.clone() };
    chain.enrol(&[("p00006", 1), ("p00007", 2)]);
    let ticket = chain.ticket("p00006", 1);
    opens_his_own_over_nfs(&chain, slapd::ADDRESS, realm, "nfs@files.mit.example", &ticket);
}

/// The file of p00006 opens for his ticket, not for that of p00007, and not for whoever shows none.
fn opens_his_own_over_nfs(chain: &Chain<'_>, address: &str, realm: Realm<'_>, service: &str, his: &Ticket) {
    accounts(chain.network, &[("p00006", UID), ("p00007", UID + 1)]);
    let ganesha = Ganesha::start((chain.network, address), realm).unwrap();
    private(&ganesha.exported().join("his"), UID);
    let read = chain.over_nfs(address, Some((his, service)), "his");
    assert_eq!((&read["status"], &read["text"]), (&"ok".into(), &"nfs hello".into()), "{}", ganesha.said());
    println!("    a file over NFS: the ticket shown {} ms, read {} ms", read["context_ms"], read["read_ms"]);

    let other = chain.ticket("p00007", 2);
    let refused = chain.over_nfs(address, Some((&other, service)), "his");
    assert_eq!(
        (&refused["status"], &refused["text"]),
        (&"access".into(), &Value::Null),
        "{}",
        ganesha.said()
    );
    // Who only says that he is root.
    let refused = chain.over_nfs(address, None, "his");
    assert_eq!((&refused["status"], &refused["text"]), (&"wrongsec".into(), &Value::Null));
}
