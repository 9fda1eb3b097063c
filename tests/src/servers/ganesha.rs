//! NFS-Ganesha: a server of NFSv4 that runs as a program, in the network of a Kerberos realm.
//!
//! Invariant: it takes tickets alone (`sec=krb5`, `krb5i`, `krb5p`), and serves one folder of its own, which goes with the value.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{ServerError, namespace::Namespace};

/// The folder as its clients see it.
pub const EXPORT: &str = "files";
const PATIENCE: Duration = Duration::from_secs(60);
/// What Debian's package of the server's backend brings.
const BACKEND: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so", "/usr/lib/aarch64-linux-gnu/ganesha/libfsalvfs.so"];

/// Of which realm a server of files is.
#[derive(Clone, Copy, Debug)]
pub struct Realm<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its clients are configured.
    pub kerberos: &'a Path,
    /// The key of `nfs/HOST` in it.
    pub keytab: &'a Path,
}

/// A running server.
pub struct Ganesha {
    child: Child,
    folder: TempDir,
}

/// Whether it, and a client for it, can be had here.
pub(super) fn possible() -> Result<(), String> {
    if !BACKEND.iter().any(|file| Path::new(file).exists()) {
        return Err("NFS-Ganesha has no backend (apt-get install nfs-ganesha-vfs)".into());
    }
    let client = python().args(["-c", "import gssapi"]).output();
    if client.is_ok_and(|said| said.status.success()) {
        Ok(())
    } else {
        Err("Python speaks no GSSAPI (apt-get install python3-gssapi)".into())
    }
}

/// Debian's own Python, which has the modules of its packages; another may come first in the path.
fn python() -> Command {
    Command::new("/usr/bin/python3")
}

impl Ganesha {
    /// One at an address of this network, for people of this realm. Who somebody is there, the accounts say that programs in
    /// the network see.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start((network, address): (&Namespace, &str), realm: Realm<'_>) -> Result<Self, ServerError> {
        let folder = tempfile::tempdir()?;
        let (at, domain) = (folder.path().display(), realm.name.to_lowercase());
        for part in ["export", "state"] {
            fs::create_dir(folder.path().join(part))?;
        }
        fs::write(
            folder.path().join("idmapd.conf"),
            format!(
                "[General]\nDomain = {domain}\nLocal-Realms = {}\n[Translation]\nMethod = nsswitch\n",
                realm.name
            ),
        )?;
        let config = folder.path().join("ganesha.conf");
        fs::write(
            &config,
            format!(
                "NFS_CORE_PARAM {{ Bind_addr = {address}; NFS_Port = 2049; Protocols = 4; mount_path_pseudo = true; Enable_NLM = \
                 false; Enable_RQUOTA = false; Enable_UDP = false; }}\nNFSv4 {{ Graceless = true; DomainName = \
                 \"{domain}\"; RecoveryRoot = \"{at}/state\"; IdmapConf = \"{at}/idmapd.conf\"; }}\nNFS_KRB5 {{ PrincipalName = \
                 nfs; KeytabPath = {}; CCacheDir = {at}/state; Active_krb5 = true; }}\nEXPORT {{ Export_Id = 1; Path = \
                 {at}/export; Pseudo = /{EXPORT}; Access_Type = RW; Squash = No_Root_Squash; SecType = krb5, krb5i, krb5p; \
                 Protocols = 4; Transports = TCP; FSAL {{ Name = VFS; }} }}\n",
                realm.keytab.display()
            ),
        )?;
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut command = network.command("ganesha.nfsd");
        command.args(["-F", "-L", &file("log"), "-p", &file("pid"), "-f"]).arg(&config);
        command.env("KRB5_CONFIG", realm.kerberos);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let started = Self { child, folder };
        if network.listens((address, 2049), PATIENCE)? {
            Ok(started)
        } else {
            Err(ServerError::Failed("ganesha.nfsd".into(), started.said()))
        }
    }

    /// The folder that it serves as [`EXPORT`].
    #[must_use]
    pub fn exported(&self) -> PathBuf {
        self.folder.path().join("export")
    }

    /// What its log says.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A client that reads a file of [`EXPORT`] at an address: as whom the ticket in `KRB5CCNAME` is of, to the service
    /// `nfs@HOST`, or as whoever it says it is (`AUTH_SYS`) where there is none. It prints an object of JSON.
    #[must_use]
    pub fn client(network: &Namespace, address: &str, service: Option<&str>, file: &str) -> Command {
        let mut command = network.command("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/nfs4_client.py"));
        command.args([address, service.unwrap_or("-"), EXPORT, file]);
        command
    }
}

impl Drop for Ganesha {
    fn drop(&mut self) {
        // It may have ended by itself; the namespace ends what is left of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
