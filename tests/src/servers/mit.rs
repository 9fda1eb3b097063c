//! An MIT Kerberos realm, in the network of another server.
//!
//! Invariant: its database and its configuration lie in a folder of its own, and it ends with the value.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{ServerError, authority::Authority, namespace::Namespace, run};

/// The realm.
pub const REALM: &str = "MIT.EXAMPLE";
const PATIENCE: Duration = Duration::from_secs(60);

/// A running KDC.
pub struct Mit {
    child: Child,
    folder: TempDir,
}

impl Mit {
    /// One at an address of this network, whose certificate is of `authority`, with these principals, who have random keys: only
    /// certificates of the authorities in the file `people` let them in.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(
        (network, address): (&Namespace, &str),
        authority: &Authority,
        people: &Path,
        principals: &[&str],
    ) -> Result<Self, ServerError> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().display();
        let identity = authority.kerberos(REALM, &[address])?;
        fs::write(
            folder.path().join("krb5.conf"),
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = \
                 false\n dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = {address}\n  pkinit_anchors = \
                 FILE:{}\n  pkinit_anchors = FILE:{}\n }}\n[domain_realm]\n .mit.example = {REALM}\n",
                authority.file.display(),
                people.display()
            ),
        )?;
        fs::write(
            folder.path().join("kdc.conf"),
            format!(
                "[kdcdefaults]\n kdc_listen = {address}:88\n kdc_tcp_listen = {address}:88\n[realms]\n {REALM} = {{\n  \
                 database_name = {at}/principal\n  key_stash_file = {at}/stash\n  acl_file = {at}/acl\n  max_life = 8h\n  \
                 default_principal_flags = +preauth\n  pkinit_identity = FILE:{},{}\n  pkinit_anchors = FILE:{}\n \
                 }}\n[logging]\n kdc = FILE:{at}/kdc.log\n",
                identity.certificate.display(),
                identity.key.display(),
                people.display(),
            ),
        )?;
        let configured = |mut command: Command| {
            command.env("KRB5_CONFIG", folder.path().join("krb5.conf"));
            command.env("KRB5_KDC_PROFILE", folder.path().join("kdc.conf"));
            command
        };
        let mut create = configured(network.command("kdb5_util"));
        create.args(["create", "-s", "-r", REALM, "-P", "of no use to anybody"]);
        run(create, "")?;
        for principal in principals {
            let mut add = configured(network.command("kadmin.local"));
            add.args(["-r", REALM, "-q", &format!("addprinc -randkey {principal}@{REALM}")]);
            run(add, "")?;
        }
        let mut kdc = configured(network.command("krb5kdc"));
        let child = kdc.args(["-n", "-r", REALM]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let started = Self { child, folder };
        let listens = network.listens((address, 88), PATIENCE)?;
        listens.then_some(started).ok_or(ServerError::Deaf("krb5kdc"))
    }

    /// The key of a service, which becomes known to the realm, in a file.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn service(&self, network: &Namespace, principal: &str) -> Result<PathBuf, ServerError> {
        let file = self.folder.path().join("service.keytab");
        for query in
            [format!("addprinc -randkey {principal}"), format!("ktadd -k {} {principal}", file.display())]
        {
            let mut ask = network.command("kadmin.local");
            ask.env("KRB5_CONFIG", self.kerberos());
            ask.env("KRB5_KDC_PROFILE", self.folder.path().join("kdc.conf"));
            ask.args(["-r", REALM, "-q", &query]);
            run(ask, "")?;
        }
        Ok(file)
    }

    /// The configuration of a client of it.
    #[must_use]
    pub fn kerberos(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// What its log says.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("kdc.log")).unwrap_or_default()
    }
}

impl Drop for Mit {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
