//! The key in a certificate request. Everything else in it is ignored: what the administrator is called
//! and may do is the box's to say.
//!
//! Invariant: a `ProvenKey` has signed the request, and is of a kind that the box trusts: P-256, P-384,
//! Ed25519, or RSA of 2048 bits and more.

use rcgen::{PublicKeyData, SubjectPublicKeyInfo};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateSigningRequestDer, alg_id, pem::PemObject};
use sha2::{Digest, Sha256};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// Bytes of a request.
pub(super) const MOST: usize = 8 << 10;

/// Why a request cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// More bytes than a key needs.
    #[error("a certificate request has at most {MOST} bytes")]
    TooLarge,
    /// Not PEM, or not PKCS#10 in it.
    #[error("csr is no certificate request (PKCS#10 in PEM)")]
    Syntax,
    /// A key of another kind, or a signature of one.
    #[error("the key must be P-256, P-384, Ed25519, or RSA of 2048 bits or more, with SHA-2")]
    Kind,
    /// Whoever made the request does not hold the key.
    #[error("the request is not signed by its own key")]
    Signature,
}

/// A public key whose holder made the request.
#[derive(Debug)]
pub(crate) struct ProvenKey {
    pub(crate) key: SubjectPublicKeyInfo,
    /// SHA-256 of the key: what it is known by.
    pub(crate) sha256: [u8; 32],
}

/// Reads a request.
pub(crate) fn proven_key(pem: &str) -> Result<ProvenKey, CsrError> {
    if pem.len() > MOST {
        return Err(CsrError::TooLarge);
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| CsrError::Syntax)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| CsrError::Syntax)?;
    if !rest.is_empty() {
        return Err(CsrError::Syntax);
    }
    let info = &request.certification_request_info;
    let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| CsrError::Kind)?;
    // rustls knows each algorithm by the content of its identifier, without the sequence around it.
    let kind = sequence(info.subject_pki.raw).and_then(sequence).ok_or(CsrError::Syntax)?;
    let trusted = [alg_id::ECDSA_P256, alg_id::ECDSA_P384, alg_id::ED25519, alg_id::RSA_ENCRYPTION];
    if !trusted.iter().any(|id| id.as_ref() == kind) {
        return Err(CsrError::Kind);
    }
    let signed_with = signature_algorithm(&der).ok_or(CsrError::Syntax)?;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let algorithm = algorithms.all.iter().find(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == kind && algorithm.signature_alg_id().as_ref() == signed_with
    });
    let (public, signature) = (key.der_bytes(), request.signature_value.as_ref());
    // Checks the length of RSA keys too.
    algorithm
        .ok_or(CsrError::Kind)?
        .verify_signature(public, info.raw, signature)
        .map_err(|_| CsrError::Signature)?;
    let sha256 = Sha256::digest(info.subject_pki.raw).into();
    Ok(ProvenKey { key, sha256 })
}

/// What is in the first sequence of `der`.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    split(der).filter(|(tag, _, _)| *tag == 0x30).map(|(_, content, _)| content)
}

/// The second part of a request: what it is signed with.
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let (_, _, after_info) = split(sequence(der)?)?;
    sequence(after_info)
}

/// Tag, content and the rest of one value. Lengths of up to two bytes: a request has no more.
fn split(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, rest) = match der {
        [tag, length @ 0..=0x7F, rest @ ..] => (*tag, usize::from(*length), rest),
        [tag, 0x81, length, rest @ ..] => (*tag, usize::from(*length), rest),
        [tag, 0x82, high, low, rest @ ..] => (*tag, usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512,
        PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
    };

    use super::*;

    /// A request that asks for more than anybody gives it.
    pub(crate) fn request(key: &KeyPair) -> String {
        let mut params = CertificateParams::new(vec!["box.example".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    fn of(kind: &'static SignatureAlgorithm) -> Result<ProvenKey, CsrError> {
        proven_key(&request(&KeyPair::generate_for(kind).unwrap()))
    }

    #[test]
    fn keys_of_four_kinds_prove_themselves_and_others_are_refused() {
        for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
            of(kind).unwrap_or_else(|why| panic!("{kind:?}: {why}"));
        }
        assert_eq!(of(&PKCS_ECDSA_P521_SHA512).unwrap_err(), CsrError::Kind);
    }

    /// Of a key that was made for this test and thrown away.
    const RSA_1024: &str = include_str!("../../tests/data/rsa-1024.csr");

    #[test]
    fn a_short_rsa_key_is_refused() {
        assert!(matches!(proven_key(RSA_1024), Err(CsrError::Kind | CsrError::Signature)));
    }

    #[test]
    fn a_request_of_somebody_else_s_key_is_refused() {
        let (mine, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let [honest, other] = [&mine, &theirs].map(|key| {
            CertificateSigningRequestDer::from_pem_slice(request(key).as_bytes()).unwrap().to_vec()
        });
        // The public key of one in the request of the other.
        let at = |der: &[u8], key: &KeyPair| {
            let key = key.public_key_raw();
            der.windows(key.len()).position(|w| w == key).unwrap()
        };
        let (here, there) = (at(&honest, &mine), at(&other, &theirs));
        let length = mine.public_key_raw().len();
        let mut forged = honest.clone();
        forged[here..here + length].copy_from_slice(&other[there..there + length]);
        let pem = rcgen_pem(&forged);
        assert_eq!(proven_key(&pem).unwrap_err(), CsrError::Signature);
        assert!(proven_key(&rcgen_pem(&honest)).is_ok());
    }

    fn rcgen_pem(der: &[u8]) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let body = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    }

    #[test]
    fn what_is_no_request_is_refused_and_no_damage_is_accepted() {
        let good = request(&KeyPair::generate().unwrap());
        assert_eq!(proven_key("").unwrap_err(), CsrError::Syntax);
        assert_eq!(proven_key(&good.replace("REQUEST", "WISH")).unwrap_err(), CsrError::Syntax);
        assert_eq!(proven_key(&(good.clone() + &" ".repeat(MOST))).unwrap_err(), CsrError::TooLarge);
        let der = CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).unwrap().to_vec();
        let key = proven_key(&good).unwrap().sha256;
        for length in 0..der.len() {
            assert!(proven_key(&rcgen_pem(&der[..length])).is_err(), "cut to {length}");
        }
        for place in 0..der.len() {
            let mut damaged = der.clone();
            damaged[place] ^= 1;
            // The signature's number of unused bits is under no signature: nothing depends on it.
            if let Ok(proven) = proven_key(&rcgen_pem(&damaged)) {
                assert_eq!(proven.sha256, key, "flipped at {place}");
            }
        }
        let longer = [der.as_slice(), &[0]].concat();
        assert_eq!(proven_key(&rcgen_pem(&longer)).unwrap_err(), CsrError::Syntax);
    }
}
