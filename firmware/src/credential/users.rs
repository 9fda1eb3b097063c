//! Certificates of minutes for people, with which Kerberos lets them in (PKINIT, RFC 4556; smart-card logon of Active
//! Directory, [MS-PKCA]).
//!
//! Their authority is another one than that of connections: whoever holds its key is everybody in the directories that trust
//! it. Invariant: of a request for a certificate the key alone is taken; all else is what the box decided.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use yasna::{DERWriter, Tag, TagClass, models::ObjectIdentifier};
use zeroize::Zeroizing;

use super::csr::{CsrError, ProvenKey};
use crate::{
    clock::Timestamp,
    directory::{Principal, Sid},
};

/// The clocks of those who look at it may be behind so far.
const BACKDATED: Duration = Duration::minutes(2);
const AUTHORITY_YEARS: i64 = 10;
/// A list of what was revoked is good for so long, and made anew each day.
const LIST_DAYS: i64 = 7;
/// `KRB_NT_PRINCIPAL`.
const NT_PRINCIPAL: i64 = 1;

/// Smart-card logon.
const SMART_CARD: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 2];
/// `id-pkinit-KPClientAuth`.
const PKINIT_CLIENT: [u64; 8] = [1, 3, 6, 1, 5, 2, 3, 4];
/// A user principal name among the names of a certificate.
const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
/// `id-pkinit-san`.
const PKINIT_SAN: [u64; 7] = [1, 3, 6, 1, 5, 2, 2];
/// Whose SID it is of (`szOID_NTDS_CA_SECURITY_EXT`), and the kind of name in it.
const SID: [u64; 9] = [1, 3, 6, 1, 4, 1, 311, 25, 2];
const SID_NAME: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 25, 2, 1];
const NAMES: [u64; 4] = [2, 5, 29, 17];

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum UserCertificateError {
    /// The request.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// It cannot be made.
    #[error("the certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// For whom a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user principal name.
    pub upn: String,
    /// The security identifier, which Active Directory maps it by.
    pub sid: Option<Sid>,
    /// The Kerberos principal, which is looked for where there is no SID.
    pub principal: Principal,
}

/// A certificate of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCertificate {
    /// In PEM.
    pub pem: String,
    /// Whose it is.
    pub upn: String,
    /// As whom Kerberos knows him.
    pub principal: Principal,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// When it is over.
    pub expires: Timestamp,
}

/// The authority of people's certificates.
pub struct UserAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    key: Zeroizing<String>,
}

impl UserAuthority {
    /// Makes one; RSA, as some who are to trust it know nothing else.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn generate(device: Uuid, now: Timestamp) -> Result<Self, UserCertificateError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Authenteon user CA {device}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = purposes();
        params.not_before = moment(now) - Duration::hours(1);
        params.not_after = moment(now) + Duration::days(365 * AUTHORITY_YEARS);
        params.key_identifier_method = KeyIdMethod::Sha256;
        let pem = params.self_signed(&key)?.pem();
        let kept = Zeroizing::new(key.serialize_pem());
        Ok(Self { issuer: Issuer::from_ca_cert_pem(&pem, key)?, pem, key: kept })
    }

    /// From what is kept, both in PEM.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn read(pem: &str, key: &str) -> Result<Self, UserCertificateError> {
        let issuer = Issuer::from_ca_cert_pem(pem, KeyPair::from_pem(key)?)?;
        Ok(Self { issuer, pem: pem.to_owned(), key: Zeroizing::new(key.to_owned()) })
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key in PEM, to be kept where nobody reads it.
    #[must_use]
    pub fn key(&self) -> &Zeroizing<String> {
        &self.key
    }

    /// Certifies that a key is somebody's, from now on for so long.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub(crate) fn certify(
        &self,
        person: &Person,
        key: &ProvenKey,
        (now, life): (Timestamp, std::time::Duration),
        list: Option<&str>,
    ) -> Result<UserCertificate, UserCertificateError> {
        let serial = *Uuid::new_v4().as_bytes();
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = named(&person.upn);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes();
        params.not_before = moment(now) - BACKDATED;
        let life = Duration::try_from(life).unwrap_or(Duration::MINUTE);
        params.not_after = moment(now) + life;
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions = vec![CustomExtension::from_oid_content(&NAMES, names(person))];
        if let Some(sid) = &person.sid {
            params.custom_extensions.push(CustomExtension::from_oid_content(&SID, security(sid)));
        }
        if let Some(list) = list {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list.to_owned()] }];
        }
        let made = params.signed_by(&key.key, &self.issuer)?;
        let expires = u64::try_from(params.not_after.unix_timestamp()).unwrap_or_default();
        Ok(UserCertificate {
            pem: made.pem(),
            upn: person.upn.clone(),
            principal: person.principal.clone(),
            serial: crate::request::hex(&serial),
            expires: Timestamp::from_millis(expires.saturating_mul(1000)),
        })
    }

    /// The list of revoked certificates, in DER: there are none, as they live for minutes; but who looks for a list wants one.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn list(&self, now: Timestamp) -> Result<Vec<u8>, UserCertificateError> {
        let number = now.millis() / 1000;
        let list = CertificateRevocationListParams {
            this_update: moment(now) - BACKDATED,
            next_update: moment(now) + Duration::days(LIST_DAYS),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.der().to_vec())
    }
}

