//! Why there is no ticket, told apart by whose matter it is.

use std::io;
use std::path::PathBuf;

use authenteon_box::BoxError;

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The box cannot be asked, or refuses.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// No key, or no request with it, can be made.
    #[error("no key for a certificate can be made: {0}")]
    Key(String),
    /// What `kinit` reads cannot be written.
    #[error("{path}: {why}", path = path.display())]
    Private {
        /// The file, or its folder.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// There is no Kerberos here.
    #[error("kinit is not installed: it comes with MIT Kerberos (krb5-user and krb5-pkinit)")]
    NoKinit,
    /// `kinit` cannot be run.
    #[error("kinit: {0}")]
    Kinit(io::Error),
    /// The Kerberos server gives none, or is not asked.
    #[error("Kerberos gives no ticket: {said}{}", advice(said))]
    Kerberos {
        /// What `kinit` says.
        said: String,
    },
}

/// What to do about what `kinit` says, which is seldom what it means.
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
         (`authenteonctl certificate authority --out FILE`), or give the Kerberos server's as anchors (--anchors)"
    } else if has("not trusted") || has("self-signed") || has("unable to get local issuer") {
        "; this machine does not trust the Kerberos server's certificate: anchors (--anchors FILE), or pkinit_anchors in krb5.conf"
    } else if has("Can't verify certificate")
        || has("Password incorrect")
        || has("Preauthentication failed")
        || has("preauthentication")
    {
        "; does the Kerberos server trust the box's authority (`authenteonctl certificate authority`), and is its clock right?"
    } else if has("verify") {
        "; this machine does not take the Kerberos server's certificate: anchors (--anchors FILE), or pkinit_anchors in krb5.conf"
    } else if has("Client name mismatch") {
        "; the principal is not the person's (--principal)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kerberos_says_comes_with_what_to_do() {
        let error = |said: &str| LoginError::Kerberos { said: said.to_owned() }.to_string();
        for (said, advised) in [
            ("kinit: Clock skew too great", "clocks of this machine and of the Kerberos"),
            ("Failed to verify own certificate (depth 0): certificate has expired", "`date`) and of the box"),
            (
                "Failed to verify own certificate (depth 0): certificate is not yet valid",
                "`date`) and of the box",
            ),
            ("kinit: Invalid certificate", "clocks of the Kerberos server and of the box"),
            ("kinit: Can't verify certificate", "trust the box's authority"),
            ("kinit: Client's credentials have been revoked", "disabled"),
            ("kinit: Password incorrect while getting initial credentials", "trust"),
            ("Failed to verify own certificate (depth 0): x", "pkinit_anchors"),
            ("kinit: Client name mismatch", "--principal"),
        ] {
            assert!(error(said).contains(said) && error(said).contains(advised), "{}", error(said));
        }
        assert_eq!(error("something else"), "Kerberos gives no ticket: something else");
    }
}
