//! Samba as a domain controller of `CORP.EXAMPLE`.
//!
//! A domain is made once, with its people, and kept packed in the target folder; each test unpacks a copy, in a second.
//! Invariant: a packed domain is whole: it is put where it is looked for only when it is finished, and never changed.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::{
    ServerError,
    authority::{Authority, Identity},
    namespace::Namespace,
    office, run,
};

/// Where the controller is, in its namespace.
pub const ADDRESS: &str = "10.99.0.1";
/// Its name.
pub const HOST: &str = "dc1.corp.example";
/// DN of the domain.
pub const DOMAIN: &str = "DC=corp,DC=example";
/// The administrator's password, and everybody's.
pub const PASSWORD: &str = "Passw0rd!2026";
/// Raised when what [`make`] does changes: then domains are made anew.
const EDITION: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// Accounts that read: a plain one, one that may replicate and list deleted objects, one that is disabled, one whose password
/// has to be changed, and one to be locked out.
pub const ACCOUNTS: [&str; 5] = ["reader", "follower", "disabled", "changer", "locked"];

/// A domain controller.
pub struct Samba {
    child: Option<Child>,
    folder: TempDir,
    /// Its network.
    pub namespace: Namespace,
    /// Who signed its certificate.
    pub authority: Authority,
    /// Where its Kerberos is configured, if it is more than a directory.
    kerberos: Option<PathBuf>,
}