/// SHA-256 of a key, which a request commits to before it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// Of a public key (`SubjectPublicKeyInfo` in DER).
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::OrganizationName, "Authenteon");
    named.push(DnType::CommonName, name);
    named
}

fn purposes() -> Vec<ExtendedKeyUsagePurpose> {
    vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::Other(SMART_CARD.to_vec()),
        ExtendedKeyUsagePurpose::Other(PKINIT_CLIENT.to_vec()),
    ]
}

fn moment(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.millis() / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `SubjectAltName`: the names of a person, each of another kind than rcgen writes.
fn names(person: &Person) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|names| {
            other_name(names.next(), &UPN, |value| value.write_utf8_string(&person.upn));
            // Active Directory knows the two others; MIT's realms want their own.
            if person.sid.is_none() {
                other_name(names.next(), &PKINIT_SAN, |value| principal(value, &person.principal));
            }
        });
    })
}

/// The extension with a SID.
fn security(sid: &Sid) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|names| {
            other_name(names.next(), &SID_NAME, |value| value.write_bytes(sid.as_ref().as_bytes()));
        });
    })
}

/// `GeneralName.otherName` of RFC 5280.
fn other_name(writer: DERWriter<'_>, kind: &[u64], value: impl FnOnce(DERWriter<'_>)) {
    writer.write_tagged_implicit(Tag::context(0), |writer| {
        writer.write_sequence(|parts| {
            parts.next().write_oid(&ObjectIdentifier::from_slice(kind));
            parts.next().write_tagged(Tag::context(0), value);
        });
    });
}

