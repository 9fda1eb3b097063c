//! From a finger to a Kerberos ticket, and to what a ticket opens: Samba's KDC and a file over SMB.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use authenteon_tests::servers::{
    authority::{Authority, Identity},
    mit::Mit,
    namespace::Namespace,
    people,
    samba::{self, DOMAIN, PASSWORD, Samba},
    slapd::{self, Options, Slapd},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{needs, office::Office};

/// From the finger's frame to the ticket it takes no longer, in a build that is optimised.
const FINGER_TO_TICKET: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 });

/// A key of a client, and where what comes for it lies.
struct Client {
    key: KeyPair,
    folder: TempDir,
}

impl Client {
    fn new() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Self { key, folder: tempfile::tempdir().unwrap() }
    }

    /// What its verification wants.
    fn wish(&self) -> Value {
        let digest = Sha256::digest(self.key.subject_public_key_info());
        let digest = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        json!({"certificate": {"key_sha256": digest}})
    }

    /// Asks for more than it gets.
    fn csr(&self) -> String {
        let mut params = CertificateParams::new(vec!["dc1.corp.example".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.serialize_request(&self.key).unwrap().pem().unwrap()
    }

    fn certified(&self, office: &Office, request: &str) -> (u16, Value) {
        let body = json!({"request_id": request, "csr": self.csr()});
        office.ask("station", &Method::POST, "/v1/certificates", &body)
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// A ticket by the certificate.
    fn kinit(
        &self,
        network: &Namespace,
        kerberos: &Path,
        certificate: &str,
        principal: &str,
    ) -> Result<String, String> {
        self.ticket(&Kinit { network, kerberos, principal, clock: None, trusted: &[] }, certificate)
    }

    /// The same, asked in another way.
    fn ticket(&self, kinit: &Kinit<'_>, certificate: &str) -> Result<String, String> {
        let file = |end: &str| self.folder.path().join(format!("user.{end}"));
        let identity = Identity { certificate: file("pem"), key: file("key") };
        fs::write(&identity.certificate, certificate).unwrap();
        fs::write(&identity.key, self.key.serialize_pem()).unwrap();
        kinit.by(&identity, &self.cache())
    }

    /// What `smbclient` says to a command, with the ticket.
    fn smb(&self, network: &Namespace, kerberos: &Path, command: &str) -> Result<String, String> {
        let mut client = network.command("smbclient");
        client.env("KRB5_CONFIG", kerberos).env("KRB5CCNAME", format!("FILE:{}", self.cache().display()));
        ended(client.args(["--use-kerberos=required", "//dc1.corp.example/files", "-c", command]))
    }
}

/// How a ticket is asked for.
struct Kinit<'a> {
    network: &'a Namespace,
    kerberos: &'a Path,
    principal: &'a str,
    /// How wrong the machine's clock is, as `faketime` takes it.
    clock: Option<&'a str>,
    /// Whose certificates the machine trusts, in the place of those of its configuration.
    trusted: &'a [&'a Path],
}

impl Kinit<'_> {
    fn by(&self, identity: &Identity, cache: &Path) -> Result<String, String> {
        let mut command = match self.clock {
            None => self.network.command("kinit"),
            Some(clock) => {
                let mut command = self.network.command("faketime");
                command.args(["-f", clock, "kinit"]);
                command
            }
        };
        command.env("KRB5_CONFIG", self.kerberos).env("KRB5CCNAME", format!("FILE:{}", cache.display()));
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        command.args(["-X", &format!("X509_user_identity=FILE:{certificate},{key}")]);
        for file in self.trusted {
            command.args(["-X", &format!("X509_anchors=FILE:{}", file.display())]);
        }
        ended(command.arg(self.principal))
    }
}