impl Samba {
    /// A copy of the domain with so many people, running.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(people: usize) -> Result<Self, ServerError> {
        let packed = packed(people)?;
        let folder = tempfile::tempdir()?;
        run(tar(&["-xf", path(&packed), "-C", path(folder.path())]), "")?;
        let authority = Authority::new(folder.path(), "authority")?;
        let identity = authority.server(&[HOST, ADDRESS], false)?;
        let namespace = Namespace::new(&[ADDRESS])?;
        namespace.etc("hosts", &format!("127.0.0.1 localhost\n{ADDRESS} {HOST} dc1\n"))?;
        namespace.etc("resolv.conf", &format!("search corp.example\nnameserver {ADDRESS}\n"))?;
        let mut started = Self { child: None, folder, namespace, authority, kerberos: None };
        started.start_with(&identity)?;
        Ok(started)
    }

    /// Starts it, with this certificate.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start_with(&mut self, identity: &Identity) -> Result<(), ServerError> {
        self.stop();
        let configuration =
            configure(self.folder.path(), Some((&self.authority, identity)), self.kerberos.is_some())?;
        // Its sockets outside the folder are its own, too.
        let start = format!(
            "mount -t tmpfs none /run && mkdir -p /run/samba && hostname dc1 && exec samba -i -M single -s {}",
            configuration.display()
        );
        let log = fs::File::create(self.folder.path().join("log/out"))?;
        let mut command = self.namespace.command("unshare");
        command.args(["--uts", "--mount", "sh", "-c", &start]);
        if let Some(file) = &self.kerberos {
            command.env("KRB5_CONFIG", file);
        }
        // It ends when its input does, so also when a test is killed.
        let child = command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.child = Some(child);
        self.wait()
    }

    /// Starts it again, with Kerberos and a share `files`, whose Kerberos takes certificates of people by the authorities in
    /// this file.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn with_kerberos(&mut self, people: &Path) -> Result<(), ServerError> {
        let identity = self.authority.kerberos("CORP.EXAMPLE", &[HOST])?;
        let file = self.folder.path().join("krb5.conf");
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        // A client looks whether it would trust its own certificate.
        let own = self.authority.file.display();
        let people = people.display();
        let text = format!(
            "[libdefaults]\n default_realm = CORP.EXAMPLE\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = \
             false\n[realms]\n CORP.EXAMPLE = {{\n  kdc = {ADDRESS}\n  pkinit_anchors = FILE:{own}\n  pkinit_anchors = \
             FILE:{people}\n  pkinit_eku_checking = kpServerAuth\n  pkinit_kdc_hostname = {HOST}\n }}\n[domain_realm]\n \
             .corp.example = CORP.EXAMPLE\n[kdc]\n enable-pkinit = yes\n pkinit_identity = \
             FILE:{certificate},{key}\n pkinit_anchors = FILE:{people}\n pkinit_principal_in_certificate = yes\n \
             pkinit_win2k_require_binding = no\n"
        );
        fs::write(&file, text)?;
        self.kerberos = Some(file);
        self.restart()
    }

    /// The configuration of a client of its Kerberos.
    #[must_use]
    pub fn kerberos(&self) -> Option<&Path> {
        self.kerberos.as_deref()
    }

    /// The folder that it shares as `files`.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Starts it again, with the certificate that it had first.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        let file = |name: &str| self.folder.path().join(name);
        let identity = Identity { certificate: file("server.pem"), key: file("server.key") };
        self.start_with(&identity)
    }

    fn wait(&self) -> Result<(), ServerError> {
        // Each is another process, ready at its own time.
        let ports: &[u16] = if self.kerberos.is_some() { &[636, 88, 445] } else { &[636] };
        let listens = |port: &u16| TcpStream::connect((ADDRESS, *port)).is_ok();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let arguments = ["-x", "-LLL", "-H", "ldap://10.99.0.1", "-b", "", "-s", "base", "dsServiceName"];
            if self.namespace.run("ldapsearch", &arguments, "").is_ok_and(|said| said.contains("NTDS"))
                && self.namespace.within(|| ports.iter().all(listens))?
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(ServerError::Failed("samba".into(), self.said()))
    }

    /// How a box follows it: a section `[[directory]]` without its name and its password.
    #[must_use]
    pub fn followed(&self) -> String {
        format!(
            "kind = \"active-directory\"\nca = {:?}\nservers = [\"{ADDRESS}\"]\naccount = \"reader@corp.example\"\nfilter = \
             \"(sAMAccountName=p*)\"\n",
            self.authority.file
        )
    }

    /// What its logs say.
    #[must_use]
    pub fn said(&self) -> String {
        let files = fs::read_dir(self.folder.path().join("log")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
    }

    /// The number of its process.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it at once, as a machine that loses power.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it as its administrator does.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(10)
                && child.try_wait().is_ok_and(|ended| ended.is_none())
            {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Makes changes, written as LDIF, as the administrator.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn change(&self, ldif: &str) -> Result<(), ServerError> {
        let mut command = self.namespace.command("ldapmodify");
        // This way in is not what is tested.
        command.env("LDAPTLS_REQCERT", "never");
        command.args(["-x", "-H", "ldaps://10.99.0.1", "-D", "administrator@corp.example", "-w", PASSWORD]);
        run(command, ldif).map(drop)
    }

    /// An account for a service of this machine, `nfs` say, and the key of its principal in a file.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn service(&self, service: &str) -> Result<PathBuf, ServerError> {
        let (account, principal) = (format!("{service}-service"), format!("{service}/{HOST}"));
        self.tool(&["user", "create", &account, PASSWORD])?;
        // Keys of kinds that are not of yesterday, for the password that is set then.
        self.change(&format!(
            "dn: CN={account},CN=Users,{DOMAIN}\nchangetype: modify\nreplace: \
             msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 24\n"
        ))?;
        self.tool(&["user", "setpassword", &account, &format!("--newpassword={PASSWORD}+")])?;
        self.tool(&["spn", "add", &principal, &account])?;
        let file = self.folder.path().join(format!("{service}.keytab"));
        self.tool(&["domain", "exportkeytab", path(&file), &format!("--principal={principal}")])?;
        Ok(file)
    }

    /// Runs `samba-tool` on its files.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn tool(&self, arguments: &[&str]) -> Result<String, ServerError> {
        tool(self.folder.path(), arguments)
    }

    /// Runs a Python program with `samdb` and `domain_sid`, on its files.
    ///
    /// # Errors
    /// [`ServerError::Failed`].
    pub fn python(&self, program: &str) -> Result<String, ServerError> {
        python(self.folder.path(), program)
    }

    /// Copies its files, as a backup does. It is to be stopped.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn backup(&self) -> Result<PathBuf, ServerError> {
        let file = self.folder.path().join("backup.tar");
        run(tar(&["-cf", path(&file), "-C", path(self.folder.path()), "private", "state"]), "")?;
        Ok(file)
    }

    /// Puts its files back. It is to be stopped.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restore(&self, backup: &Path) -> Result<(), ServerError> {
        fs::remove_dir_all(self.folder.path().join("private"))?;
        run(tar(&["-xf", path(backup), "-C", path(self.folder.path())]), "").map(drop)
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        self.kill();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn tar(arguments: &[&str]) -> Command {
    let mut command = Command::new("tar");
    command.args(arguments);
    command
}

