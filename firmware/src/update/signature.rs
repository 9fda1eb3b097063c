//! Who signed a bundle: CMS (RFC 5652) with the manifest inside, checked against a keyring.
//!
//! Invariant: [`verify`] gives the signed content out only after the signature over it and the chain
//! to a certificate of the keyring hold. It is the first thing done with a bundle; nothing else of
//! the file is looked at before.

use std::{path::Path, time::Duration};

use cms::{
    cert::{
        CertificateChoices,
        x509::{
            attr::Attributes,
            der::{
                Decode, DecodeValue, Encode, FixedTag,
                asn1::{ObjectIdentifier, OctetString},
            },
        },
    },
    content_info::ContentInfo,
    signed_data::{SignedData, SignerIdentifier, SignerInfo},
};
use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, aws_lc_rs as algorithms};

/// A signature with its manifest and certificates: some kilobytes.
pub const LARGEST: usize = 256 << 10;
/// A chain of more certificates is nobody's update.
const MOST_CERTIFICATES: usize = 8;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// What a signer's certificate may be for, if it says: `emailProtection`, which RAUC asks for by
/// default, or `codeSigning`.
const PURPOSES: [&[u8]; 2] = [&[0x2b, 6, 1, 5, 5, 7, 3, 4], &[0x2b, 6, 1, 5, 5, 7, 3, 3]];

/// What certificates of a chain may be signed with.
const CHAIN: [&dyn SignatureVerificationAlgorithm; 7] = [
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// Why a signature is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The keyring cannot be read.
    #[error("the keyring {0} cannot be used: {1}")]
    Keyring(String, String),
    /// No CMS.
    #[error("the bundle's signature cannot be read")]
    Malformed,
    /// It is of a form that this box does not accept.
    #[error("the bundle's signature has {0}")]
    Form(&'static str),
    /// The content is not what was signed.
    #[error("the bundle's manifest is not what was signed")]
    Digest,
    /// The signature does not hold.
    #[error("the bundle's signature does not hold")]
    Forged,
    /// The signer is nobody's that the keyring knows.
    #[error("the bundle was signed by somebody that this box does not trust: {0}")]
    Untrusted(webpki::Error),
}

/// The time by which certificates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now, or the clock floor if the clock is behind it: seconds since 1970.
    pub seconds: u64,
    /// Whether the clock has been set by somebody who knows.
    pub synchronised: bool,
}

impl Moment {
    /// A clock is never earlier than the build of the image that it runs in.
    #[must_use]
    pub fn new(now: u64, floor: u64, synchronised: bool) -> Self {
        Self { seconds: now.max(floor), synchronised }
    }
}

/// The certificates that updates are trusted by.
pub struct Keyring(Vec<CertificateDer<'static>>);

impl Keyring {
    /// Reads a file of PEM certificates.
    ///
    /// # Errors
    /// [`SignatureError::Keyring`].
    pub fn read(path: &Path) -> Result<Self, SignatureError> {
        let bad = |why: String| SignatureError::Keyring(path.display().to_string(), why);
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|why| bad(why.to_string()))?;
        let keyring = Self(certificates);
        if keyring.0.is_empty() {
            return Err(bad("it holds no certificate".to_owned()));
        }
        keyring.anchors().map_err(|why| bad(why.to_string()))?;
        Ok(keyring)
    }

    fn anchors(&self) -> Result<Vec<TrustAnchor<'_>>, webpki::Error> {
        self.0.iter().map(webpki::anchor_from_trusted_cert).collect()
    }
}

/// The content of a signature that holds.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(der: &[u8], keyring: &Keyring, moment: Moment) -> Result<Vec<u8>, SignatureError> {
    let malformed = |_| SignatureError::Malformed;
    if der.len() > LARGEST {
        return Err(SignatureError::Form("more bytes than a signature has"));
    }
    let outer = ContentInfo::from_der(der).map_err(malformed)?;
    if outer.content_type != SIGNED_DATA {
        return Err(SignatureError::Form("no signed data"));
    }
    let signed: SignedData = outer.content.decode_as().map_err(malformed)?;
    let content = signed.encap_content_info.econtent.as_ref();
    let content =
        content.ok_or(SignatureError::Form("no manifest inside: the bundle is not of format verity"))?;
    let content: OctetString = content.decode_as().map_err(malformed)?;
    if signed.encap_content_info.econtent_type != DATA {
        return Err(SignatureError::Form("content of another type"));
    }
    let [signer] = signed.signer_infos.0.as_slice() else {
        return Err(SignatureError::Form("not exactly one signer"));
    };
    let certificates = certificates(&signed)?;
    let (leaf, others) = leaf(signer, &certificates)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(SignatureError::Untrusted)?;
    holds(signer, content.as_bytes(), &leaf)?;
    let anchors = keyring.anchors().map_err(SignatureError::Untrusted)?;
    trusted(&leaf, &others, &anchors, moment)?;
    Ok(content.into_bytes())
}

