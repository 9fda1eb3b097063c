//! `login --kinit`: a finger becomes a Kerberos ticket.
//!
//! Invariant: the key is made for one ticket, lies in a folder that only its owner reads while `kinit` runs, and is gone after.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use authenteon_box::Client;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::decide::{self, Handed};
use super::understand;
use crate::args::{Login, Ticket};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::live::Live;
use crate::outcome::Outcome;
use crate::passphrase;
use crate::sample;

#[derive(Deserialize)]
struct Certified {
    certificate: String,
    authority: String,
    principal: String,
    expires: String,
}

/// A folder of our own, gone with the value.
struct Private(PathBuf);

impl Private {
    fn make() -> Result<Self, CtlError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
        let folder =
            runtime.unwrap_or_else(std::env::temp_dir).join(format!("authenteon-{}", Uuid::new_v4()));
        let failed = |why: std::io::Error| CtlError::File { path: folder.clone(), reason: why.to_string() };
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        // Whatever the umask is.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self(folder))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, CtlError> {
        let path = self.0.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|why| CtlError::File { path: path.clone(), reason: why.to_string() })?;
        Ok(path)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Nothing is to be done about one that stays: the certificate in it is over in minutes.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gets a ticket.
pub(crate) async fn run(
    asked: &Login,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    let Login { account, ticket, .. } = asked;
    // While the finger is on its way: a key takes a moment.
    let key = tokio::task::spawn_blocking(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048));
    let key = key.await.map_err(|why| CtlError::System(why.to_string()))?;
    let key = key.map_err(|why| CtlError::System(format!("no key can be made: {why}")))?;
    let digest = Sha256::digest(key.subject_public_key_info());
    let digest = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let mut body = decide::who(account);
    body["certificate"] = json!({"key_sha256": digest});
    if let Some(file) = &ticket.pin_file {
        body["pin"] = json!(passphrase::given(Some(file), "")?);
    }
    body["sample"] = match (&ticket.place.sensor, &ticket.image) {
        (Some(sensor), _) => ticket.place.sample(sensor),
        (None, Some(file)) => sample::read(file, ticket.dpi)?,
        (None, None) => {
            return Err(CtlError::Missing("--sensor READER or --image FILE is missing: a finger"));
        }
    };
    let mut client = connect().await?;
    let live = ticket.place.sensor.as_ref().map(|_| live);
    let Handed { outcome, request_id } = decide::ask("/v1/verify", body, &mut client, live).await?;
    if outcome.exit != Exit::Ok {
        return Ok(outcome);
    }
    let csr = CertificateParams::default().serialize_request(&key).and_then(|csr| csr.pem());
    let csr = csr.map_err(|why| CtlError::System(format!("no request can be made: {why}")))?;
    let answer = client.post("/v1/certificates", &json!({"request_id": request_id, "csr": csr})).await?;
    let Certified { certificate, authority, principal, expires } = understand(&answer)?;
    let principal = ticket.principal.clone().unwrap_or(principal);
    let private = Private::make()?;
    let key = private.write("key.pem", &key.serialize_pem())?;
    let certificate = private.write("certificate.pem", &certificate)?;
    let authority = private.write("authority.pem", &authority)?;
    kinit(ticket, &principal, (&certificate, &key), &authority).await?;
    let cache = ticket.cache.as_deref().unwrap_or("the default cache");
    let text = format!("a ticket of {principal} is in {cache}");
    Ok(Outcome::done(
        text,
        json!({"principal": principal, "cache": ticket.cache, "certificate_expires": expires}),
    ))
}

/// PKINIT, by the Kerberos of this machine.
async fn kinit(
    ticket: &Ticket,
    principal: &str,
    (certificate, key): (&Path, &Path),
    authority: &Path,
) -> Result<(), CtlError> {
    let mut command = Command::new("kinit");
    let identity = format!("X509_user_identity=FILE:{},{}", certificate.display(), key.display());
    command.args(["-X", &identity]);
    if let Some(anchors) = &ticket.anchors {
        // In the place of those of krb5.conf; kinit looks whether it trusts the person's own certificate, too.
        for file in [anchors.as_path(), authority] {
            command.args(["-X", &format!("X509_anchors=FILE:{}", file.display())]);
        }
    }
    if let Some(cache) = &ticket.cache {
        command.args(["-c", cache]);
    }
    command.arg(principal).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.map_err(|why| CtlError::System(why.to_string()))?;
    let output = output.map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => CtlError::System(
            "kinit is not installed: it comes with MIT Kerberos (krb5-user and krb5-pkinit)".to_owned(),
        ),
        _ => CtlError::System(format!("kinit: {why}")),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = advice(&said);
    Err(CtlError::System(format!("Kerberos gives no ticket: {}{hint}", said.trim())))
}

/// What to do about what kinit says, which is seldom what it means.
fn advice(said: &str) -> &'static str {
    let has = |text: &str| said.contains(text);
    let out_of_time = has("has expired") || has("not yet valid");
    if has("Clock skew") || has("clock skew") {
        "; the clocks of this machine and of the Kerberos server differ: look at both (`date`)"
    } else if has("own certificate") && out_of_time {
        "; it was given a moment ago, for minutes: the clocks of this machine (`date`) and of the box (`authenteonctl health`) \
         differ"
    } else if has("Invalid certificate") {
        "; it was given a moment ago, for minutes: the clocks of the Kerberos server and of the box (`authenteonctl health`) \
         differ, or the server wants something else in it (its log says what)"
    } else if has("revoked") {
        "; the account is disabled or locked"
    } else if has("own certificate") {
        "; this machine does not trust the box's authority: name it in pkinit_anchors of krb5.conf beside the Kerberos server's \
         (`authenteonctl certificate authority --out FILE`), or give the Kerberos server's with --anchors"
    } else if has("not trusted") || has("self-signed") || has("unable to get local issuer") {
        "; this machine does not trust the Kerberos server's certificate: --anchors FILE, or pkinit_anchors in krb5.conf"
    } else if has("Can't verify certificate")
        || has("Password incorrect")
        || has("Preauthentication failed")
        || has("preauthentication")
    {
        "; does the Kerberos server trust the box's authority (`authenteonctl certificate authority`), and is its clock right?"
    } else if has("verify") {
        "; this machine does not take the Kerberos server's certificate: --anchors FILE, or pkinit_anchors in krb5.conf"
    } else if has("Client name mismatch") {
        "; the principal is not the person's: --principal"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_its_owner_s_alone_and_gone_after() {
        let private = Private::make().unwrap();
        let file = private.write("key.pem", "secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&private.0), mode(&file)), (0o700, 0o600));
        let folder = private.0.clone();
        drop(private);
        assert!(!folder.exists());
    }

    #[test]
    fn what_kerberos_says_comes_with_what_to_do() {
        assert!(advice("kinit: Clock skew too great").contains("clocks of this machine and of the Kerberos"));
        for when in ["has expired", "is not yet valid"] {
            let own = format!("Failed to verify own certificate (depth 0): certificate {when}");
            assert!(advice(&own).contains("clocks of this machine (`date`) and of the box"), "{own}");
        }
        assert!(
            advice("kinit: Invalid certificate").contains("clocks of the Kerberos server and of the box")
        );
        assert!(advice("kinit: Can't verify certificate").contains("trust the box's authority"));
        assert!(advice("kinit: Client's credentials have been revoked").contains("disabled"));
        assert!(advice("kinit: Password incorrect while getting initial credentials").contains("trust"));
        assert!(advice("Failed to verify own certificate (depth 0): x").contains("pkinit_anchors"));
        assert_eq!(advice("something else"), "");
    }
}
