//! The box's own certificate authority: it certifies the server to its clients and the clients to the server, each by an
//! issuer of its own. `ca.pem` is what clients trust; below it `server-ca.pem` certifies servers and `station-ca.pem`
//! clients, and neither can do the other's: their extended key usages say so, and the server takes clients of the one only.
//!
//! An authority that was made before there were such issuers lets none be below it (its path length is 0, which OpenSSL
//! looks at): there it goes on certifying the server itself, `station-ca.pem` is made beside, which only the server itself
//! has to know, and clients that it certified itself are taken until their end.
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
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

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
    /// When it ends.
    pub expires: Timestamp,
}

/// A certificate for somebody else's key, in PEM.
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// SHA-256 of the certificate in DER: what it is known by.
    pub fingerprint: [u8; 32],
    /// When it ends.
    pub expires: Timestamp,
}

/// The authority of one box.
pub struct Authority {
    folder: PathBuf,
    servers: Signer,
    clients: Signer,
}

/// Who signs.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, where it is not the one that everybody trusts.
    pem: Option<String>,
}

/// An issuer below the authority: its files, its name, and what it may certify.
struct Below {
    file: &'static str,
    name: &'static str,
    usage: ExtendedKeyUsagePurpose,
}

const SERVERS: Below =
    Below { file: "server-ca", name: "Authenteon server CA", usage: ExtendedKeyUsagePurpose::ServerAuth };
const CLIENTS: Below =
    Below { file: "station-ca", name: "Authenteon client CA", usage: ExtendedKeyUsagePurpose::ClientAuth };

/// The purpose of a certificate of who signs documents (RFC 9336).
const DOCUMENTS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 36];
/// The box's name in the authority's folder.
const DEVICE: &str = "device-id";

/// The name that the server's certificate has whatever addresses the box has: what who knows the box expects of it. No
/// name server answers for it (RFC 6761).
#[must_use]
pub fn name_of(device: Uuid) -> String {
    format!("{device}.box.authenteon.invalid")
}

/// The box's id, which is made when there is none. Certificates and clients know the box by it: one that cannot be read is not
/// made anew.
///
/// # Errors
/// [`AuthorityError`].
pub fn device(folder: &Path) -> Result<Uuid, AuthorityError> {
    let path = folder.join(DEVICE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let known = text.trim().parse();
            return known.map_err(|why| AuthorityError::File { path, why: io::Error::other(why) });
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(AuthorityError::File { path, why }),
    }
    let device = Uuid::new_v4();
    public(&path, &format!("{device}\n"))?;
    Ok(device)
}

/// Whose clients the server takes: those of the issuer of clients, and of an authority that has certified some itself.
///
/// # Errors
/// [`AuthorityError`].
pub(crate) fn clients_of(folder: &Path) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let parsed = |file: &str| {
        let path = folder.join(file);
        let read = CertificateDer::from_pem_file(&path);
        read.map_err(|why| AuthorityError::File { path, why: io::Error::other(why) })
    };
    let authority = parsed("ca.pem")?;
    let below = format!("{}.pem", CLIENTS.file);
    if !folder.join(&below).exists() {
        return Ok(vec![authority]);
    }
    let mut taken = vec![parsed(&below)?];
    if !lets_issuers(&authority) {
        taken.push(authority);
    }
    Ok(taken)
}

/// Whether there may be issuers below this authority.
fn lets_issuers(authority: &CertificateDer<'_>) -> bool {
    let read = X509Certificate::from_der(authority).ok();
    let constraints = read.and_then(|(_, read)| Some(read.basic_constraints().ok()??.value.clone()));
    constraints.is_some_and(|constraints| constraints.path_len_constraint.is_none_or(|length| length > 0))
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
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key)?;
        private(&folder.join("ca.key"), &key.serialize_pem())?;
        public(&certificate, &made.pem())?;
        let authority = Self::open(folder)?;
        device(folder)?;
        authority.issue_server(names)?;
        Ok(authority)
    }

    /// Opens the authority in `folder`, and makes the issuers below it that are not there.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let path = folder.join("ca.pem");
        let pem = read(&path)?;
        let key = KeyPair::from_pem(&read(&folder.join("ca.key"))?)?;
        let root = Issuer::from_ca_cert_pem(&pem, key)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|why| AuthorityError::File { path, why: io::Error::other(why) })?;
        let clients = below(folder, &CLIENTS, &root)?;
        let servers = if lets_issuers(&der) {
            below(folder, &SERVERS, &root)?
        } else {
            Signer { issuer: root, pem: None }
        };
        Ok(Self { folder: folder.to_owned(), servers, clients })
    }

    /// Its certificate in PEM.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn certificate(&self) -> Result<String, AuthorityError> {
        read(&self.folder.join("ca.pem"))
    }

    /// Issues the server's certificate anew, for `names` and the box's own.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_server(&self, names: &[String]) -> Result<(), AuthorityError> {
        let mut params = certificate_params("Authenteon", SERVER_DAYS);
        let named = [names, &[name_of(device(&self.folder)?)]].concat();
        params.subject_alt_names = CertificateParams::new(named)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.servers.issue(&params)?;
        private(&self.folder.join("server.key"), &issued.key)?;
        // With its issuer, whom no client has.
        let chain = issued.certificate + self.servers.pem.as_deref().unwrap_or_default();
        public(&self.folder.join("server.pem"), &chain)
    }

    /// Issues a client's certificate. What the client may do is in the registry, not in here.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue_client(&self, name: &str, role: Role) -> Result<Issued, AuthorityError> {
        self.clients.issue(&client_params(name, role))
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
        self.clients.certify(&client_params(name, role), key)
    }
}