/// `KRB5PrincipalName` of RFC 4556.
fn principal(writer: DERWriter<'_>, principal: &Principal) {
    // `GeneralString`, for which there is no method.
    let general = Tag { tag_class: TagClass::Universal, tag_number: 27 };
    let text = |writer: DERWriter<'_>, text: &str| {
        writer.write_tagged_implicit(general, |writer| writer.write_utf8_string(text));
    };
    writer.write_sequence(|parts| {
        parts.next().write_tagged(Tag::context(0), |writer| text(writer, principal.realm()));
        parts.next().write_tagged(Tag::context(1), |writer| {
            writer.write_sequence(|parts| {
                parts.next().write_tagged(Tag::context(0), |kind| kind.write_i64(NT_PRINCIPAL));
                parts.next().write_tagged(Tag::context(1), |writer| {
                    writer.write_sequence(|parts| text(parts.next(), principal.name()));
                });
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData};
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

    use super::*;
    use crate::credential::csr::{proven_key, tests::request};

    const NOW: u64 = 1_900_000_000_000;
    const LIFE: std::time::Duration = std::time::Duration::from_secs(300);

    fn person() -> Person {
        let mut octets = vec![1, 5, 0, 0, 0, 0, 0, 5];
        octets.extend([21u32, 1, 2, 3, 1105].iter().flat_map(|number| number.to_le_bytes()));
        Person {
            upn: "ada@corp.example".into(),
            sid: Sid::of_octets(&octets),
            principal: Principal::new("ada@corp.example", None).unwrap(),
        }
    }

    fn made(person: &Person) -> (UserAuthority, UserCertificate, [u8; 32]) {
        let now = Timestamp::from_millis(NOW);
        let authority = UserAuthority::generate(Uuid::nil(), now).unwrap();
        let again = UserAuthority::read(authority.pem(), authority.key()).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        // It asks to be an authority, and for the name of a machine.
        let proven = proven_key(&request(&key)).unwrap();
        let digest = proven.sha256;
        assert_eq!(KeyDigest::of(&key.subject_public_key_info()), KeyDigest(digest));
        let made = again.certify(person, &proven, (now, LIFE), Some("http://box/user.crl")).unwrap();
        (authority, made, digest)
    }

    #[test]
    fn of_a_request_the_key_alone_is_in_the_certificate() {
        // In no Active Directory.
        let (authority, made, digest) = made(&Person { sid: None, ..person() });
        let der = CertificateDer::from_pem_slice(made.pem.as_bytes()).unwrap();
        let (_, read) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(KeyDigest::of(read.public_key().raw), KeyDigest(digest));
        assert!(!read.is_ca());
        let life = read.validity().not_after.timestamp() - i64::try_from(NOW / 1000).unwrap();
        assert_eq!((life, made.expires.millis()), (300, NOW + 300_000));
        let names = read.subject_alternative_name().unwrap().unwrap();
        let kinds: Vec<String> = names
            .value
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::OtherName(kind, _) => kind.to_id_string(),
                other => panic!("{other:?} was asked for by the request"),
            })
            .collect();
        assert_eq!(kinds, ["1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.2.2"]);
        let usages = read.extended_key_usage().unwrap().unwrap();
        assert!(usages.value.client_auth && !usages.value.server_auth && !usages.value.any);
        let der = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
        let (_, issuer) = X509Certificate::from_der(&der).unwrap();
        read.verify_signature(Some(issuer.public_key())).unwrap();
    }

    #[test]
    fn a_sid_is_in_the_extension_that_windows_maps_accounts_by() {
        let (_, made, _) = made(&person());
        let der = CertificateDer::from_pem_slice(made.pem.as_bytes()).unwrap();
        let (_, read) = X509Certificate::from_der(&der).unwrap();
        let oid = x509_parser::oid_registry::Oid::from(&SID).unwrap();
        let extension = read.get_extension_unique(&oid).unwrap().unwrap();
        assert!(matches!(extension.parsed_extension(), ParsedExtension::UnsupportedExtension { .. }));
        // As [MS-WCCE] 2.2.2.7.7.4 shows it, but for the SID.
        let text = b"S-1-5-21-1-2-3-1105";
        let mut expected = vec![0x30, 0x25, 0xa0, 0x23, 0x06, 0x0a];
        expected.extend([0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x19, 0x02, 0x01]);
        expected.extend([0xa0, 0x15, 0x04, 0x13]);
        expected.extend(text);
        assert_eq!(extension.value, expected);
    }

    #[test]
    fn who_looks_for_revoked_certificates_finds_a_list_of_none() {
        let now = Timestamp::from_millis(NOW);
        let authority = UserAuthority::generate(Uuid::nil(), now).unwrap();
        let list = authority.list(now).unwrap();
        let (_, read) = x509_parser::revocation_list::CertificateRevocationList::from_der(&list).unwrap();
        assert_eq!(read.iter_revoked_certificates().count(), 0);
        assert!(read.next_update().unwrap().timestamp() > i64::try_from(NOW / 1000).unwrap() + 6 * 86_400);
    }
}
