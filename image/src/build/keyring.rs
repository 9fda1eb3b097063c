//! Whose updates the box takes: certificates that lie in its verified root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::failure::{Failure, at};

/// The given certificates, or those of a throw-away authority made in `folder`.
pub(super) fn provide(given: Option<&Path>, folder: &Path) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(at(path))?;
            if !text.contains("-----BEGIN CERTIFICATE-----") || text.contains("PRIVATE KEY") {
                let why = format!("{} must hold certificates in PEM, and no key", path.display());
                return Err(Failure::Wrong(why));
            }
            Ok(path.to_owned())
        }
        None => throw_away(folder),
    }
}

/// An authority for tests, with a signer: `ca.pem`, `signer.pem`, `signer.key`. One that is there stays.
pub(crate) fn throw_away(folder: &Path) -> Result<PathBuf, Failure> {
    let authority = folder.join("ca.pem");
    if authority.exists() {
        return Ok(authority);
    }
    fs::create_dir_all(folder).map_err(at(folder))?;
    let made = make().map_err(|why| Failure::Wrong(format!("cannot make a throw-away authority: {why}")))?;
    let names = ["signer.pem", "signer.key", "ca.pem"];
    for (name, text) in names.iter().zip(made) {
        let path = folder.join(name);
        fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(authority)
}

/// Signer's certificate, its key, and the authority's certificate.
fn make() -> Result<[String; 3], rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Authenteon TEST updates");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let signer = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Authenteon TEST signer");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&signer, &issuer)?.pem();
    Ok([certificate, signer.serialize_pem(), authority])
}
