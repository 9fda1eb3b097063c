//! An authority for one test, and the certificates that it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use yasna::{DERWriter, Tag, TagClass, models::ObjectIdentifier};

use super::ServerError;

/// An authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    /// Its certificate, in PEM.
    pub file: PathBuf,
}

/// Where a certificate and its key lie.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// One whose files lie in a folder, under a name.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn new(folder: &Path, name: &str) -> Result<Self, ServerError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem())?;
        Ok(Self { issuer, folder: folder.to_owned(), file })
    }

    /// A server's certificate for these names and addresses; one that is over, or good for years.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn server(&self, names: &[&str], over: bool) -> Result<Identity, ServerError> {
        let stem = if over { "over" } else { "server" };
        self.certify(names, over, ExtendedKeyUsagePurpose::ServerAuth, stem)
    }

    /// A client's certificate with these names, in files that are called as it is.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn client(&self, name: &str) -> Result<Identity, ServerError> {
        self.certify(&[name], false, ExtendedKeyUsagePurpose::ClientAuth, name)
    }

    fn certify(
        &self,
        names: &[&str],
        over: bool,
        usage: ExtendedKeyUsagePurpose,
        stem: &str,
    ) -> Result<Identity, ServerError> {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("server"));
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = if over { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2100, 1, 1) };
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.folder.join(format!("{stem}.pem")),
            key: self.folder.join(format!("{stem}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        restrict(&identity.key)?;
        Ok(identity)
    }

    /// A Kerberos server's certificate for a realm and these names (RFC 4556), with an RSA key, as not all clients take others.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn kerberos(&self, realm: &str, names: &[&str]) -> Result<Identity, ServerError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Kerberos of {realm}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 2, 3, 5]),
        ];
        let names = kerberos_names((&["krbtgt", realm], realm), names, None);
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
        self.kept(params, "kerberos")
    }

    /// A certificate of somebody in a realm, as the box gives them, but by this authority.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn person(&self, name: &str, realm: &str) -> Result<Identity, ServerError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 2]),
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 2, 3, 4]),
        ];
        let upn = format!("{name}@{}", realm.to_lowercase());
        let names = kerberos_names((&[name], realm), &[], Some(&upn));
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
        self.kept(params, name)
    }

    /// Signs one of a new RSA key, good for years.
    fn kept(&self, mut params: CertificateParams, stem: &str) -> Result<Identity, ServerError> {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = |end: &str| self.folder.join(format!("{stem}.{end}"));
        let identity = Identity { certificate: file("pem"), key: file("key") };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        restrict(&identity.key)?;
        Ok(identity)
    }
}

/// The names of somebody in Kerberos: those of a machine, a principal in parts and its realm as `KRB5PrincipalName`, and a user
/// principal name.
fn kerberos_names((principal, realm): (&[&str], &str), machine: &[&str], upn: Option<&str>) -> Vec<u8> {
    let general = Tag { tag_class: TagClass::Universal, tag_number: 27 };
    let text = |writer: DERWriter<'_>, text: &str| {
        writer.write_tagged_implicit(general, |writer| writer.write_utf8_string(text));
    };
    let name = |writer: DERWriter<'_>| {
        writer.write_sequence(|parts| {
            parts.next().write_tagged(Tag::context(0), |writer| text(writer, realm));
            parts.next().write_tagged(Tag::context(1), |writer| {
                writer.write_sequence(|parts| {
                    parts.next().write_tagged(Tag::context(0), |kind| kind.write_i64(1));
                    parts.next().write_tagged(Tag::context(1), |writer| {
                        writer.write_sequence(|parts| {
                            principal.iter().for_each(|part| text(parts.next(), part));
                        });
                    });
                });
            });
        });
    };
    yasna::construct_der(|writer| {
        writer.write_sequence(|all| {
            for name in machine {
                all.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
            }
            other_name(all.next(), &[1, 3, 6, 1, 5, 2, 2], name);
            if let Some(upn) = upn {
                let kind = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
                other_name(all.next(), &kind, |value| value.write_utf8_string(upn));
            }
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

/// Samba takes no key that others may read.
fn restrict(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}