/// Certifies the key that the box signs its audit with: for documents (RFC 9336), and for neither servers nor clients.
///
/// # Errors
/// [`AuthorityError`].
pub(super) fn certify_device(folder: &Path, key: &impl PublicKeyData) -> Result<String, AuthorityError> {
    let authority = KeyPair::from_pem(&read(&folder.join("ca.key"))?)?;
    let root = Issuer::from_ca_cert_pem(&read(&folder.join("ca.pem"))?, authority)?;
    let mut params = certificate_params(&format!("{} audit", device(folder)?), AUTHORITY_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(DOCUMENTS.to_vec())];
    Ok(params.signed_by(key, &root)?.pem())
}

impl Signer {
    fn issue(&self, params: &CertificateParams) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let Certified { certificate, fingerprint, expires } = self.certify(params, &key)?;
        Ok(Issued { certificate, key: key.serialize_pem(), fingerprint, expires })
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
            expires: timestamp(params.not_after),
        })
    }
}

/// An issuer below the authority, which is made when there is none.
fn below(
    folder: &Path,
    kind: &Below,
    authority: &Issuer<'static, KeyPair>,
) -> Result<Signer, AuthorityError> {
    let [certificate, key] = ["pem", "key"].map(|end| folder.join(format!("{}.{end}", kind.file)));
    // The certificate is the moment: a key without it was never used.
    if !certificate.exists() {
        let pair = KeyPair::generate()?;
        let mut params = certificate_params(kind.name, AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![kind.usage.clone()];
        let made = params.signed_by(&pair, authority)?;
        private(&key, &pair.serialize_pem())?;
        public(&certificate, &made.pem())?;
    }
    let pem = read(&certificate)?;
    let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&read(&key)?)?)?;
    Ok(Signer { issuer, pem: Some(pem) })
}

fn timestamp(moment: OffsetDateTime) -> Timestamp {
    Timestamp::from_millis(u64::try_from(moment.unix_timestamp()).unwrap_or_default().saturating_mul(1000))
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
        for key in ["ca.key", "server.key", "server-ca.key", "station-ca.key"] {
            let mode = fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn a_box_keeps_its_id_and_one_that_cannot_be_read_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let id = device(folder.path()).unwrap();
        assert_eq!(device(folder.path()).unwrap(), id);
        let path = folder.path().join(DEVICE);
        fs::write(&path, "half an i").unwrap();
        let why = device(folder.path()).unwrap_err().to_string();
        assert!(why.contains(DEVICE), "{why}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "half an i");
        // Whatever is in its place.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(device(folder.path()).is_err() && path.is_dir());
    }

    /// An authority as it was made before there were issuers below it.
    fn early(folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let mut params = certificate_params("Authenteon CA", AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
        fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    }

    #[test]
    fn an_earlier_authority_goes_on_with_the_clients_that_it_has_and_keeps_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        early(folder.path());
        let before = fs::read(folder.path().join("ca.pem")).unwrap();
        assert_eq!(clients_of(folder.path()).unwrap().len(), 1);
        let authority = Authority::open(folder.path()).unwrap();
        authority.issue_server(&["localhost".to_owned()]).unwrap();
        assert_eq!(fs::read(folder.path().join("ca.pem")).unwrap(), before);
        let certificates = |name: &str| {
            CertificateDer::pem_file_iter(folder.path().join(name))
                .unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        };
        assert_eq!(certificates("server.pem").len(), 1, "no issuer may stand between");
        let taken = clients_of(folder.path()).unwrap();
        assert_eq!(taken, [certificates("station-ca.pem"), certificates("ca.pem")].concat());
        // A new one takes the clients of its issuer and of nobody else.
        let new = tempfile::tempdir().unwrap();
        Authority::init(new.path(), &["localhost".to_owned()]).unwrap();
        let issuer = CertificateDer::from_pem_file(new.path().join("station-ca.pem")).unwrap();
        assert_eq!(clients_of(new.path()).unwrap(), [issuer]);
    }

    #[test]
    fn an_issuer_whose_making_was_cut_is_made_anew_and_one_that_was_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        let file = folder.path().join("station-ca.pem");
        let before = fs::read(&file).unwrap();
        Authority::open(folder.path()).unwrap();
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::remove_file(&file).unwrap();
        Authority::open(folder.path()).unwrap();
        assert_ne!(fs::read(&file).unwrap(), before);
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
