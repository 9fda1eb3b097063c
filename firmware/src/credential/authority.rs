//! The box's own certificate authority: it certifies the server to its clients and the clients to the
//! server. Its folder holds `ca.pem`, `ca.key`, `server.pem` and `server.key`.
//!
//! Invariant: keys are readable by their owner only, and nothing that exists is overwritten by `init`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{write_private, write_public};
use crate::{
    clock::{Clock, FLOOR, SystemClock, Timestamp},
    request::Role,
};

/// How long certificates live, in days.
const AUTHORITY_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;
const CLIENT_DAYS: i64 = 397;
/// The same for those made by a clock that was never set.
const UNSET_CLOCK_DAYS: i64 = 2 * AUTHORITY_DAYS;
/// A clock so little past the floor was set to it by the start of the machine, and by nothing else.
const CLOCK_SET: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
/// Clocks of clients may lag so far.
const BACKDATED: Duration = Duration::hours(1);

/// Why a certificate could not be made or read. The path is the file's.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is an authority already.
    #[error("{0} exists: an authority is made once; take another folder or remove it")]
    Exists(PathBuf),
    /// The folder holds something that is no authority.
    #[error("{0} is there and holds no authority: move what is in it away")]
    InTheWay(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A certificate cannot be made from what is there.
    #[error("cannot make the certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate and its key, in PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
    /// SHA-256 of the certificate in DER: what it is known by.
    pub fingerprint: [u8; 32],
}

/// A certificate for somebody else's key, in PEM.
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// SHA-256 of the certificate in DER: what it is known by.
    pub fingerprint: [u8; 32],
}

/// The authority of one box.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority in `folder` and a server certificate for `names` (host names or addresses).
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn init(folder: &Path, names: &[String]) -> Result<Self, AuthorityError> {
        let certificate = folder.join("ca.pem");
        if certificate.exists() {
            return Err(AuthorityError::Exists(certificate));
        }
        fs::create_dir_all(folder).map_err(|why| AuthorityError::File { path: folder.to_owned(), why })?;
        let key = KeyPair::generate()?;
        let mut params = certificate_params("Authenteon CA", AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key)?;
        private(&folder.join("ca.key"), &key.serialize_pem())?;
        public(&certificate, &made.pem())?;
        let authority = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        authority.issue_server(names)?;
        Ok(authority)
    }

    /// Opens the authority in `folder`.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&read(&folder.join("ca.key"))?)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&folder.join("ca.pem"))?, key)?;
        Ok(Self { folder: folder.to_owned(), issuer })
    }

    /// Its certificate in PEM.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn certificate(&self) -> Result<String, AuthorityError> {
        read(&self.folder.join("ca.pem"))
    }

    /// Issues the server's certificate anew, for `names`.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_server(&self, names: &[String]) -> Result<(), AuthorityError> {
        let mut params = certificate_params("Authenteon", SERVER_DAYS);
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.issue(&params)?;
        private(&self.folder.join("server.key"), &issued.key)?;
        public(&self.folder.join("server.pem"), &issued.certificate)
    }

    /// Issues a client's certificate. What the client may do is in the registry, not in here.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_client(&self, name: &str, role: Role) -> Result<Issued, AuthorityError> {
        self.issue(&client_params(name, role))
    }

    /// Certifies a client that has its key already, and keeps it to itself.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn certify_client(
        &self,
        name: &str,
        role: Role,
        key: &impl PublicKeyData,
    ) -> Result<Certified, AuthorityError> {
        self.certify(&client_params(name, role), key)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let Certified { certificate, fingerprint } = self.certify(params, &key)?;
        Ok(Issued { certificate, key: key.serialize_pem(), fingerprint })
    }

    fn certify(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Certified, AuthorityError> {
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Certified {
            certificate: certificate.pem(),
            fingerprint: Sha256::digest(certificate.der()).into(),
        })
    }
}

fn client_params(name: &str, role: Role) -> CertificateParams {
    let mut params = certificate_params(&format!("{name} ({role})"), CLIENT_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn certificate_params(common_name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    (params.not_before, params.not_after) = validity(SystemClock.now(), days);
    params.use_authority_key_identifier_extension = true;
    params
}

/// From when and until when a certificate is valid that is made `now` for so many days.
fn validity(now: Timestamp, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    // Made by a clock that was never set: the real date is anywhere after the floor, and the certificate
    // must still be valid when the box has lain on a shelf for years.
    let unset = now.since(FLOOR) < CLOCK_SET;
    let days = if unset { days.max(UNSET_CLOCK_DAYS) } else { days };
    // Valid from the floor on, whatever the clock says: the box's may fall back there any day.
    (moment(FLOOR) - BACKDATED, moment(now) + Duration::days(days))
}

fn moment(moment: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(moment.millis() / 1000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|why| AuthorityError::File { path: path.to_owned(), why })
}

fn private(path: &Path, text: &str) -> Result<(), AuthorityError> {
    write_private(path, text).map_err(|why| AuthorityError::File { path: path.to_owned(), why })
}

fn public(path: &Path, text: &str) -> Result<(), AuthorityError> {
    write_public(path, text).map_err(|why| AuthorityError::File { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_authority_is_made_once_and_keeps_its_keys_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Authority::init(folder.path(), &names).unwrap();
        assert!(matches!(Authority::init(folder.path(), &names), Err(AuthorityError::Exists(_))));
        for key in ["ca.key", "server.key"] {
            let mode = fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn a_certificate_is_valid_whatever_the_box_s_clock_says_later_and_for_long_if_it_was_never_set() {
        let year = Duration::days(365);
        let set = Timestamp::from_millis(FLOOR.millis() + 3 * 365 * 86_400_000);
        let (from, until) = validity(set, CLIENT_DAYS);
        assert!(from <= moment(FLOOR), "the clock may fall back");
        assert_eq!(until, moment(set) + Duration::days(CLIENT_DAYS));
        // In 1970 the clock of the box shows the floor; a minute later no more.
        for now in [FLOOR, Timestamp::from_millis(FLOOR.millis() + 60_000)] {
            let (from, until) = validity(now, SERVER_DAYS);
            assert!(from <= moment(FLOOR) && until > moment(FLOOR) + year * 15, "{until}");
        }
    }

    #[test]
    fn a_reopened_authority_issues_certificates_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        let one = authority.issue_client("door", Role::Station).unwrap();
        let two = authority.issue_client("door", Role::Station).unwrap();
        assert_ne!(one.fingerprint, two.fingerprint);
    }
}
