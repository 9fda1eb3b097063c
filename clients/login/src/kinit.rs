//! A certificate becomes a ticket, by the Kerberos of this machine (PKINIT, RFC 4556).

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::certificate::Certificate;
use crate::error::LoginError;
use crate::key::Key;
use crate::private::Private;

/// How a ticket is got. Nothing of it has to be said where `krb5.conf` says enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kerberos {
    /// Whose ticket it is, where that is not [`Certificate::principal`].
    pub principal: Option<String>,
    /// Who is trusted to have certified the Kerberos server (PEM), in the place of those of `krb5.conf`.
    pub anchors: Option<PathBuf>,
    /// Where the ticket goes, as `kinit` names caches; without it, where Kerberos looks.
    pub cache: Option<String>,
}

/// A ticket that was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose it is.
    pub principal: String,
    /// Where it lies, unless where Kerberos looks anyway.
    pub cache: Option<String>,
}

impl Kerberos {
    /// Gets one, by a certificate and its key.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn ticket(&self, certificate: &Certificate, key: &Key) -> Result<Ticket, LoginError> {
        let principal = self.principal.clone().unwrap_or_else(|| certificate.principal());
        let private = Private::make()?;
        let key = private.write("key.pem", &key.pem())?;
        let pem = private.write("certificate.pem", &certificate.pem)?;
        let authority = private.write("authority.pem", &certificate.authority)?;
        let mut command = Command::new("kinit");
        command.args(["-X", &format!("X509_user_identity=FILE:{},{}", pem.display(), key.display())]);
        if let Some(anchors) = &self.anchors {
            // kinit looks whether it trusts the person's own certificate, too.
            for file in [anchors, &authority] {
                command.args(["-X", &format!("X509_anchors=FILE:{}", file.display())]);
            }
        }
        if let Some(cache) = &self.cache {
            command.args(["-c", cache]);
        }
        // What it says is read here, in English; and it does not outlive whoever waits for it.
        command.args(["--", &principal]).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => LoginError::NoKinit,
            _ => LoginError::Kinit(why),
        })?;
        if output.status.success() {
            return Ok(Ticket { principal, cache: self.cache.clone() });
        }
        Err(LoginError::Kerberos { said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }
}
