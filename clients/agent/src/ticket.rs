//! A Kerberos ticket of who was accepted, for the module that asked.
//!
//! Invariant: it lies in a folder that only the agent and root look into, and goes with the value; and that there is none
//! takes nothing from the accept.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authenteon_box::{BoxError, Client};
use authenteon_login::{Kerberos, Key, LoginError, certify};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

/// How tickets are got.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Tickets {
    /// Who is trusted to have certified the Kerberos server (PEM), where `krb5.conf` does not say.
    #[serde(default)]
    pub(crate) anchors: Option<PathBuf>,
    /// The realm, where it is another one than that of people's principal names.
    #[serde(default)]
    pub(crate) realm: Option<String>,
    /// Seconds for certificate and ticket, at most.
    #[serde(default = "seconds")]
    pub(crate) seconds: u32,
}

fn seconds() -> u32 {
    8
}

impl Tickets {
    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// What does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.anchors.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err("anchors is no path from the root".to_owned());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.realm.as_ref().is_some_and(|realm| realm.is_empty() || !realm.chars().all(plain)) {
            return Err("realm is no Kerberos realm, such as CORP.EXAMPLE".to_owned());
        }
        if !(1..=60).contains(&self.seconds) {
            return Err("seconds is 1 to 60".to_owned());
        }
        Ok(())
    }
}

/// A ticket cache, until this goes.
#[derive(Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// One that is to be written, in the folder beside the socket.
    fn new(socket: &Path) -> io::Result<Self> {
        let folder = socket.with_file_name("tickets");
        match fs::create_dir(&folder) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
            _ => fs::set_permissions(&folder, Permissions::from_mode(0o700))?,
        }
        Ok(Self(folder.join(Uuid::new_v4().to_string())))
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // There may be none yet.
        let _ = fs::remove_file(&self.0);
    }
}

/// Why the box takes no verification that is good for a certificate, for people; nothing where the verification is why.
pub(crate) fn not_wished(error: &LoginError) -> Option<String> {
    match error {
        LoginError::Box(BoxError::Problem(problem))
            if matches!(problem.status, 403 | 409) && !problem.slug().starts_with("sensor") =>
        {
            Some(problem.to_string())
        }
        _ => None,
    }
}

/// Gets the ticket of who was just accepted, in so long.
///
/// # Errors
/// Why there is none, for the person; the log has more.
pub(crate) async fn ticket(
    (tickets, socket): (&Tickets, &Path),
    client: &mut Client,
    request_id: &str,
    key: &Key,
    within: Duration,
) -> Result<Cache, String> {
    let within = within.min(Duration::from_secs(tickets.seconds.into()));
    // Who it is of is in no log.
    let mut whose = String::new();
    let got = async {
        let certificate = certify(client, request_id, key).await?;
        whose = match (&tickets.realm, certificate.principal().split_once('@')) {
            (Some(realm), Some((name, _))) => format!("{name}@{realm}"),
            _ => certificate.principal(),
        };
        let cache = Cache::new(socket).map_err(|why| LoginError::Private { path: socket.to_owned(), why })?;
        let kerberos = Kerberos {
            principal: Some(whose.clone()),
            anchors: tickets.anchors.clone(),
            cache: Some(format!("FILE:{}", cache.path().display())),
        };
        kerberos.ticket(&certificate, key).await?;
        Ok::<_, LoginError>(cache)
    };
    let got = timeout(within, got).await;
    match got {
        Ok(Ok(cache)) => Ok(cache),
        Ok(Err(error)) => {
            let said = error.to_string();
            let said = if whose.is_empty() { said } else { said.replace(&whose, "the person") };
            warn!(error = said, "no ticket");
            Err(for_people(&error))
        }
        Err(_) => {
            warn!(seconds = within.as_secs_f32(), "no ticket: box or Kerberos server take too long");
            Err("the Kerberos server does not answer".to_owned())
        }
    }
}

fn for_people(error: &LoginError) -> String {
    match error {
        LoginError::Box(BoxError::Problem(problem)) => problem.to_string(),
        LoginError::Box(_) => "the box gives no certificate".to_owned(),
        LoginError::Kerberos { .. } => "the Kerberos server gives none".to_owned(),
        _ => "this machine is not set up for it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_lies_where_nobody_else_looks_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let cache = Cache::new(&socket).unwrap();
        let other = Cache::new(&socket).unwrap();
        assert_ne!(cache.path(), other.path());
        let tickets = folder.path().join("tickets");
        assert_eq!(fs::metadata(&tickets).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(cache.path(), "ticket").unwrap();
        drop((cache, other));
        assert_eq!(fs::read_dir(&tickets).unwrap().count(), 0);
    }

    #[test]
    fn a_box_that_gives_no_certificates_is_told_from_a_reader_that_is_in_use() {
        let problem = |status, slug: &str| {
            let text = format!(r#"{{"type":"urn:authenteon:problem:{slug}","title":"No"}}"#);
            LoginError::Box(BoxError::Problem(authenteon_box::Problem::parse(status, text.as_bytes())))
        };
        assert!(not_wished(&problem(403, "may-not-issue")).is_some());
        assert!(not_wished(&problem(409, "unprotected-key")).is_some());
        assert!(not_wished(&problem(409, "sensor-busy")).is_none());
        assert!(not_wished(&problem(504, "sensor-timeout")).is_none());
        assert!(not_wished(&LoginError::NoKinit).is_none());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_and_named() {
        let check = |text: &str| toml::from_str::<Tickets>(text).unwrap().check();
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("realm = \"CORP.EXAMPLE\"\nanchors = \"/a/kdc.pem\"\nseconds = 3"), Ok(()));
        for (bad, said) in [
            ("realm = \"\"", "realm"),
            ("realm = \"A@B\"", "realm"),
            ("realm = \"-X a\"", "realm"),
            ("anchors = \"kdc.pem\"", "anchors"),
            ("seconds = 0", "seconds"),
            ("seconds = 61", "seconds"),
        ] {
            assert!(check(bad).is_err_and(|why| why.contains(said)), "{bad}");
        }
    }
}