type Parsed = (cms::cert::x509::Certificate, CertificateDer<'static>);

fn certificates(signed: &SignedData) -> Result<Vec<Parsed>, SignatureError> {
    let set = signed.certificates.as_ref().ok_or(SignatureError::Form("no certificates"))?;
    if set.0.len() > MOST_CERTIFICATES {
        return Err(SignatureError::Form("too many certificates"));
    }
    let of = |choice: &CertificateChoices| match choice {
        CertificateChoices::Certificate(certificate) => {
            let der = certificate.to_der().map_err(|_| SignatureError::Malformed)?;
            Ok((certificate.clone(), CertificateDer::from(der)))
        }
        CertificateChoices::Other(_) => Err(SignatureError::Form("certificates of another kind")),
    };
    set.0.iter().map(of).collect()
}

/// The signer's certificate, and the rest.
fn leaf<'a>(
    signer: &SignerInfo,
    all: &'a [Parsed],
) -> Result<(&'a CertificateDer<'static>, Vec<CertificateDer<'a>>), SignatureError> {
    let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
        return Err(SignatureError::Form("a signer without issuer and serial number"));
    };
    let is = |certificate: &cms::cert::x509::Certificate| {
        let tbs = &certificate.tbs_certificate;
        tbs.issuer == id.issuer && tbs.serial_number == id.serial_number
    };
    let at =
        all.iter().position(|(c, _)| is(c)).ok_or(SignatureError::Form("no certificate of its signer"))?;
    let others = all.iter().enumerate().filter(|(i, _)| *i != at);
    Ok((&all[at].1, others.map(|(_, (_, der))| CertificateDer::from(der.as_ref())).collect()))
}

/// Whether the signer signed this content.
fn holds(signer: &SignerInfo, content: &[u8], leaf: &EndEntityCert<'_>) -> Result<(), SignatureError> {
    let (digest, accepted): (Vec<u8>, &[&dyn SignatureVerificationAlgorithm]) = match signer.digest_alg.oid {
        SHA_256 => (
            Sha256::digest(content).to_vec(),
            &[
                algorithms::ECDSA_P256_SHA256,
                algorithms::ECDSA_P384_SHA256,
                algorithms::RSA_PKCS1_2048_8192_SHA256,
            ],
        ),
        SHA_384 => (
            Sha384::digest(content).to_vec(),
            &[
                algorithms::ECDSA_P256_SHA384,
                algorithms::ECDSA_P384_SHA384,
                algorithms::RSA_PKCS1_2048_8192_SHA384,
            ],
        ),
        SHA_512 => (
            Sha512::digest(content).to_vec(),
            &[
                algorithms::ECDSA_P256_SHA512,
                algorithms::ECDSA_P384_SHA512,
                algorithms::RSA_PKCS1_2048_8192_SHA512,
            ],
        ),
        _ => return Err(SignatureError::Form("a digest other than SHA-256, SHA-384 and SHA-512")),
    };
    // Without signed attributes the signature would be over the content itself, and content that
    // looks like attributes could pass for them (RFC 5652, security considerations).
    let attributes = signer.signed_attrs.as_ref().ok_or(SignatureError::Form("no signed attributes"))?;
    let kind: ObjectIdentifier = attribute(attributes, CONTENT_TYPE)?;
    let stated: OctetString = attribute(attributes, MESSAGE_DIGEST)?;
    if kind != DATA {
        return Err(SignatureError::Form("attributes for content of another type"));
    }
    if stated.as_bytes() != digest {
        return Err(SignatureError::Digest);
    }
    let message = attributes.to_der().map_err(|_| SignatureError::Malformed)?;
    let signature = signer.signature.as_bytes();
    let any = accepted.iter().any(|algorithm| leaf.verify_signature(*algorithm, &message, signature).is_ok());
    if any { Ok(()) } else { Err(SignatureError::Forged) }
}

/// The one value of an attribute that is there once.
fn attribute<T>(attributes: &Attributes, oid: ObjectIdentifier) -> Result<T, SignatureError>
where
    T: for<'a> DecodeValue<'a> + FixedTag,
{
    let mut found = attributes.iter().filter(|a| a.oid == oid);
    match (found.next().map(|a| a.values.as_slice()), found.next()) {
        (Some([value]), None) => value.decode_as().map_err(|_| SignatureError::Malformed),
        _ => Err(SignatureError::Form("attributes without one type and one digest")),
    }
}

/// Whether the keyring vouches for the signer.
///
/// Before the clock is set nobody can say that a certificate has expired or is not valid yet: then
/// the chain is judged at a time at which it is valid, if there is one.
fn trusted(
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    moment: Moment,
) -> Result<(), SignatureError> {
    let at = |seconds: u64, purpose: &'static [u8]| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::required_if_present(purpose);
        leaf.verify_for_usage(&CHAIN, anchors, others, time, usage, None, None).map(drop)
    };
    let mut why = webpki::Error::UnknownIssuer;
    for purpose in PURPOSES {
        let mut seconds = moment.seconds;
        // Every certificate of a chain can move the time once each way.
        for _ in 0..2 * MOST_CERTIFICATES {
            match at(seconds, purpose) {
                Ok(()) => return Ok(()),
                Err(webpki::Error::CertExpired { not_after, .. }) if !moment.synchronised => {
                    why = webpki::Error::CertExpired { time: not_after, not_after };
                    seconds = not_after.as_secs();
                }
                Err(webpki::Error::CertNotValidYet { not_before, .. }) if !moment.synchronised => {
                    why = webpki::Error::CertNotValidYet { time: not_before, not_before };
                    seconds = not_before.as_secs();
                }
                Err(other) => {
                    why = other;
                    break;
                }
            }
        }
    }
    Err(SignatureError::Untrusted(why))
}
