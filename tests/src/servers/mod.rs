//! Real servers for tests: Samba as an Active Directory domain controller, OpenLDAP, and FreeRADIUS, each in a network namespace
//! of its own, so that they can have the ports and addresses that they want, several at a time.
//!
//! They come from Debian's packages and are started as root. Where that is not to be had, [`ready`] says why, and a test prints
//! `skipped: WHY`. Invariant: what is started here ends with the value that stands for it, and its namespace with it.

pub mod authority;
pub mod freeradius;
pub mod ganesha;
pub mod mit;
pub mod namespace;
pub mod samba;
pub mod scripted;
pub mod slapd;

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program failed; what it said.
    #[error("{0}: {1}")]
    Failed(String, String),
    /// A file, or the system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A certificate cannot be made.
    #[error("no certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It does not answer.
    #[error("{0} does not answer")]
    Deaf(&'static str),
}

/// Programs, and the Debian packages that have them.
const SAMBA: [(&str, &str); 5] = [
    ("samba", "samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules"),
    ("samba-tool", "samba"),
    ("ldbadd", "ldb-tools"),
    ("ldapmodify", "ldap-utils"),
    ("python3", "python3-samba"),
];
const CLIENTS: [(&str, &str); 3] =
    [("kinit", "krb5-user krb5-pkinit"), ("smbclient", "smbclient"), ("faketime", "faketime")];
const MIT: [(&str, &str); 5] = [
    ("faketime", "faketime"),
    ("krb5kdc", "krb5-kdc"),
    ("kdb5_util", "krb5-kdc"),
    ("kadmin.local", "krb5-admin-server"),
    ("kinit", "krb5-user krb5-pkinit"),
];
const NFS: [(&str, &str); 2] =
    [("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs"), ("python3", "python3-gssapi")];
const SLAPD: [(&str, &str); 3] = [("slapd", "slapd"), ("slapadd", "slapd"), ("ldapmodify", "ldap-utils")];
/// What logs people in, and asks PAM who they are.
const LOGINS: [(&str, &str); 6] = [
    ("pamtester", "pamtester"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("sudo", "sudo"),
    ("setpriv", "util-linux"),
    ("openssl", "openssl"),
];

const RADIUS: [(&str, &str); 3] =
    [("freeradius", "freeradius"), ("radclient", "freeradius-utils"), ("radtest", "freeradius-utils")];

/// Which server is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Samba.
    Samba,
    /// OpenLDAP.
    Slapd,
    /// Samba with Kerberos, and clients of it.
    Kerberos,
    /// An MIT realm beside OpenLDAP, and clients of it.
    Mit,
    /// NFS-Ganesha, and what a client of it needs.
    Nfs,
    /// FreeRADIUS and its client.
    Radius,
    /// `sshd`, `sudo` and `pamtester`.
    Logins,
}

/// Whether it can be started here.
///
/// # Errors
/// Why not, to be printed behind `skipped: `.
pub fn ready(wanted: Wanted) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces and the servers in them need root".into());
    }
    let programs: &[&[(&str, &str)]] = match wanted {
        Wanted::Samba => &[&SAMBA],
        Wanted::Slapd => &[&SLAPD],
        Wanted::Kerberos => &[&SAMBA, &CLIENTS],
        Wanted::Nfs => &[&NFS],
        Wanted::Radius => &[&RADIUS],
        Wanted::Mit => &[&SLAPD, &MIT],
        Wanted::Logins => &[&LOGINS],
    };
    let programs = programs.iter().copied().flatten();
    for (program, package) in [("ip", "iproute2"), ("unshare", "util-linux")].iter().chain(programs) {
        if find(program).is_none() {
            return Err(format!("{program} is not installed (apt-get install {package})"));
        }
    }
    let data = Path::new("/usr/share/samba/setup/ad-schema");
    if matches!(wanted, Wanted::Samba | Wanted::Kerberos) && !data.exists() {
        return Err("the schema of Active Directory is not there (apt-get install samba-ad-provision)".into());
    }
    if wanted == Wanted::Nfs {
        ganesha::possible()?;
    }
    namespace::possible()
}

/// Ends a test with the reason why the server that it needs cannot be had here.
#[macro_export]
macro_rules! needs {
    ($wanted:ident) => {
        if let Err(why) = $crate::servers::ready($crate::servers::Wanted::$wanted) {
            println!("skipped: {why}");
            return;
        }
    };
}

/// Where a program lies, with the folders that only root has in its path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"]).map(PathBuf::from);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// How many people the directories of tests have: with `AUTHENTEON_LONG=yes` as many as a large office.
#[must_use]
pub fn people() -> usize {
    if std::env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes") { 10_000 } else { 500 }
}

/// An office as LDIF: people below `ou=people`, groups of which one is in another, and a place to move to. `person` and `class`
/// are how a server has somebody, and a group of this name; `dn` is where somebody lies.
fn office(
    suffix: &str,
    people: usize,
    person: fn(usize) -> String,
    dn: fn(usize) -> String,
    class: impl Fn(&str) -> String,
) -> String {
    let unit =
        |name: &str| format!("dn: ou={name},{suffix}\nobjectClass: organizationalUnit\nou: {name}\n\n");
    let group = |name: &str, members: &[String]| {
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        format!("dn: cn={name},ou=groups,{suffix}\n{}{members}\n", class(name))
    };
    let mut text: String = ["people", "former", "groups"].map(unit).concat();
    text.extend((1..=people).map(person));
    text += &group("team", &[dn(2), dn(3)]);
    text += &group("staff", &[dn(1), format!("cn=team,ou=groups,{suffix}")]);
    text += &group("vault", &[dn(4)]);
    text
}

/// What a program says, which has to succeed.
fn run(mut command: Command, input: &str) -> Result<String, ServerError> {
    use std::{io::Write as _, process::Stdio};
    let name = format!("{command:?}");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    let input = input.to_owned();
    // A program that ends early does not read all; its status says what was.
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output()?;
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = [output.stdout, output.stderr].concat();
        Err(ServerError::Failed(name, String::from_utf8_lossy(&said).into_owned()))
    }
}