/// What a program says, as it succeeds or fails.
fn ended(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Smart card required: no password lets the account in, and none has to be changed.
const FINGERS_ONLY: u32 = 0x40200;
const DISABLED: u32 = FINGERS_ONLY | 2;

/// Sets an account's flags.
fn control(samba: &Samba, flags: u32) {
    let dn = samba::dn(6);
    samba
        .change(&format!(
            "dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {flags}\n"
        ))
        .unwrap();
}

/// A domain whose Kerberos takes the box's certificates, and the box.
fn opened(more: &str) -> (Samba, Office, PathBuf) {
    let mut samba = Samba::start(people()).unwrap();
    let office = Office::open(samba.namespace.entrance(), &samba.followed(), PASSWORD, more);
    office.somebody("p00006");
    let authority = samba.shared().with_file_name("users.pem");
    fs::write(&authority, office.authority()).unwrap();
    samba.with_kerberos(&authority).unwrap();
    control(&samba, FINGERS_ONLY);
    let kerberos = samba.kerberos().unwrap().to_owned();
    (samba, office, kerberos)
}

fn problem(answer: &(u16, Value)) -> (u16, String) {
    let kind = answer.1["type"].as_str().unwrap_or_default();
    (answer.0, kind.rsplit(['/', ':']).next().unwrap_or_default().to_owned())
}

#[test]
fn handover_a_finger_becomes_a_ticket_of_active_directory_and_a_file_over_smb() {
    needs!(Kerberos);
    let (samba, office, kerberos) = opened("revocation-listen = \"10.99.0.1:8089\"");
    let network = &samba.namespace;
    let mut probes = office.enrolled("p00006", 24).probes.into_iter();
    fs::write(samba.shared().join("hello"), "smb hello").unwrap();
    ended(Command::new("chmod").args(["-R", "a+rX", &samba.shared().display().to_string()])).unwrap();

    // What Kerberos takes is made while the finger is on its way.
    let client = Client::new();
    let began = Instant::now();
    let (request, accept) = office.accepted("p00006", &mut probes, &client.wish());
    let decided = began.elapsed();
    assert!(accept["certificate_until"].is_string(), "{accept}");
    let answer = client.certified(&office, &request);
    let certified = began.elapsed();
    assert_eq!(answer.0, 201, "{}", answer.1);
    assert_eq!(answer.1["upn"], "p00006@corp.example");
    let certificate = answer.1["certificate"].as_str().unwrap().to_owned();
    client.kinit(network, &kerberos, &certificate, "p00006@CORP.EXAMPLE").unwrap();
    let ticket = began.elapsed();
    let said = client.smb(network, &kerberos, "get hello /dev/stdout").unwrap();
    let file = began.elapsed();
    assert!(said.contains("smb hello"), "{said}");
    println!(
        "finger to decision {} ms, certificate {} ms, ticket {} ms, file over SMB {} ms",
        decided.as_millis(),
        (certified - decided).as_millis(),
        (ticket - certified).as_millis(),
        (file - ticket).as_millis()
    );
    assert!(ticket <= FINGER_TO_TICKET, "{ticket:?}");

    assert_eq!(problem(&client.certified(&office, &request)), (409, "accept-used".into()), "once");

    // All of that by one command.
    let by_command = Client::new();
    let image = by_command.folder.path().join("print.png");
    let said = probes.by_ref().take(3).find_map(|probe| {
        fs::write(&image, STANDARD.decode(probe["data"].as_str().unwrap()).unwrap()).unwrap();
        let mut login = office.served.ctl(network, "station").unwrap();
        login.env("KRB5_CONFIG", &kerberos).args(["login", "--kinit", "p00006"]);
        login.arg("--image").arg(&image).arg("--cache").arg(by_command.cache());
        ended(&mut login).map_err(|why| println!("login --kinit: {why}")).ok()
    });
    assert!(said.is_some_and(|said| said.contains("a ticket of p00006@CORP.EXAMPLE")));
    assert!(by_command.smb(network, &kerberos, "ls").unwrap().contains("hello"));

    // It is of nobody else, and of its own key.
    let refused = client.kinit(network, &kerberos, &certificate, "p00007@CORP.EXAMPLE").unwrap_err();
    assert!(refused.contains("name mismatch"), "{refused}");
    let (request, _) = office.accepted("p00006", &mut probes, &client.wish());
    let other = Client::new();
    assert_eq!(problem(&other.certified(&office, &request)), (403, "other-key".into()));
    let body = json!({"request_id": request, "csr": "no request"});
    let answer = office.ask("station", &Method::POST, "/v1/certificates", &body);
    assert_eq!(problem(&answer), (422, "not-a-csr".into()));
    let body = json!({"request_id": "never-asked", "csr": client.csr()});
    let answer = office.ask("station", &Method::POST, "/v1/certificates", &body);
    assert_eq!(problem(&answer), (404, "no-such-accept".into()));
    assert_eq!(office.ask("officer", &Method::POST, "/v1/certificates", &body).0, 403);

    // Locked out by somebody's wrong passwords, until an administrator ends it.
    samba.tool(&["domain", "passwordsettings", "set", "--account-lockout-threshold=2"]).unwrap();
    for _ in 0..3 {
        let mut guess = network.command("smbclient");
        guess.args(["-U", "p00006%wrong", "--use-kerberos=off", "//dc1.corp.example/files", "-c", "ls"]);
        ended(guess.env("KRB5_CONFIG", &kerberos)).unwrap_err();
    }
    let answer = client.certified(&office, &request);
    assert_eq!(problem(&answer), (403, "account-disabled".into()));
    assert!(answer.1.to_string().contains("locked out"), "{answer:?}");
    samba.tool(&["domain", "passwordsettings", "set", "--account-lockout-threshold=0"]).unwrap();
    samba.tool(&["user", "unlock", "p00006"]).unwrap();

    // Disabled between decision and certificate, though the box has not read it yet; and with a certificate in his hand.
    control(&samba, DISABLED);
    assert_eq!(problem(&client.certified(&office, &request)), (403, "account-disabled".into()));
    let refused = client.kinit(network, &kerberos, &certificate, "p00006@CORP.EXAMPLE").unwrap_err();
    assert!(refused.contains("revoked"), "{refused}");
    control(&samba, FINGERS_ONLY);
    assert_eq!(client.certified(&office, &request).0, 201, "the accept was not used up by that");

    // What those who look at certificates fetch, in clear.
    let fetched =
        |file: &str| ended(network.command("curl").args(["-sf", &format!("http://10.99.0.1:8089{file}")]));
    assert!(fetched("/authenteon-users.crl").is_ok() && fetched("/authenteon-users.crt").is_ok());
    assert!(fetched("/v1/health/live").is_err() && fetched("/").is_err());

    // Who is privileged has none, and nor has a station that may not.
    let (request, _) = office.accepted("p00006", &mut probes, &client.wish());
    samba
        .change(&format!("dn: {}\nchangetype: modify\nreplace: adminCount\nadminCount: 1\n", samba::dn(6)))
        .unwrap();
    assert_eq!(problem(&client.certified(&office, &request)), (403, "privileged".into()));
    office.grant(&json!({"audiences": [], "may_issue": false}));
    assert_eq!(problem(&client.certified(&office, &request)), (403, "may-not-issue".into()));
    office.sync();
    assert!(samba.tool(&["user", "list"]).unwrap().contains("p00006"), "{DOMAIN}");
}

/// That a Kerberos server refuses by itself a certificate of an authority that it does not know, and one that is over, though the
/// machine that shows them finds nothing wrong: what it says to each.
fn refused(
    office: &Office,
    kinit: &Kinit<'_>,
    (own, people): (&Path, &Path),
    name: &str,
) -> (String, String) {
    let mut probes = office.enrolled(name, 6).probes.into_iter();
    let client = Client::new();
    let (request, _) = office.accepted(name, &mut probes, &client.wish());
    let answer = client.certified(office, &request);
    assert_eq!(answer.0, 201, "{}", answer.1);
    let given = Instant::now();
    let certificate = answer.1["certificate"].as_str().unwrap().to_owned();
    assert_eq!(answer.1["principal"], kinit.principal);
    client.ticket(kinit, &certificate).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let rogue = Authority::new(folder.path(), "rogue").unwrap();
    let (name, realm) = kinit.principal.split_once('@').unwrap();
    let forged = rogue.person(name, realm).unwrap();
    let trusting = Kinit { trusted: &[own, people, &rogue.file], ..*kinit };
    let of_another = trusting.by(&forged, &client.cache()).unwrap_err();

    thread::sleep(Duration::from_secs(62).saturating_sub(given.elapsed()));
    let late = Kinit { clock: Some("-90s"), ..*kinit };
    let over = client.ticket(&late, &certificate).unwrap_err();
    (of_another, over)
}

#[test]
fn handover_a_certificate_that_is_over_opens_nothing_and_one_of_another_authority_neither() {
    needs!(Kerberos);
    let (samba, office, kerberos) = opened("certificate-minutes = 1");
    let people = samba.shared().with_file_name("users.pem");
    let (network, principal) = (&samba.namespace, "p00006@CORP.EXAMPLE");
    let kinit = Kinit { network, kerberos: &kerberos, principal, clock: None, trusted: &[] };
    let (of_another, over) = refused(&office, &kinit, (&samba.authority.file, &people), "p00006");
    for said in [of_another, over] {
        assert!(said.contains("Password incorrect"), "what it says of whatever it does not take: {said}");
    }
    let said = samba.said();
    let why = [
        "Failed to find issuer for certificate with subject: 'CN=p00006'",
        "Failed to find certificate issued by CN=Authenteon",
    ];
    for why in why {
        // One that is over is none to it.
        assert!(said.contains(&format!("PKINIT: failed to verify signature: {why}")), "{said}");
    }
}

/// An MIT realm of the people of an LDAP directory, whose Kerberos takes the box's certificates, and the box.
struct Realm {
    slapd: Slapd,
    office: Office,
    mit: Mit,
    /// The box's authority.
    people: PathBuf,
    _folder: TempDir,
}

impl Realm {
    fn open(more: &str) -> Self {
        let slapd = Slapd::start(people(), Options { syncprov: true, ..Options::default() }).unwrap();
        let directory = format!("{}realm = \"MIT.EXAMPLE\"\n", slapd.followed());
        let office = Office::open(slapd.namespace.entrance(), &directory, slapd::PASSWORD, more);
        office.somebody("p00006");
        let folder = tempfile::tempdir().unwrap();
        let people = folder.path().join("users.pem");
        fs::write(&people, office.authority()).unwrap();
        let principals = ["p00006", "p00007"];
        let network = (&slapd.namespace, slapd::ADDRESS);
        let mit = Mit::start(network, &slapd.authority, &people, &principals).unwrap();
        Self { slapd, office, mit, people, _folder: folder }
    }
}

#[test]
fn handover_an_mit_realm_refuses_a_certificate_that_is_over_and_one_of_another_authority() {
    needs!(Mit);
    let realm = Realm::open("certificate-minutes = 1");
    let kinit = Kinit {
        network: &realm.slapd.namespace,
        kerberos: &realm.mit.kerberos(),
        principal: "p00006@MIT.EXAMPLE",
        clock: None,
        trusted: &[],
    };
    let trusted = (realm.slapd.authority.file.as_path(), realm.people.as_path());
    let (of_another, over) = refused(&realm.office, &kinit, trusted, "p00006");
    let mit = &realm.mit;
    assert!(of_another.contains("Can't verify certificate"), "{of_another}");
    assert!(over.contains("Invalid certificate"), "{over}");
    let said = mit.said();
    for why in ["unable to get local issuer certificate", "certificate has expired"] {
        assert!(said.contains(&format!("Failed to verify received certificate (depth 0): {why}")), "{said}");
    }
}

#[test]
fn handover_a_finger_becomes_a_ticket_of_an_mit_realm_and_of_nobody_else_there() {
    needs!(Mit);
    let Realm { slapd, office, mit, .. } = &Realm::open("");
    let (network, kerberos) = (&slapd.namespace, mit.kerberos());
    let mut probes = office.enrolled("p00006", 12).probes.into_iter();
    let client = Client::new();
    let began = Instant::now();
    let (request, _) = office.accepted("p00006", &mut probes, &client.wish());
    let answer = client.certified(office, &request);
    assert_eq!(answer.0, 201, "{}", answer.1);
    let certificate = answer.1["certificate"].as_str().unwrap().to_owned();
    let got = client.kinit(network, &kerberos, &certificate, "p00006@MIT.EXAMPLE");
    let took = began.elapsed();
    got.unwrap_or_else(|why| panic!("{why}\n{}", mit.said()));
    println!("finger to a ticket of MIT: {} ms", took.as_millis());
    assert!(took <= FINGER_TO_TICKET, "{took:?}");
    let mut list = network.command("klist");
    list.env("KRB5_CONFIG", &kerberos);
    let said = ended(list.args(["-c", &client.cache().display().to_string()])).unwrap();
    assert!(said.contains("krbtgt/MIT.EXAMPLE@MIT.EXAMPLE") && said.contains("p00006@MIT.EXAMPLE"), "{said}");
    let refused = client.kinit(network, &kerberos, &certificate, "p00007@MIT.EXAMPLE").unwrap_err();
    println!("for somebody else: {}", refused.trim());
    slapd
        .change(&format!(
            "dn: {}\nchangetype: modify\nreplace: loginDisabled\nloginDisabled: TRUE\n",
            slapd::dn(6)
        ))
        .unwrap();
    let (request, _) = office.accepted("p00006", &mut probes, &client.wish());
    assert_eq!(problem(&client.certified(office, &request)), (403, "account-disabled".into()));
}

#[test]
fn handover_a_wrong_clock_is_told_with_whose_clocks_to_look_at() {
    needs!(Mit);
    let Realm { slapd, office, mit, .. } = &Realm::open("certificate-minutes = 60");
    let network = &slapd.namespace;
    let mut probes = office.enrolled("p00006", 12).probes.into_iter();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    // MIT's clients go by the Kerberos server's clock unless they are told not to.
    let kerberos = file("krb5.conf");
    let text = fs::read_to_string(mit.kerberos()).unwrap();
    fs::write(&kerberos, text.replace("[libdefaults]\n", "[libdefaults]\n kdc_timesync = 0\n")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    for (clock, says, look) in [
        ("+30m", "Clock skew too great", "the clocks of this machine and of the Kerberos server differ"),
        ("+2h", "certificate has expired", "the clocks of this machine (`date`) and of the box"),
    ] {
        let wrong = file("kinit");
        fs::write(&wrong, format!("#!/bin/sh\nPATH={path} exec faketime -f {clock} kinit \"$@\"\n")).unwrap();
        fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).unwrap();
        let told = probes.by_ref().take(3).find_map(|probe| {
            let image = file("print.png");
            fs::write(&image, STANDARD.decode(probe["data"].as_str().unwrap()).unwrap()).unwrap();
            let mut login = office.served.ctl(network, "station").unwrap();
            login.env("KRB5_CONFIG", &kerberos).env("PATH", format!("{}:{path}", folder.path().display()));
            login
                .args(["login", "--kinit", "p00006", "--image"])
                .arg(&image)
                .arg("--cache")
                .arg(file("cache"));
            // One in some hundreds is not good enough.
            ended(&mut login).err().filter(|said| said.contains("Kerberos"))
        });
        let told = told.unwrap();
        assert!(told.contains(says) && told.contains(look), "{told}");
    }
}