/// Where the domain with so many people is kept packed; it is made if it is not there.
fn packed(people: usize) -> Result<PathBuf, ServerError> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = target.join("directory-servers");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("samba-{people}-{EDITION}.tar.gz"));
    // Tests run at a time, and one makes it.
    let lock = fs::File::create(folder.join(format!("samba-{people}.lock")))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(std::io::Error::from)?;
    if !file.exists() {
        let scratch = tempfile::tempdir_in(&folder)?;
        let domain = scratch.path().join("domain");
        make(&domain, people)?;
        let unfinished = scratch.path().join("packed");
        run(tar(&["-I", "gzip -1", "-cf", path(&unfinished), "-C", path(&domain), "private", "state"]), "")?;
        fs::rename(unfinished, &file)?;
    }
    Ok(file)
}

/// Writes the configuration of the files in a folder.
fn configure(
    folder: &Path,
    tls: Option<(&Authority, &Identity)>,
    kerberos: bool,
) -> Result<PathBuf, ServerError> {
    for part in ["log", "run", "cache", "bind-dns", "ncalrpc", "files"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let at = folder.display();
    let tls = tls.map_or_else(
        || "tls enabled = no".to_owned(),
        |(authority, identity)| {
            format!(
                "tls enabled = yes\ntls keyfile = {}\ntls certfile = {}\ntls cafile = {}",
                identity.key.display(),
                identity.certificate.display(),
                authority.file.display()
            )
        },
    );
    let (services, share) = match kerberos {
        true => (", kdc, s3fs, winbindd", format!("[files]\npath = {at}/files\nread only = no\n")),
        false => ("", String::new()),
    };
    let text = format!(
        "[global]\nnetbios name = DC1\nrealm = CORP.EXAMPLE\nworkgroup = CORP\nserver role = active directory domain \
         controller\nserver services = ldap, cldap, dns, rpc{services}\ninterfaces = lo {ADDRESS}\nbind interfaces only = yes\nlock \
         directory = {at}\nstate directory = {at}/state\nprivate dir = {at}/private\ncache directory = {at}/cache\nbinddns \
         dir = {at}/bind-dns\npid directory = {at}/run\nncalrpc dir = {at}/ncalrpc\nlog file = {at}/log/log.%m\nlogging = \
         file\nlog level = 1 kerberos:5\n{tls}\n{share}"
    );
    let file = folder.join("smb.conf");
    fs::write(&file, text)?;
    Ok(file)
}

fn tool(folder: &Path, arguments: &[&str]) -> Result<String, ServerError> {
    let configuration = folder.join("smb.conf");
    let mut command = Command::new("samba-tool");
    command.args(arguments).args(["-s", path(&configuration)]);
    run(command, "")
}

fn python(folder: &Path, program: &str) -> Result<String, ServerError> {
    let prelude = format!(
        "import ldb\nfrom samba.samdb import SamDB\nfrom samba.param import LoadParm\nfrom samba.auth import \
         system_session\nfrom samba.ndr import ndr_unpack, ndr_pack\nfrom samba.dcerpc import security\nlp = \
         LoadParm()\nlp.load({:?})\nsamdb = SamDB(url={:?}, session_info=system_session(), lp=lp)\ndomain_sid = \
         security.dom_sid(samdb.get_domain_sid())\n",
        path(&folder.join("smb.conf")),
        path(&folder.join("private/sam.ldb")),
    );
    // Debian's own, which has the modules; another may come first in the path.
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-");
    run(command, &(prelude + program))
}

/// Makes a domain with its people in a folder.
fn make(folder: &Path, people: usize) -> Result<(), ServerError> {
    fs::create_dir_all(folder)?;
    let namespace = Namespace::new(&[ADDRESS])?;
    let provision = format!(
        "mount -t tmpfs none /run && mkdir -p /run/samba && hostname dc1 && exec samba-tool domain provision \
         --use-rfc2307 --realm=CORP.EXAMPLE --domain=CORP --server-role=dc --dns-backend=SAMBA_INTERNAL \
         --adminpass='{PASSWORD}' --host-name=dc1 --host-ip={ADDRESS} --targetdir={} --option='interfaces=lo {ADDRESS}' \
         --option='bind interfaces only=yes' --option='vfs objects=dfs_samba4' --function-level=2008_R2",
        folder.display()
    );
    namespace.run("unshare", &["--uts", "--mount", "sh", "-c", &provision], "")?;
    configure(folder, None, false)?;
    let ldif = folder.join("people.ldif");
    fs::write(
        &ldif,
        office(DOMAIN, people, person, dn, |name| format!("objectClass: group\nsAMAccountName: {name}\n")),
    )?;
    let mut add = Command::new("ldbadd");
    add.args(["-H", path(&folder.join("private/sam.ldb")), path(&ldif)]);
    run(add, "")?;
    for account in ACCOUNTS {
        tool(folder, &["user", "create", account, PASSWORD])?;
    }
    tool(folder, &["user", "disable", "disabled"])?;
    tool(folder, &["domain", "passwordsettings", "set", "--account-lockout-threshold=3"])?;
    tool(
        folder,
        &[
            "user",
            "setpassword",
            "changer",
            &format!("--newpassword={PASSWORD}"),
            "--must-change-at-next-login",
        ],
    )?;
    python(folder, GRANT)?;
    Ok(())
}

/// What docs/directory/servers.md says of Samba: one account may replicate, and list deleted objects.
const GRANT: &str = r#"
found = samdb.search(expression="(sAMAccountName=follower)", attrs=["objectSid"])
sid = ndr_unpack(security.dom_sid, found[0]["objectSid"][0])
def grant(dn, ace, controls):
    found = samdb.search(dn, scope=ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=controls)
    text = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain_sid)
    at = text.index("(", text.index("D:"))
    changed = security.descriptor.from_sddl(text[:at] + ace + text[at:], domain_sid)
    message = ldb.Message(ldb.Dn(samdb, dn))
    message["nTSecurityDescriptor"] = ldb.MessageElement(ndr_pack(changed), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
    samdb.modify(message, controls=controls)
domain = str(samdb.domain_dn())
grant(domain, f"(OA;;CR;1131f6aa-9c07-11d1-f79f-00c04fc2dcd2;;{sid})", ["sd_flags:1:4"])
grant("CN=Deleted Objects," + domain, f"(A;CI;LCRPLORC;;;{sid})", ["show_deleted:1", "sd_flags:1:4"])
"#;

/// Where a person lies.
#[must_use]
pub fn dn(number: usize) -> String {
    format!("CN=Person {number:05},OU=People,{DOMAIN}")
}

/// A person, as LDIF that adds it: an account that needs no password, so that anybody can be enabled and disabled.
#[must_use]
pub fn person(number: usize) -> String {
    format!(
        "dn: {}\nobjectClass: user\nsAMAccountName: p{number:05}\nuserPrincipalName: \
         p{number:05}@corp.example\ndisplayName: Person {number:05}\nuserAccountControl: 544\n\n",
        dn(number)
    )
}
